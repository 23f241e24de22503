"""Training of factorization-machines: the loss over all hosts' rows, minimised by L-BFGS.

The solver starts at a random point, and N hosts take the steps that one would take (`toolkit.solving`).
Sparse rows stay sparse, and features that are zero in all rows of all hosts are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
from machine_model import Machine, margins, squares
from numpy.typing import NDArray
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Auto, Declaration, Range
from toolkit.metrics import report
from toolkit.probabilities import sigmoid
from toolkit.rows import FloatArray
from toolkit.solving import BY_SOLVER, Ask, minimise, solve_on_master
from toolkit.sparse import Rows
from toolkit.training import Job, Stop

SEED = 0
CHANNELS = ("train", "test")
PAST_STEPS = 6  # that the solver remembers

NOT_NEGATIVE = Range(minimum=0)
Start: TypeAlias = Literal["normal", "uniform", "constant"]
START_HELP = "How it is initialized"
SCALE_HELP = "uniform: draw from -scale to scale"
SIGMA_HELP = "normal: standard deviation"
VALUE_HELP = "constant: the value"


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted algorithm's hyperparameters that have a meaning here."""

    num_factors: Annotated[
        int, Range(minimum=1), "Length of the vector that describes a feature's interactions with others"
    ]
    predictor_type: Annotated[Literal["binary_classifier", "regressor"], "Whether the label is 0 or 1, or a quantity"]
    feature_dim: Annotated[int | Auto, Range(minimum=1), "Number of features; auto: as the data has"] = "auto"
    epochs: Annotated[int, Range(minimum=1), "Maximum solver steps; each one reads all rows"] = 100
    bias_wd: Annotated[float, NOT_NEGATIVE, "L2 penalty on the bias (weight decay)"] = 0.01
    linear_wd: Annotated[float, NOT_NEGATIVE, "L2 penalty on the weights"] = 0.001
    factors_wd: Annotated[float, NOT_NEGATIVE, "L2 penalty on the factors"] = 0.00001
    bias_init_method: Annotated[Start, START_HELP] = "normal"
    bias_init_scale: Annotated[float | None, NOT_NEGATIVE, SCALE_HELP] = None
    bias_init_sigma: Annotated[float, NOT_NEGATIVE, SIGMA_HELP] = 0.01
    bias_init_value: Annotated[float | None, VALUE_HELP] = None
    linear_init_method: Annotated[Start, START_HELP] = "normal"
    linear_init_scale: Annotated[float | None, NOT_NEGATIVE, SCALE_HELP] = None
    linear_init_sigma: Annotated[float, NOT_NEGATIVE, SIGMA_HELP] = 0.01
    linear_init_value: Annotated[float | None, VALUE_HELP] = None
    factors_init_method: Annotated[Start, START_HELP] = "normal"
    factors_init_scale: Annotated[float | None, NOT_NEGATIVE, SCALE_HELP] = None
    factors_init_sigma: Annotated[float, NOT_NEGATIVE, SIGMA_HELP] = 0.001
    factors_init_value: Annotated[float | None, VALUE_HELP] = None

    IGNORED: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("mini_batch_size", "bias_lr", "linear_lr", "factors_lr", "clip_gradient", "eps", "rescale_grad"), BY_SOLVER
    )


def train(job: Job[Hyperparameters]) -> None:
    """Train, print metrics on both channels, and leave the model with the master."""
    settings, hosts = job.hyperparameters, job.hosts
    check_settings(settings)
    is_classifier = settings.predictor_type == "binary_classifier"
    hint = "predictor_type=regressor learns quantities; binary_classifier learns classes"
    rule = first_misfit if is_classifier else None
    input_format = InputFormat(keep_sparse=True, quantities="" if is_classifier else hint, label_rule=rule)
    tables = load_tables(job, CHANNELS, input_format, feature_dim=settings.feature_dim)
    if is_classifier:
        check_labels(hosts, tables)

    width = tables["train"].features.shape[1]
    columns = met(hosts, tables["train"].features)
    kept = {name: Table(table.labels, narrowed(table.features, columns)) for name, table in tables.items()}
    objective = Objective(hosts, settings, kept["train"], job.stop)
    job.stop.keep_model()
    bias, weights, factors = objective.split(solve(objective))
    machine = Machine(is_classifier, width, columns, float(bias), weights, factors)
    require_finite(hosts, {"weights": weights, "factors": factors, "bias": bias}, tables)

    for name, table in kept.items():
        scores, labels = hosts.gathered(machine.margins(table.features)), hosts.gathered(table.labels)
        values = metrics(scores, labels, is_classifier=is_classifier)
        require_finite(hosts, {f"{name} {metric}": value for metric, value in values.items()}, tables)
        for metric, value in values.items():
            report(hosts, name, metric, value)
    if hosts.is_master:
        machine.save(job.model_folder)


def check_settings(settings: Hyperparameters) -> None:
    problems = []
    for part in ("bias", "linear", "factors"):
        for method, partner in (("uniform", f"{part}_init_scale"), ("constant", f"{part}_init_value")):
            if getattr(settings, f"{part}_init_method") == method and getattr(settings, partner) is None:
                problems.append(f"{part}_init_method={method} needs {partner}")
    if problems:
        raise ClientError("hyperparameters: " + "; ".join(problems))


