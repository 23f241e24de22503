"""Training of lightgbm: the hosted algorithm's hyperparameters, passed to LightGBM.

Several hosts train by LightGBM's own protocol: each bins and counts its rows, and all end with the
same trees. Every host measures on the validation rows of all, so that all stop at the same round.
An empty CSV field is a missing value.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from lean_lightgbm import lightgbm
from lightgbm_labels import cannot_be_computed, check_labels, label_rule, objective_of
from lightgbm_log import say_once
from lightgbm_model import FILE_NAME, as_taken
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Declaration, Range
from toolkit.sparse import gathered_rows, thinned
from toolkit.training import Job, Stop

SEED = 0
HELD_OUT = 0.2  # share of the rows to measure on where there is no validation channel, as hosted
INPUT_FORMAT = InputFormat(allow_missing=True, keep_sparse=True)

NOT_NEGATIVE = Range(minimum=0)
SHARE_ABOVE_0 = Range(above=0, maximum=1)
METRICS = {
    "regression": ("rmse", "l1", "l2", "huber", "fair"),
    "binary": ("binary_logloss", "binary_error", "auc", "average_precision", "cross_entropy"),
    "multiclass": ("multi_logloss", "multi_error", "auc_mu"),
}


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted LightGBM's hyperparameters, plus the objective, which it takes from the labels alone."""

    num_boost_round: Annotated[int, Range(minimum=1), "Maximum number of boosting rounds"] = 100
    early_stopping_rounds: Annotated[int, "Stop when the metric has not improved for this many rounds; 0: never"] = 10
    objective: Annotated[
        Literal["auto", "regression", "regression_l1", "huber", "fair", "poisson", "tweedie", "binary", "multiclass"],
        "auto: binary or multiclass if the labels are whole numbers from 0 up without gaps, otherwise regression",
    ] = "auto"
    num_class: Annotated[
        int | None, Range(minimum=3), "Number of classes for multiclass; default: taken from the labels"
    ] = None
    metric: Annotated[
        Literal[
            "auto", "rmse", "l1", "l2", "huber", "fair", "binary_logloss", "binary_error",
            "auc", "average_precision", "multi_logloss", "multi_error", "auc_mu", "cross_entropy",
        ],
        "Metric on the validation channel; auto: rmse, binary_logloss or multi_logloss",
    ] = "auto"  # fmt: skip
    learning_rate: Annotated[float, SHARE_ABOVE_0, "Step size shrinkage"] = 0.1
    num_leaves: Annotated[int, Range(minimum=2, maximum=131072), "Maximum leaves of a tree"] = 64
    feature_fraction: Annotated[float, SHARE_ABOVE_0, "Fraction of the features used for each tree"] = 0.9
    feature_fraction_bynode: Annotated[float, SHARE_ABOVE_0, "Fraction of the features used for each split"] = 1.0
    bagging_fraction: Annotated[float, SHARE_ABOVE_0, "Fraction of the rows used for each tree"] = 0.9
    bagging_freq: Annotated[int, NOT_NEGATIVE, "Rounds between two samples of rows; 0: no bagging"] = 1
    max_depth: Annotated[int, "Maximum depth of a tree; 0 or less: no limit"] = 6
    min_data_in_leaf: Annotated[int, NOT_NEGATIVE, "Minimum number of rows in a leaf"] = 3
    max_delta_step: Annotated[float, "Maximum step of a leaf; 0 or less: no limit"] = 0.0
    lambda_l1: Annotated[float, NOT_NEGATIVE, "L1 penalty on leaf values"] = 0.0
    lambda_l2: Annotated[float, NOT_NEGATIVE, "L2 penalty on leaf values"] = 0.0
    boosting: Annotated[
        Literal["gbdt", "rf", "dart", "goss"], "Boosting, random forest, dropout, or one-sided sampling"
    ] = "gbdt"
    min_gain_to_split: Annotated[float, NOT_NEGATIVE, "Minimum gain of a split"] = 0.0
    scale_pos_weight: Annotated[float, Range(above=0), "Weight of rows with label 1; for binary"] = 1.0
    is_unbalance: Annotated[bool, "Whether both classes count the same; for binary"] = False
    tree_learner: Annotated[
        Literal["serial", "feature", "data", "voting"], "How hosts share the work; serial is data on several hosts"
    ] = "serial"
    max_bin: Annotated[int, Range(minimum=2), "Number of histogram bins for each feature"] = 255
    tweedie_variance_power: Annotated[float, Range(minimum=1, below=2), "Variance power of the tweedie objective"] = 1.5
    num_threads: Annotated[int, NOT_NEGATIVE, "Number of threads; 0: one per CPU"] = 0
    verbosity: Annotated[int, "LightGBM's own log: below 0: errors, 0: warnings, 1: info, above 1: debug"] = 1


