"""Training of linear-learner: one convex loss, minimised by L-BFGS over all hosts' rows.

N hosts find the model that one would find (`toolkit.solving`). The model is written for raw rows: normalisation is
folded into the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import linear_loss
import linear_metrics
import numpy as np
from linear_metrics import Measures
from linear_model import Linear
from linear_scaling import Scaling
from linear_settings import Hyperparameters
from linear_solving import Objective, solve
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hosts import Hosts
from toolkit.reading import LabelRule
from toolkit.rows import FloatArray
from toolkit.sparse import thinned
from toolkit.training import Job

CHANNELS = ("train", "validation", "test")
RENUMBER = {
    "binary_classifier": "write 0 and 1 instead of the labels, or use predictor_type: regressor for quantities",
    "multiclass_classifier": "number the classes from 0 without gaps, and set num_classes to how many there are",
}


def train(job: Job[Hyperparameters]) -> None:
    """Train, print metrics on every channel, and leave the model with the master."""
    settings = job.hyperparameters
    check_settings(settings)
    hint = "predictor_type=regressor learns quantities; binary_classifier and multiclass_classifier learn classes"
    quantities = hint if settings.predictor_type == "regressor" else ""
    input_format = InputFormat(keep_sparse=True, quantities=quantities, label_rule=label_rule(settings))
    tables = thinned(job.hosts, load_tables(job, CHANNELS, input_format, feature_dim=settings.feature_dim))
    check_tables(job.hosts, settings, tables)

    scaling = Scaling.of(job.hosts, tables["train"], settings)
    require_finite(job.hosts, {"deviations of features": scaling.deviations}, tables)
    objective = Objective(
        job.hosts, settings, {name: scaling.scaled(table) for name, table in tables.items()}, job.stop
    )
    job.stop.keep_model()
    solution = solve(objective)
    objective(solution)
    weights, biases = scaling.unscaled(*objective.split(solution))

    judged = {
        name: (job.hosts.gathered(table.labels), job.hosts.gathered(table.features @ weights + biases))
        for name, table in tables.items()
    }
    scores = {f"scores of channel {name}": margins for name, (_, margins) in judged.items()}
    model = {"weights": weights, "biases": biases, "train objective_loss": objective.losses["train"]}
    require_finite(job.hosts, model | scores, tables)
    threshold = threshold_for(settings, *judged.get("validation", judged["train"]))
    measures = Measures(settings.predictor_type, threshold, settings.f_beta, settings.accuracy_top_k)
    for name, (labels, margins) in judged.items():
        values = linear_metrics.metrics(measures, labels, margins)
        defined = {f"{name} {metric}": value for metric, value in values.items() if not math.isnan(value)}
        require_finite(job.hosts, defined, tables)
        if job.hosts.is_master:
            linear_metrics.report(name, values)
    if job.hosts.is_master:
        scores_are_chances = settings.loss != "hinge_loss"
        Linear(settings.predictor_type, weights, biases, threshold, scores_are_chances).save(job.model_folder)


def threshold_for(settings: Hyperparameters, labels: FloatArray, margins: FloatArray) -> float:
    """The margin above which a row is taken for 1; rows of one class alone do not move it."""
    if settings.predictor_type != "binary_classifier":
        return 0.0
    criterion = settings.binary_classifier_model_selection_criteria
    if criterion not in linear_metrics.AT_ZERO and (labels == labels[0]).all():
        return 0.0
    target = settings.target_recall if criterion.endswith("recall") else settings.target_precision
    return linear_metrics.calibrated(criterion, target, settings.f_beta, labels, margins)


def check_settings(settings: Hyperparameters) -> None:
    fitting = linear_loss.FITTING[settings.predictor_type]
    if settings.loss not in ("auto", *fitting):
        raise ClientError(
            f"hyperparameters: loss={settings.loss} does not fit {settings.predictor_type}; {', '.join(fitting)} do"
        )
    if settings.predictor_type == "multiclass_classifier" and settings.num_classes is None:
        raise ClientError("hyperparameters: num_classes is required for multiclass_classifier")


def label_rule(settings: Hyperparameters) -> LabelRule | None:
    """Which labels fit; None if all do."""
    if settings.predictor_type == "regressor":
        return None
    classes = 2 if settings.predictor_type == "binary_classifier" else settings.num_classes or 0

    def first_misfit(labels: FloatArray) -> tuple[int, str, str] | None:
        fits = np.isin(labels, np.arange(classes))
        if fits.all():
            return None
        row, rule = int(np.argmin(fits)), f"a whole number from 0 to {classes - 1}"
        why = f"label {labels[row]:g} is not {rule}, as {settings.predictor_type} needs"
        # Where the label is no whole number, the reader's own hint fits: perhaps it is another column.
        return row, why, f"; {RENUMBER[settings.predictor_type]}" if labels[row].is_integer() else ""

    return first_misfit


def check_tables(hosts: Hosts, settings: Hyperparameters, tables: Mapping[str, Table]) -> None:
    """Raise ClientError on all hosts for labels that do not fit."""
    rule, problem = label_rule(settings), None
    for name, table in tables.items():
        if rule and (misfit := rule(table.labels)):
            problem = f"channel {name}: {misfit[1]}{misfit[2]}"
    hosts.fail_together(problem)
    if settings.predictor_type == "binary_classifier" and settings.positive_example_weight_mult == "balanced":
        check_both_classes(hosts, tables["train"].labels)


def check_both_classes(hosts: Hosts, labels: FloatArray) -> None:
    positives, total = hosts.sum(np.array([np.sum(labels == 1), len(labels)]))
    if positives in (0, total):
        raise ClientError(
            f"channel train: all labels are {int(positives > 0)}, but positive_example_weight_mult=balanced needs rows "
            "of both classes; add some of the other, or give a number"
        )
