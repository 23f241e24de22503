"""Training of linear-learner: one convex loss, minimised by L-BFGS over all hosts' rows.

N hosts find the model that one would find (`toolkit.solving`). Losses with a bend leave L-BFGS short of their minimum;
a few steps of Newton's method reach it. The model is written for raw rows: normalisation is folded into the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import linear_loss
import linear_metrics
import numpy as np
from linear_metrics import Measures
from linear_model import Linear
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Auto, Declaration, Range
from toolkit.moments import moments_of
from toolkit.rows import FloatArray
from toolkit.solving import BY_SOLVER, Ask, minimise, solve_on_master
from toolkit.training import Job, Stop

DEFAULT_WEIGHT_DECAY = 1e-4
NEWTON_STEPS = 50
SETTLED_WHEN_STEP_IS_BELOW = 1e-11
ROUNDING = 1e-14  # of a loss that is the mean of many
NEWTON_FEATURES = 2000  # with more the matrix of curvatures costs more than it is worth
CHANNELS = ("train", "validation", "test")


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted linear learner's hyperparameters that have a meaning here."""

    predictor_type: Annotated[
        Literal["binary_classifier", "multiclass_classifier", "regressor"],
        "What the label is: 0 or 1, a class number, or a quantity",
    ]
    num_classes: Annotated[
        int | None, Range(minimum=2), "Number of classes, with labels 0 to num_classes-1; for multiclass_classifier"
    ] = None
    feature_dim: Annotated[int | Auto, Range(minimum=1), "Number of features; checked against the data"] = "auto"
    loss: Annotated[
        Literal[
            "auto",
            "logistic",
            "hinge_loss",
            "softmax_loss",
            "squared_loss",
            "absolute_loss",
            "eps_insensitive_squared_loss",
            "eps_insensitive_absolute_loss",
            "quantile_loss",
            "huber_loss",
        ],
        "auto: logistic, softmax_loss or squared_loss, depending on predictor_type",
    ] = "auto"
    margin: Annotated[
        float, Range(minimum=0), "How far from the decision boundary each row should be; for hinge_loss"
    ] = 1.0
    quantile: Annotated[
        float, Range(above=0, below=1), "Fraction of labels that should be below the prediction; for quantile_loss"
    ] = 0.5
    loss_insensitivity: Annotated[
        float, Range(above=0), "Errors up to this cost nothing in eps_insensitive losses; relative to normalised labels"
    ] = 0.01
    huber_delta: Annotated[
        float, Range(above=0), "Error at which huber_loss turns from squared to linear; relative to normalised labels"
    ] = 1.0
    epochs: Annotated[int, Range(minimum=1), "Maximum solver steps; each one reads all rows"] = 100
    l1: Annotated[float | Auto, Range(minimum=0), "L1 penalty on the weights; auto: 0"] = "auto"
    wd: Annotated[float | Auto, Range(minimum=0), "L2 penalty on the weights (weight decay); auto: 0.0001"] = "auto"
    use_bias: Annotated[bool, "Whether the model has an intercept"] = True
    normalize_data: Annotated[
        bool | Auto, "Whether to scale features to mean 0 and standard deviation 1 for training"
    ] = "auto"
    normalize_label: Annotated[bool | Auto, "Whether to scale the label in the same way; auto: only for regressor"] = (
        "auto"
    )
    positive_example_weight_mult: Annotated[
        float | Literal["balanced"],
        Range(above=0),
        "Weight of rows with label 1; balanced: both classes count the same",
    ] = 1.0
    balance_multiclass_weights: Annotated[bool, "Whether all classes count the same; for multiclass_classifier"] = False
    binary_classifier_model_selection_criteria: Annotated[
        Literal["accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision", "loss_function"],
        "Metric to tune a binary classifier's threshold for, on validation if given, otherwise on train; "
        "accuracy and loss_function leave it where both classes are equally likely",
    ] = "accuracy"
    target_recall: Annotated[float, Range(above=0, maximum=1), "Recall to reach; for precision_at_target_recall"] = 0.8
    target_precision: Annotated[
        float, Range(above=0, maximum=1), "Precision to reach; for recall_at_target_precision"
    ] = 0.8
    f_beta: Annotated[float, Range(above=0), "How many times as much recall counts as precision; for F scores"] = 1.0
    accuracy_top_k: Annotated[
        int,
        Range(minimum=1),
        "Number of likeliest classes that may include the right one; for multiclass_top_k_accuracy",
    ] = 3

    IGNORED: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            *("mini_batch_size", "optimizer", "learning_rate", "momentum", "beta_1", "beta_2"),
            *("bias_lr_mult", "bias_wd_mult", "use_lr_scheduler", "lr_scheduler_step"),
            *("lr_scheduler_factor", "lr_scheduler_minimum_lr", "init_method", "init_scale", "init_sigma", "init_bias"),
            *("num_models", "early_stopping_patience", "early_stopping_tolerance", "num_point_for_scaler"),
            *("num_calibration_samples", "unbias_data", "unbias_label"),
        ),
        BY_SOLVER,
    )


