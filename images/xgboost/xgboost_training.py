"""Training of xgboost: the hosted algorithm's hyperparameters, passed to XGBoost.

XGBoost itself joins the hosts: inside the toolkit's connection every histogram is summed over all
of them, and each ends with the same model. A CSV field left empty and a libsvm index left out are
missing values.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from toolkit.checkpoints import Checkpoints
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Declaration, Range
from toolkit.lean_xgboost import xgboost
from toolkit.media import LIBSVM
from toolkit.rows import FloatArray
from toolkit.training import Job, Stop
from xgboost_files import AS_TRAINED, FILE_NAME

CHANNELS = ("train", "validation")
INPUT_FORMAT = InputFormat(default_type=LIBSVM, allow_missing=True, keep_sparse=True, takes_weights=True)

NOT_NEGATIVE = Range(minimum=0)
SHARE = Range(minimum=0, maximum=1)
SHARE_ABOVE_0 = Range(above=0, maximum=1)
Objective = Literal[
    "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:logistic", "reg:pseudohubererror",
    "reg:absoluteerror", "reg:gamma", "reg:tweedie", "count:poisson", "survival:cox",
    "binary:logistic", "binary:logitraw", "binary:hinge", "multi:softmax", "multi:softprob",
]  # fmt: skip


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted algorithm's; one that is not given keeps XGBoost's own default."""

    num_round: Annotated[int, Range(minimum=1), "Number of boosting rounds"]
    objective: Annotated[
        Objective, "Learning objective; ranking objectives need groups, which these file formats cannot hold"
    ] = "reg:squarederror"
    num_class: Annotated[
        int | None, Range(minimum=2), "Number of classes, with labels 0 to num_class-1; for multi:*"
    ] = None
    eval_metric: Annotated[
        str | None, "Metrics to print each round, separated by commas; default: the objective's own"
    ] = None
    early_stopping_rounds: Annotated[
        int | None, Range(minimum=1), "Stop when the last metric on validation has not improved for this many rounds"
    ] = None
    csv_weights: Annotated[int, Range(minimum=0, maximum=1), "1: the second CSV column is the row's weight"] = 0
    booster: Annotated[Literal["gbtree", "gblinear", "dart"] | None, "Trees, a linear model, or trees with dropout"] = (
        None
    )
    eta: Annotated[float | None, SHARE, "Step size shrinkage"] = None
    gamma: Annotated[float | None, NOT_NEGATIVE, "Minimum loss reduction for a split"] = None
    max_depth: Annotated[int | None, NOT_NEGATIVE, "Maximum depth of a tree; 0: no limit"] = None
    max_leaves: Annotated[int | None, NOT_NEGATIVE, "Maximum leaves of a tree; 0: no limit"] = None
    min_child_weight: Annotated[float | None, NOT_NEGATIVE, "Minimum sum of row weights in a leaf"] = None
    max_delta_step: Annotated[float | None, NOT_NEGATIVE, "Maximum step of a leaf; 0: no limit"] = None
    subsample: Annotated[float | None, SHARE_ABOVE_0, "Fraction of the rows used for each tree"] = None
    colsample_bytree: Annotated[float | None, SHARE_ABOVE_0, "Fraction of the columns used for each tree"] = None
    colsample_bylevel: Annotated[float | None, SHARE_ABOVE_0, "Fraction of the columns used for each level"] = None
    colsample_bynode: Annotated[float | None, SHARE_ABOVE_0, "Fraction of the columns used for each split"] = None
    lambda_: Annotated[float | None, NOT_NEGATIVE, "L2 penalty on leaf values"] = None
    alpha: Annotated[float | None, NOT_NEGATIVE, "L1 penalty on leaf values"] = None
    tree_method: Annotated[Literal["auto", "exact", "approx", "hist"] | None, "How splits are searched"] = None
    grow_policy: Annotated[Literal["depthwise", "lossguide"] | None, "Which node is split next"] = None
    max_bin: Annotated[int | None, Range(minimum=2), "Number of histogram bins for each feature"] = None
    num_parallel_tree: Annotated[int | None, Range(minimum=1), "Number of trees per round"] = None
    scale_pos_weight: Annotated[float | None, Range(above=0), "Weight of rows with label 1"] = None
    base_score: Annotated[float | None, "Initial prediction, before the first tree"] = None
    tweedie_variance_power: Annotated[float | None, Range(above=1, below=2), "Variance power of reg:tweedie"] = None
    huber_slope: Annotated[float | None, Range(above=0), "Error at which reg:pseudohubererror turns linear"] = None
    monotone_constraints: Annotated[str | None, "One sign per feature: (1,0,-1)"] = None
    interaction_constraints: Annotated[str | None, "Groups of features that may interact in a tree: [[0,1],[2,3]]"] = (
        None
    )
    sample_type: Annotated[Literal["uniform", "weighted"] | None, "How dart chooses trees to drop"] = None
    normalize_type: Annotated[Literal["tree", "forest"] | None, "How dart weights a new tree"] = None
    rate_drop: Annotated[float | None, SHARE, "Fraction of the trees that dart drops"] = None
    one_drop: Annotated[int | None, Range(minimum=0, maximum=1), "1: dart always drops at least one tree"] = None
    skip_drop: Annotated[float | None, SHARE, "Probability that dart drops nothing"] = None
    updater: Annotated[str | None, "XGBoost's updaters, separated by commas"] = None
    seed: Annotated[int | None, "Seed of all random choices"] = None
    nthread: Annotated[int | None, Range(minimum=1), "Number of threads; default: one per CPU"] = None
    verbosity: Annotated[
        int | None, Range(minimum=0, maximum=3), "XGBoost's own log, from 0 (nothing) to 3 (everything)"
    ] = None

    IGNORED: ClassVar[Mapping[str, str]] = {
        "sketch_eps": "XGBoost no longer has it; max_bin is its successor",
        "predictor": "XGBoost chooses automatically",
        "deterministic_histogram": "histograms are always deterministic",
        "save_model_on_termination": "the model is always kept when training is stopped",
        "dsplit": "rows are split by file",
    }


