"""What happens after each round: metrics are printed and checked, a checkpoint is written, training may end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from toolkit.checkpoints import Checkpoints
from toolkit.data import Table
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hosts import Hosts
from toolkit.lean_xgboost import xgboost
from toolkit.read_note import add_note
from toolkit.training import Job, Stop
from xgboost_metrics import OF_BOTH, is_better_when_larger

Log: TypeAlias = Mapping[str, Mapping[str, Any]]  # channel to metric to its value in each round


class Rounds(xgboost.callback.TrainingCallback):
    """Prints a round's metrics as the hosted algorithm does, has the master write a checkpoint, and ends training
    when a host was stopped. done: the rounds in the checkpoint from which training continues."""

    def __init__(self, hosts: Hosts, stop: Stop, done: int = 0, checkpoints: Checkpoints | None = None) -> None:
        self.hosts = hosts
        self.stop = stop
        self.done = done
        self.checkpoints = checkpoints

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        if self.hosts.is_master:
            print(line_of(self.done + epoch, {c: {m: v[-1] for m, v in log.items()} for c, log in evals_log.items()}))
            if self.checkpoints:
                self.checkpoints.save(self.done + epoch, lambda: bytes(model.save_raw("ubj")))
        return self.hosts.any(self.stop.requested)


def line_of(number: int, values: Mapping[str, Mapping[str, float]]) -> str:
    """A round's metrics in one line, as XGBoost prints them."""
    scores = [f"{channel}-{metric}:{value:.5f}" for channel, log in values.items() for metric, value in log.items()]
    return "\t".join([f"[{number}]", *scores])


class Finite(xgboost.callback.TrainingCallback):
    """Ends training as soon as a metric is not a number, since its model would not be one to keep.

    An area under a curve cannot be computed where the labels are of one class. That is said once, unless training is to
    stop by it: XGBoost would keep the first round. tables: the rows of each channel, for the reason. watched: the
    metric of validation by which training stops early, if it does.
    """

    def __init__(self, job: Job[Any], tables: Mapping[str, Table], watched: str | None) -> None:
        self.job = job
        self.hosts = job.hosts
        self.tables = tables
        self.watched = watched
        self.not_computed: set[tuple[str, str]] = set()

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        for channel, log in evals_log.items():
            for metric, values in log.items():
                if math.isfinite(values[-1]) or (channel, metric) in self.not_computed:
                    continue
                if epoch or metric.partition("@")[0] not in OF_BOTH:
                    require_finite(self.hosts, {f"{channel}:{metric} of round {epoch}": values[-1]}, self.tables)
                self._cannot_compute(channel, metric)
        return False

    def _cannot_compute(self, channel: str, metric: str) -> None:
        why = f"{channel}:{metric} cannot be computed: {self._labels_of(channel)}"
        if channel == "validation" and metric == self.watched:
            raise ClientError(
                f"{why}, and early_stopping_rounds watches it; "
                "give the channel rows of each class, or name another metric last in eval_metric"
            )
        self.not_computed.add((channel, metric))
        add_note(self.job, channel, why)

    def _labels_of(self, channel: str) -> str:
        kinds = np.unique(self.hosts.gathered(np.unique(self.tables[channel].labels)))
        if len(kinds) == 1:
            return f"all labels of channel {channel} are {kinds[0]:g}"
        return f"the labels of channel {channel} are not 0 and 1, or not of all classes"


def early_stopping(rounds: int, watched: str | None) -> Any:
    """By one metric of validation; None: the objective's own."""
    return xgboost.callback.EarlyStopping(
        rounds=rounds,
        metric_name=watched,
        data_name="validation",
        maximize=is_better_when_larger(watched) if watched else None,
    )