def train(job: Job[Hyperparameters]) -> None:
    """Train, print metrics on every channel, and leave the model with the master."""
    settings = job.hyperparameters
    check_settings(settings)
    feature_dim = None if settings.feature_dim == "auto" else settings.feature_dim
    tables = load_tables(job, CHANNELS, InputFormat(), feature_dim=feature_dim)
    check_tables(job.hosts, settings, tables)

    scaling = Scaling.of(job.hosts, tables["train"], settings)
    require_finite(job.hosts, {"deviations of features": scaling.deviations}, tables)
    objective = Objective(
        job.hosts, settings, {name: scaling.scaled(table) for name, table in tables.items()}, job.stop
    )
    job.stop.keep_model()
    weights, biases = scaling.unscaled(*solve(objective))

    judged = {
        name: (job.hosts.gathered(table.labels), job.hosts.gathered(table.features @ weights + biases))
        for name, table in tables.items()
    }
    scores = {f"scores of channel {name}": margins for name, (_, margins) in judged.items()}
    require_finite(job.hosts, {"weights": weights, "biases": biases} | scores, tables)
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
    """The margin above which a row is taken for 1."""
    if settings.predictor_type != "binary_classifier":
        return 0.0
    criterion = settings.binary_classifier_model_selection_criteria
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


def check_tables(hosts: Hosts, settings: Hyperparameters, tables: Mapping[str, Table]) -> None:
    """Raise ClientError on all hosts for labels that do not fit."""
    problem = None
    classes = {"binary_classifier": 2, "multiclass_classifier": settings.num_classes}.get(settings.predictor_type)
    for name, table in tables.items():
        wrong = table.labels[~np.isin(table.labels, np.arange(classes))] if classes else np.empty(0)
        if len(wrong):
            problem = f"channel {name}: label {wrong[0]:g} is not a whole number from 0 to {(classes or 0) - 1}"
    hosts.fail_together(problem)