NOT_FOR_BOOSTER = {"num_round", "eval_metric", "early_stopping_rounds", "csv_weights"}


def train(job: Job[Hyperparameters]) -> None:
    """Train, print every metric each round, and leave the model with the master."""
    settings = job.hyperparameters
    check_settings(job)
    tables = load_tables(job, CHANNELS, dataclasses.replace(INPUT_FORMAT, csv_weights=settings.csv_weights == 1))
    check_labels(job.hosts, settings, tables)
    matrices = {name: matrix_of(table) for name, table in tables.items()}

    checkpoints = Checkpoints(job.checkpoint_folder, "xgboost-checkpoint")
    latest = checkpoints.latest()
    done = latest[0] + 1 if latest else 0
    job.stop.keep_model()
    try:
        booster = xgboost.train(
            booster_parameters(settings),
            matrices["train"],
            num_boost_round=max(0, settings.num_round - done),
            xgb_model=latest[1] if latest else None,
            evals=[(matrix, name) for name, matrix in matrices.items()],
            early_stopping_rounds=settings.early_stopping_rounds,
            verbose_eval=False,
            callbacks=[Rounds(job.hosts, job.stop, done, checkpoints)],
        )
    except xgboost.core.XGBoostError as error:
        if (problem := blame(error)) is None:
            raise
        raise ClientError(problem) from error
    if job.hosts.is_master:
        learned_libsvm = tables["train"].content_type == LIBSVM
        save_best(booster, job, is_linear=settings.booster == "gblinear", learned_libsvm=learned_libsvm)