NOT_FOR_LIGHTGBM = {"num_boost_round", "early_stopping_rounds", "objective", "num_class", "metric", "tree_learner"}


def train(job: Job[Hyperparameters]) -> None:
    """Train, print the metric on validation each round, and leave the model with the master."""
    settings, hosts = job.hyperparameters, job.hosts
    say_once()
    check_settings(settings)
    job = with_parts_of_training(job)
    tables = thinned(hosts, load_tables(job, ("train", "validation"), input_format_of(settings)))
    objective, class_count = objective_of(hosts, settings.objective, settings.num_class, tables["train"].labels)
    check_labels(hosts, tables, objective, class_count)
    fitted, measured = (
        (tables["train"], tables["validation"]) if "validation" in tables else split(hosts, tables["train"])
    )
    check_every_host_has_rows(hosts, settings, fitted)

    parameters = parameters_of(settings, objective, class_count) | network_of(hosts, settings)
    rounds = Rounds(hosts, job.stop)
    try:
        booster = boosted(settings, parameters, (fitted, measured), rounds, categories=categories_of(job))
    except lightgbm.basic.LightGBMError as error:
        if re.search(r"(?i)socket|connect|network", str(error)):
            raise
        raise ClientError(f"LightGBM cannot train on this: {error}") from error
    require_finite(hosts, {"leaf values": leaf_values(booster)} | rounds.scores, tables)
    if hosts.is_master:
        booster.save_model(job.model_folder / FILE_NAME)
    booster.free_network()


def boosted(
    settings: Hyperparameters,
    parameters: dict[str, Any],
    tables: tuple[Table, Table],
    rounds: Rounds,
    *,
    categories: list[int],
) -> lightgbm.Booster:
    """The trained booster. tables: the rows to fit, and those to measure on."""
    hosts, (fitted, measured) = rounds.hosts, tables
    labels = hosts.gathered(measured.labels)
    stops_early = settings.early_stopping_rounds > 0 and settings.boosting != "dart"
    if cannot_be_computed(hosts, parameters["metric"], labels):
        parameters, stops_early = parameters | {"metric": "None"}, False
    data = lightgbm.Dataset(as_taken(fitted.features), fitted.labels, params=parameters, categorical_feature=categories)
    validation = data.create_valid(as_taken(gathered_rows(hosts, measured.features)), labels, params=parameters)
    callbacks: list[Any] = [rounds]
    if stops_early:
        callbacks.append(lightgbm.early_stopping(settings.early_stopping_rounds, verbose=False))
    rounds.stop.keep_model()
    return lightgbm.train(
        parameters,
        data,
        num_boost_round=settings.num_boost_round,
        valid_sets=[validation],
        valid_names=["validation"],
        callbacks=callbacks,
    )


def leaf_values(booster: lightgbm.Booster) -> list[float]:
    lines = re.findall(r"^leaf_value=(.*)", booster.model_to_string(), re.MULTILINE)
    return [float(number) for line in lines for number in line.split()]


def input_format_of(settings: Hyperparameters) -> InputFormat:
    is_for_classes = settings.objective in ("auto", "binary", "multiclass")
    hint = f"objective={settings.objective} learns quantities; auto, binary and multiclass learn classes"
    rule = label_rule(settings.objective, settings.num_class)
    return dataclasses.replace(INPUT_FORMAT, quantities="" if is_for_classes else hint, label_rule=rule)


def check_settings(settings: Hyperparameters) -> None:
    if settings.is_unbalance and settings.scale_pos_weight != 1.0:
        raise ClientError("hyperparameters: is_unbalance and scale_pos_weight exclude each other; give one of them")
    if settings.boosting == "rf" and not (settings.bagging_freq and settings.bagging_fraction < 1):
        raise ClientError("hyperparameters: boosting=rf needs bagging_freq above 0 and bagging_fraction below 1")


def with_parts_of_training(job: Job[Hyperparameters]) -> Job[Hyperparameters]:
    """The hosted container's one channel `training` as two: its folders train/ and validation/."""
    training = job.channels.get("training")
    if training is None or "train" in job.channels:
        return job
    parts = {name: training.folder / name for name in ("train", "validation") if (training.folder / name).is_dir()}
    parts.setdefault("train", training.folder)
    channels = {name: dataclasses.replace(training, name=name, folder=folder) for name, folder in parts.items()}
    return dataclasses.replace(job, channels={**channels, **job.channels})