@dataclass(frozen=True)
class Scaling:
    """The linear map between raw rows and rows of mean 0 and deviation 1."""

    means: FloatArray
    deviations: FloatArray
    label_mean: float
    label_deviation: float

    @classmethod
    def of(cls, hosts: Hosts, table: Table, settings: Hyperparameters) -> Scaling:
        is_regressor = settings.predictor_type == "regressor"
        columns = np.column_stack([table.features, table.labels])
        means, deviations = _means_and_deviations(hosts, columns)
        if settings.normalize_data is False:
            means[:-1], deviations[:-1] = 0.0, 1.0
        if not settings.use_bias:
            means[:] = 0.0  # shifting would smuggle the intercept in
        if not is_regressor or settings.normalize_label is False:
            means[-1], deviations[-1] = 0.0, 1.0
        return cls(means[:-1], deviations[:-1], float(means[-1]), float(deviations[-1]))

    def scaled(self, table: Table) -> Table:
        return Table(
            (table.labels - self.label_mean) / self.label_deviation, (table.features - self.means) / self.deviations
        )

    def unscaled(self, weights: FloatArray, biases: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weights and biases that give for raw rows what these give for scaled rows."""
        weights = weights * self.label_deviation / self.deviations[:, np.newaxis]
        biases = biases * self.label_deviation + self.label_mean
        return weights, biases - self.means @ weights


def _means_and_deviations(hosts: Hosts, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation of each column over all hosts; the deviation of a constant column is 1."""
    means, variances = moments_of(hosts, columns)
    deviations = np.sqrt(variances)
    constant = deviations <= 1e-12 * np.abs(means)
    return means, np.where(constant, 1.0, deviations)


class Objective:
    """Loss and gradient over all hosts at a point, and the penalties.

    A point is the flat array of weights (features by outputs), then biases. All hosts must
    evaluate the same points in the same order.
    """

    def __init__(self, hosts: Hosts, settings: Hyperparameters, tables: Mapping[str, Table], stop: Stop) -> None:
        self.hosts = hosts
        self.stop = stop
        self.train = tables["train"]
        self.validation = tables.get("validation")
        fitting = linear_loss.FITTING[settings.predictor_type]
        name = fitting[0] if settings.loss == "auto" else settings.loss
        self.loss = linear_loss.choose(
            name,
            linear_loss.Shape(settings.huber_delta, settings.quantile, settings.loss_insensitivity, settings.margin),
        )
        self.is_bent = name in linear_loss.BENT
        self.feature_count: int = self.train.features.shape[1]
        is_multiclass = settings.predictor_type == "multiclass_classifier"
        self.output_count = settings.num_classes if is_multiclass and settings.num_classes else 1
        self.epochs = settings.epochs
        self.use_bias = settings.use_bias
        self.l1 = 0.0 if settings.l1 == "auto" else settings.l1
        self.l2 = DEFAULT_WEIGHT_DECAY if settings.wd == "auto" else settings.wd
        self.row_weights = self._row_weights(settings)
        self.total_weight = float(hosts.sum(np.array([self.row_weights.sum()]))[0])
        self.losses: dict[str, float] = {}
        self.must_stop = False

    @property
    def size(self) -> int:
        return (self.feature_count + 1) * self.output_count

    def split(self, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        matrix = point.reshape(self.feature_count + 1, self.output_count)
        return matrix[:-1], matrix[-1]

    def __call__(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Penalised mean loss (without L1) and its gradient; `losses` and `must_stop` are set on the way."""
        weights, biases = self.split(point)
        losses, slopes, _ = self.loss(self.train.features @ weights + biases, self.train.labels)
        slopes *= self.row_weights[:, np.newaxis]
        gradient = np.vstack([self.train.features.T @ slopes, slopes.sum(axis=0)])
        sums = self.hosts.sum(
            np.concatenate(
                [
                    gradient.ravel(),
                    [losses @ self.row_weights],
                    self._validation_sums(weights, biases),
                    [float(self.stop.requested)],
                ]
            )
        )
        mean_loss = sums[self.size] / self.total_weight
        self.losses = {"train": float(mean_loss)}
        if self.validation is not None:
            self.losses["validation"] = float(sums[self.size + 1] / sums[self.size + 2])
        self.must_stop = bool(sums[-1])
        return self._penalised(float(mean_loss), sums[: self.size] / self.total_weight, weights)

    def _penalised(self, loss: float, gradient: FloatArray, weights: FloatArray) -> tuple[float, FloatArray]:
        matrix = gradient.reshape(self.feature_count + 1, self.output_count)
        matrix[:-1] += self.l2 * weights
        if not self.use_bias:
            matrix[-1] = 0.0
        return loss + 0.5 * self.l2 * float(np.sum(weights**2)), matrix.ravel()

    def _validation_sums(self, weights: FloatArray, biases: FloatArray) -> list[float]:
        if self.validation is None:
            return [0.0, 0.0]
        losses = self.loss(self.validation.features @ weights + biases, self.validation.labels).values
        return [float(losses.sum()), float(len(losses))]

    def curvatures(self, point: FloatArray) -> FloatArray:
        """The second derivatives of what a call gives, shape (size, size); of a model with one output."""
        weights, biases = self.split(point)
        bends = self.loss(self.train.features @ weights + biases, self.train.labels).curvatures * self.row_weights
        columns = np.column_stack([self.train.features, np.full(len(bends), float(self.use_bias))])
        matrix = self.hosts.sum(columns.T @ (bends[:, np.newaxis] * columns)) / self.total_weight
        matrix[np.diag_indices(self.size - 1)] += self.l2
        return matrix

    def _row_weights(self, settings: Hyperparameters) -> FloatArray:
        labels = self.train.labels
        weights = np.ones(len(labels))
        if settings.predictor_type == "binary_classifier":
            negatives, positives = self._class_sizes(labels, 2)
            multiple = settings.positive_example_weight_mult
            weights[labels == 1] = negatives / max(positives, 1.0) if multiple == "balanced" else multiple
        elif settings.predictor_type == "multiclass_classifier" and settings.balance_multiclass_weights:
            weights = (1.0 / np.maximum(self._class_sizes(labels, self.output_count), 1.0))[labels.astype(int)]
        return weights

    def _class_sizes(self, labels: FloatArray, classes: int) -> FloatArray:
        return self.hosts.sum(np.bincount(labels.astype(int), minlength=classes).astype(float))


def solve(objective: Objective) -> tuple[FloatArray, FloatArray]:
    """Weights and biases at the minimum, on every host."""

    def solver(ask: Ask) -> FloatArray:
        point = _lbfgs(objective, ask)
        if objective.is_bent and not objective.l1 and objective.feature_count <= NEWTON_FEATURES:
            return _newton(objective, ask, point)
        return point

    return objective.split(solve_on_master(objective.hosts, (objective, objective.curvatures), solver))


def _newton(objective: Objective, ask: Ask, point: FloatArray) -> FloatArray:
    """The minimum near `point`, to the last digits, by Newton's method with halved steps.

    On a loss of parabolas and lines this takes a few steps, and two runs that arrive by different paths end at the
    same point.
    """
    loss, gradient = ask(objective, point)
    for _ in range(NEWTON_STEPS):
        step = np.linalg.lstsq(ask(objective.curvatures, point), gradient)[0]
        for share in 0.5 ** np.arange(20):
            new_loss, new_gradient = ask(objective, point - share * step)
            if new_loss <= loss + ROUNDING * abs(loss):
                point, loss, gradient = point - share * step, new_loss, new_gradient
                break
        else:
            return point
        if objective.must_stop or np.abs(step).max() <= SETTLED_WHEN_STEP_IS_BELOW:
            return point
    return point


def _lbfgs(objective: Objective, ask: Ask) -> FloatArray:
    """The point of least penalised loss. With L1, weights are the difference of two arrays kept above 0,
    which makes the penalty a plain sum and the problem one with bounds."""
    size = objective.size
    penalty = np.zeros((objective.feature_count + 1, objective.output_count))
    penalty[:-1] = objective.l1

    def point_of(variables: FloatArray) -> FloatArray:
        return variables[:size] - variables[size:] if objective.l1 else variables

    def loss_and_gradient(variables: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = ask(objective, point_of(variables))
        if not objective.l1:
            return loss, gradient
        both = np.concatenate([gradient + penalty.ravel(), penalty.ravel() - gradient])
        return loss + float(np.tile(penalty.ravel(), 2) @ variables), both

    def after_epoch(epoch: int) -> bool:
        print(linear_metrics.epoch_line(epoch, objective.losses), flush=True)
        return objective.must_stop

    variables = minimise(
        loss_and_gradient,
        np.zeros(2 * size if objective.l1 else size),
        epochs=objective.epochs,
        after_epoch=after_epoch,
        is_positive=bool(objective.l1),
    )
    return point_of(variables)
