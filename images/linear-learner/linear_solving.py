"""The loss of linear-learner over all hosts' rows, and its minimum, found by L-BFGS.

Losses with a bend leave L-BFGS short of their minimum; a few steps of Newton's method reach it.
"""

from __future__ import annotations

from collections.abc import Mapping

import linear_loss
import linear_metrics
import numpy as np
from linear_scaling import Scaled
from linear_settings import Hyperparameters
from toolkit.hosts import Hosts
from toolkit.rows import FloatArray
from toolkit.solving import Ask, minimise, solve_on_master
from toolkit.sparse import require_memory
from toolkit.training import Stop

DEFAULT_WEIGHT_DECAY = 1e-4
PAST_STEPS = 10  # that L-BFGS remembers
WORKING_VECTORS = 12  # of the size of a point, that it and the loss need besides
NEWTON_STEPS = 50
SETTLED_WHEN_STEP_IS_BELOW = 1e-11
ROUNDING = 1e-14  # of a loss that is the mean of many
NEWTON_FEATURES = 2000  # with more the matrix of curvatures costs more than it is worth


class Objective:
    """Loss and gradient over all hosts at a point, and the penalties.

    A point is the flat array of weights (features by outputs), then biases. All hosts must
    evaluate the same points in the same order.
    """

    def __init__(self, hosts: Hosts, settings: Hyperparameters, tables: Mapping[str, Scaled], stop: Stop) -> None:
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
        self.feature_count = self.train.feature_count
        is_multiclass = settings.predictor_type == "multiclass_classifier"
        self.output_count = settings.num_classes if is_multiclass and settings.num_classes else 1
        self.epochs = settings.epochs
        self.use_bias = settings.use_bias
        self.l1 = 0.0 if settings.l1 == "auto" else settings.l1
        self.l2 = DEFAULT_WEIGHT_DECAY if settings.wd == "auto" else settings.wd
        self.row_weights = self._row_weights(settings)
        self.total_weight = float(hosts.sum(np.array([self.row_weights.sum()]))[0])
        self.losses: dict[str, float] = {}
        vectors = (2 * PAST_STEPS + WORKING_VECTORS) * (2 if self.l1 else 1)
        what = f"a model of {self.feature_count} features and {self.output_count} outputs, with its solver's memory,"
        require_memory(8 * self.size * vectors, what)
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
        losses, slopes, _ = self.loss(self.train.times(weights) + biases, self.train.labels)
        slopes *= self.row_weights[:, np.newaxis]
        gradient = np.vstack([self.train.transposed_times(slopes), slopes.sum(axis=0)])
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
        losses = self.loss(self.validation.times(weights) + biases, self.validation.labels).values
        return [float(losses.sum()), float(len(losses))]

    def curvatures(self, point: FloatArray) -> FloatArray:
        """The second derivatives of what a call gives, shape (size, size); of a model with one output."""
        weights, biases = self.split(point)
        bends = self.loss(self.train.times(weights) + biases, self.train.labels).curvatures * self.row_weights
        matrix = np.zeros((self.size, self.size))
        for own, rows in self.train.blocks():
            columns = np.column_stack([rows, np.full(len(rows), float(self.use_bias))])
            matrix += columns.T @ (bends[own, np.newaxis] * columns)
        matrix = self.hosts.sum(matrix) / self.total_weight
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


def solve(objective: Objective) -> FloatArray:
    """The point of least loss, on every host."""

    def solver(ask: Ask) -> FloatArray:
        point = _lbfgs(objective, ask)
        if objective.is_bent and not objective.l1 and objective.feature_count <= NEWTON_FEATURES:
            return _newton(objective, ask, point)
        return point

    return solve_on_master(objective.hosts, (objective, objective.curvatures), solver)


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
        past_steps=PAST_STEPS,
    )
    return point_of(variables)
