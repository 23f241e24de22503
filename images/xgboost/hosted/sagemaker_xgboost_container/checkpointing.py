"""Checkpoints of a training script: a file for each round, of which training continues after an interruption."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import xgboost
from xgboost.callback import TrainingCallback

CHECKPOINT_FILENAME = "xgboost-checkpoint"
HOSTED_BASE = "/opt/ml"


def train(train_args: dict[str, Any], checkpoint_dir: str) -> xgboost.Booster:
    """`xgboost.train(**train_args)`, continued from the latest checkpoint, with one for each round."""
    given = dict(train_args)
    model, done = load_checkpoint(checkpoint_dir)
    given["callbacks"] = [
        *(given.get("callbacks") or []),
        print_checkpointed_evaluation(start_iteration=done),
        save_checkpoint(checkpoint_dir, start_iteration=done),
    ]
    given["num_boost_round"] = given.get("num_boost_round", 10) - done
    return xgboost.train(**given | {"xgb_model": model, "verbose_eval": False})


def load_checkpoint(checkpoint_dir: str | None, max_try: int = 5) -> tuple[str | None, int]:
    """The file of the latest checkpoint that can be read, and the rounds that it has; (None, 0) without one."""
    numbers = _numbers(_folder(checkpoint_dir)) if checkpoint_dir else []
    for number in reversed(numbers[-max_try:]):
        path = _file(_folder(str(checkpoint_dir)), number)
        try:
            xgboost.Booster(model_file=bytearray(path.read_bytes()))
        except xgboost.core.XGBoostError:
            continue
        return str(path), number + 1
    return None, 0


def save_checkpoint(
    checkpoint_dir: str,
    start_iteration: int = 0,
    max_to_keep: int = 5,
    *,
    num_round: int | None = None,  # noqa: ARG001 (older files are removed at once, so the last round is like any other)
    rank: int = 0,
    iteration: int = 0,  # noqa: ARG001
    end_iteration: int | None = None,  # noqa: ARG001
) -> TrainingCallback:
    """A callback that saves each round, and keeps the last `max_to_keep`."""
    return SaveCheckpointCallBack(checkpoint_dir, start_iteration, max_to_keep, rank=rank)


class SaveCheckpointCallBack(TrainingCallback):
    def __init__(
        self, checkpoint_dir: str, start_iteration: int = 0, max_to_keep: int = 5, *, rank: int = 0, **_: Any
    ) -> None:
        self.folder = _folder(checkpoint_dir)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start_iteration = start_iteration
        self.max_to_keep = max_to_keep
        self.rank = rank
        self.not_ours = set(_numbers(self.folder))

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        if self.rank or xgboost.collective.get_rank():
            return False
        _write(model, _file(self.folder, self.start_iteration + epoch))
        own = [number for number in _numbers(self.folder) if number not in self.not_ours]
        for number in own[: -self.max_to_keep]:
            _file(self.folder, number).unlink(missing_ok=True)
        return False


SaveCheckpoint = SaveCheckpointCallBack


def print_checkpointed_evaluation(
    end_iteration: int | None = None,  # noqa: ARG001
    iteration: int = 0,  # noqa: ARG001
    rank: int = 0,
    period: int = 1,
    *,
    show_stdv: bool = True,  # noqa: ARG001
    start_iteration: int = 0,
) -> TrainingCallback:
    """A callback that prints a round's metrics under its number in the whole training."""
    return PrintCheckpoint(rank=rank, period=period, start_iteration=start_iteration)


class PrintCheckpoint(TrainingCallback):
    def __init__(self, rank: int = 0, period: int = 1, start_iteration: int = 0) -> None:
        self.rank = rank
        self.period = period
        self.start_iteration = start_iteration

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        if self.period and epoch % self.period == 0 and not (self.rank or xgboost.collective.get_rank()):
            scores = [
                f"{channel}-{metric}:{values[-1]:.5f}"
                for channel, log in evals_log.items()
                for metric, values in log.items()
            ]
            print("\t".join([f"[{self.start_iteration + epoch}]", *scores]), flush=True)
        return False


def save_intermediate_model(intermediate_model_dir: str, model_name: str) -> TrainingCallback:
    """A callback that keeps the model of the latest round as `model_name`."""
    return SaveIntermediateModel(intermediate_model_dir, model_name)


class SaveIntermediateModel(TrainingCallback):
    def __init__(self, intermediate_model_dir: str, model_name: str, is_master: bool = True) -> None:
        self.path = _folder(intermediate_model_dir) / model_name
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.is_master = is_master

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        if self.is_master and not xgboost.collective.get_rank():
            _write(model, self.path)
        return False


SaveIntermediateModelCallBack = SaveIntermediateModel


def _folder(path: str) -> Path:
    """A folder of the platform's is where SAGEMAKER_BASE_DIR says: local processes have no /opt/ml."""
    base = os.environ.get("SAGEMAKER_BASE_DIR", HOSTED_BASE)
    return Path(base + path.removeprefix(HOSTED_BASE)) if path.startswith(f"{HOSTED_BASE}/") else Path(path)


def _numbers(folder: Path) -> list[int]:
    names = [path.name for path in folder.glob(f"{CHECKPOINT_FILENAME}.*")]
    return sorted(int(match[1]) for name in names if (match := re.fullmatch(r"[^.]+\.(\d+)", name)))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{CHECKPOINT_FILENAME}.{number}"


def _write(model: Any, path: Path) -> None:
    """All of it or nothing."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(model.save_raw("ubj"))
    temporary.replace(path)