def categories_of(job: Job[Hyperparameters]) -> list[int]:
    """Features that training/categorical_index.json names as categories, counted there with the label as 0."""
    path = job.channels["training"].folder / "categorical_index.json" if "training" in job.channels else None
    if path is None or not path.exists():
        return []
    if job.columns is not None:
        raise ClientError("channel training: categorical_index.json does not go with named columns; say categorical")
    try:
        columns = json.loads(path.read_text())["cat_index_list"]
        if min(columns) < 1:
            raise ValueError("column 0 is the label")
        return [column - 1 for column in columns]
    except (ValueError, TypeError, KeyError) as error:
        raise ClientError(f'{path}: must hold {{"cat_index_list": [column, ...]}}, columns from 1 on') from error


def check_every_host_has_rows(hosts: Hosts, settings: Hyperparameters, table: Table) -> None:
    count, problem = len(table.labels), None
    if not count:
        problem = "no rows to train on; LightGBM needs some on every host: give at least a file each"
    elif settings.bagging_freq and settings.boosting != "goss" and int(count * settings.bagging_fraction) < 1:
        problem = (
            f"{count} row{'s' * (count > 1)} to train on, of which bagging_fraction={settings.bagging_fraction:g} "
            "takes none; give more rows, or set bagging_freq: 0"
        )
    hosts.fail_together(problem)


def split(hosts: Hosts, table: Table) -> tuple[Table, Table]:
    """The rows to fit and those to measure on, by their place in the files of all hosts."""
    before, total = hosts.numbered(len(table.labels))
    is_held_out = np.random.default_rng(SEED).random(total) < HELD_OUT
    if is_held_out.all() or not is_held_out.any():
        if hosts.is_master:
            print(f"channel train has too few rows to hold any out ({total}); metrics are of the rows trained on")
        return table, table
    held_out = is_held_out[before : before + len(table.labels)]
    fitted, measured = (Table(table.labels[chosen], table.features[chosen]) for chosen in (~held_out, held_out))
    return fitted, measured


def parameters_of(settings: Hyperparameters, objective: str, class_count: int) -> dict[str, Any]:
    """LightGBM's parameters, by its own names."""
    kind = objective if objective in METRICS else "regression"
    metric = METRICS[kind][0] if settings.metric == "auto" else settings.metric
    if metric not in METRICS[kind]:
        raise ClientError(
            f"hyperparameters: metric={metric} does not fit objective {objective}; {', '.join(METRICS[kind])} do"
        )
    given = {name: value for name, value in dataclasses.asdict(settings).items() if name not in NOT_FOR_LIGHTGBM}
    if objective != "binary":
        given = {name: value for name, value in given.items() if name not in ("scale_pos_weight", "is_unbalance")}
    if settings.boosting == "goss":  # it samples in its own way, and refuses to do both
        given["bagging_freq"] = 0
    return given | {
        "objective": objective,
        "num_class": class_count,
        "metric": metric,
        "deterministic": True,
        "force_col_wise": True,  # else it is timed which way is faster, and sums differ in the last digit
    }


def network_of(hosts: Hosts, settings: Hyperparameters) -> dict[str, Any]:
    if len(hosts.names) == 1:
        return {"tree_learner": "serial"}
    endpoints = hosts.endpoints()
    return {
        "tree_learner": "data" if settings.tree_learner == "serial" else settings.tree_learner,
        "machines": ",".join(f"{address}:{port}" for address, port in endpoints),
        "num_machines": len(endpoints),
        "local_listen_port": endpoints[hosts.rank][1],
        "pre_partition": True,
    }


class Rounds:
    """Prints a round's metric as LightGBM does, and ends training when a host was stopped."""

    def __init__(self, hosts: Hosts, stop: Stop) -> None:
        self.hosts = hosts
        self.stop = stop
        self.scores: dict[str, float] = {}  # of the last round

    def __call__(self, env: Any) -> None:
        self.scores = {f"{channel} {metric}": value for channel, metric, value, _ in env.evaluation_result_list}
        if self.hosts.is_master and self.scores:
            scores = [f"{channel}'s {metric}: {value:.9g}" for channel, metric, value, _ in env.evaluation_result_list]
            print("\t".join([f"[{env.iteration + 1}]", *scores]), flush=True)
        if self.hosts.any(self.stop.requested):
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list)