def check_settings(job: Job[Hyperparameters]) -> None:
    settings = job.hyperparameters
    if settings.objective.startswith("multi:") and settings.num_class is None:
        raise ClientError(f"hyperparameters: num_class is required for {settings.objective}")
    if settings.num_class is not None and not settings.objective.startswith("multi:"):
        raise ClientError(
            f"hyperparameters: num_class is for multi:softmax and multi:softprob, not for {settings.objective}"
        )
    if settings.early_stopping_rounds and "validation" not in job.channels:
        raise ClientError("hyperparameters: early_stopping_rounds needs a validation channel")


def check_labels(hosts: Hosts, settings: Hyperparameters, tables: Mapping[str, Table]) -> None:
    problem = None
    for name, table in tables.items():
        wrong, rule = _wrong_labels(settings, table.labels)
        if len(wrong):
            problem = f"channel {name}: label {wrong[0]:g} does not fit {settings.objective}, it must be {rule}"
    hosts.fail_together(problem)


def _wrong_labels(settings: Hyperparameters, labels: FloatArray) -> tuple[FloatArray, str]:
    if settings.num_class:
        return labels[
            ~np.isin(labels, np.arange(settings.num_class))
        ], f"a whole number from 0 to {settings.num_class - 1}"
    if settings.objective.startswith("binary:") or settings.objective == "reg:logistic":
        return labels[(labels < 0) | (labels > 1)], "from 0 to 1"
    if settings.objective in ("count:poisson", "reg:gamma", "reg:tweedie"):
        return labels[labels < 0], "0 or more"
    return labels[:0], ""


def matrix_of(table: Table) -> xgboost.DMatrix:
    return xgboost.DMatrix(table.features, label=table.labels, weight=table.weights)


def booster_parameters(settings: Hyperparameters) -> dict[str, Any]:
    """XGBoost's parameters, by its own names."""
    given = {name.rstrip("_"): value for name, value in dataclasses.asdict(settings).items() if value is not None}
    parameters = {name: value for name, value in given.items() if name not in NOT_FOR_BOOSTER}
    if settings.objective == "reg:linear":  # the old name, gone from XGBoost
        parameters["objective"] = "reg:squarederror"
    if settings.eval_metric:
        parameters["eval_metric"] = [name.strip() for name in settings.eval_metric.strip("[]").split(",")]
    return parameters


class Rounds(xgboost.callback.TrainingCallback):
    """Prints a round's metrics as the hosted algorithm does, has the master write a checkpoint, and ends training
    when a host was stopped. done: the rounds in the checkpoint from which training continues."""

    def __init__(self, hosts: Hosts, stop: Stop, done: int, checkpoints: Checkpoints) -> None:
        self.hosts = hosts
        self.stop = stop
        self.done = done
        self.checkpoints = checkpoints

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
        scores = [
            f"{channel}-{metric}:{values[-1]:.5f}"
            for channel, log in evals_log.items()
            for metric, values in log.items()
        ]
        if self.hosts.is_master:
            print("\t".join([f"[{self.done + epoch}]", *scores]), flush=True)
            self.checkpoints.save(self.done + epoch, lambda: bytes(model.save_raw("ubj")))
        return self.hosts.any(self.stop.requested)


def save_best(booster: xgboost.Booster, job: Job[Hyperparameters], *, is_linear: bool, learned_libsvm: bool) -> None:
    """Save the booster, cut at its best round if training was to stop early."""
    if job.hyperparameters.early_stopping_rounds and not is_linear:
        booster = booster[: booster.best_iteration + 1]
    if learned_libsvm:
        booster.set_attr(**AS_TRAINED)
    (job.model_folder / FILE_NAME).write_bytes(booster.save_raw("ubj"))


def blame(error: xgboost.core.XGBoostError) -> str | None:
    """XGBoost's own sentence if it lays the blame on a parameter, else None."""
    for line in str(error).splitlines():
        if re.search(r"Unknown metric|Unknown updater|Invalid [Pp]arameter|constraint|for Parameter", line):
            return line.partition("] ")[2] or line
    return None