def first_misfit(labels: FloatArray) -> tuple[int, str, str] | None:
    """The first label that binary_classifier cannot take, with the reason and a fix."""
    fits = np.isin(labels, (0, 1))
    if fits.all():
        return None
    label = labels[row := int(np.argmin(fits))]
    fix = "; write 0 and 1" if label.is_integer() else ""
    return row, f"label {label:g} is neither 0 nor 1, as binary_classifier needs", fix


def check_labels(hosts: Hosts, tables: Mapping[str, Table]) -> None:
    """Raise ClientError on all hosts for labels that do not fit."""
    problem = None
    for name, table in tables.items():
        if misfit := first_misfit(table.labels):
            problem = f"channel {name}: {misfit[1]}{misfit[2]}"
    hosts.fail_together(problem)


def met(hosts: Hosts, rows: Rows) -> NDArray[np.int64]:
    """The features that are not zero in every row of all hosts."""
    counts = np.count_nonzero(rows, axis=0) if isinstance(rows, np.ndarray) else rows.count_nonzero(axis=0)
    return np.flatnonzero(hosts.sum(counts.astype(np.int64)))


def narrowed(rows: Rows, columns: NDArray[np.int64]) -> Rows:
    return rows if len(columns) == rows.shape[1] else rows[:, columns]


class Objective:
    """Loss and gradient over all hosts at a point, with the penalties.

    A point is the flat array of the bias, the weights, and the factors feature by feature. All
    hosts must evaluate the same points in the same order.
    """

    def __init__(self, hosts: Hosts, settings: Hyperparameters, table: Table, stop: Stop) -> None:
        self.hosts = hosts
        self.settings = settings
        self.stop = stop
        self.table = table
        self.squares = squares(table.features)
        self.width = table.features.shape[1]
        self.is_classifier = settings.predictor_type == "binary_classifier"
        self.row_count = hosts.numbered(len(table.labels))[1]
        sizes = (1, self.width, self.width * settings.num_factors)
        self.penalties = np.repeat((settings.bias_wd, settings.linear_wd, settings.factors_wd), sizes)
        self.loss = math.nan
        self.must_stop = False

    def split(self, point: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        bias, weights, factors = np.split(point, [1, 1 + self.width])
        return bias[0], weights, factors.reshape(self.width, self.settings.num_factors)

    def start(self) -> FloatArray:
        rng = np.random.default_rng(SEED)
        sizes = {"bias": 1, "linear": self.width, "factors": self.width * self.settings.num_factors}
        return np.concatenate([self._start_of(part, size, rng) for part, size in sizes.items()])

    def _start_of(self, part: str, size: int, rng: np.random.Generator) -> FloatArray:
        method, scale, sigma, value = (
            getattr(self.settings, f"{part}_init_{name}") for name in ("method", "scale", "sigma", "value")
        )
        if method == "constant":
            return np.full(size, value)
        return rng.uniform(-scale, scale, size) if method == "uniform" else rng.normal(scale=sigma, size=size)

    def __call__(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Penalised mean loss and its gradient; `loss` and `must_stop` are set on the way."""
        bias, weights, factors = self.split(point)
        rows, labels = self.table.features, self.table.labels
        scores, sums = margins(rows, self.squares, float(bias), weights, factors)
        if self.is_classifier:
            losses, slopes = np.logaddexp(0.0, scores) - labels * scores, sigmoid(scores) - labels
        else:
            losses, slopes = (scores - labels) ** 2, 2.0 * (scores - labels)
        by_factor = rows.T @ (slopes[:, np.newaxis] * sums) - (self.squares.T @ slopes)[:, np.newaxis] * factors
        own = [[slopes.sum()], rows.T @ slopes, by_factor.ravel(), [losses.sum(), float(self.stop.requested)]]
        total = self.hosts.sum(np.concatenate(own))
        self.loss = float(total[-2]) / self.row_count
        self.must_stop = bool(total[-1])
        gradient = total[:-2] / self.row_count + self.penalties * point
        return self.loss + 0.5 * float(self.penalties @ point**2), gradient


def solve(objective: Objective) -> FloatArray:
    """The point of least penalised loss that the master's solver finds, on every host."""
    hosts = objective.hosts

    def after_epoch(epoch: int) -> bool:
        report(hosts, f"epoch={epoch}, train", "objective_loss", objective.loss, kind="loss")
        return objective.must_stop

    def solver(ask: Ask) -> FloatArray:
        return minimise(
            lambda point: ask(objective, point),
            objective.start(),
            epochs=objective.settings.epochs,
            after_epoch=after_epoch,
            past_steps=PAST_STEPS,
        )

    return solve_on_master(hosts, (objective,), solver)


def metrics(scores: FloatArray, labels: FloatArray, *, is_classifier: bool) -> dict[str, float]:
    """Named as the hosted algorithm names them."""
    if not is_classifier:
        errors = scores - labels
        mse = float(np.mean(errors**2))
        return {"mse": mse, "rmse": math.sqrt(mse), "absolute_loss": float(np.mean(np.abs(errors)))}
    chosen, positive = scores > 0, labels == 1
    hits = float(np.sum(chosen & positive))
    return {
        "binary_classification_accuracy": float(np.mean(chosen == positive)),
        "binary_classification_cross_entropy": float(np.mean(np.logaddexp(0.0, scores) - labels * scores)),
        "binary_f_beta": 2 * hits / max(1.0, float(np.sum(chosen) + np.sum(positive))),
    }
