"""One booster: trained on the channel train, watched on all channels, checked, and cut at its best round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.checkpoints import Checkpoints
from toolkit.data import Table
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.lean_xgboost import xgboost
from toolkit.media import LIBSVM
from toolkit.training import Job
from xgboost_files import AS_TRAINED
from xgboost_metrics import own_metrics
from xgboost_rounds import Finite, Log, Rounds, early_stopping
from xgboost_rows import matrix_of
from xgboost_settings import Hyperparameters, booster_parameters


def boost(
    job: Job[Hyperparameters], tables: Mapping[str, Table], checkpoints: Checkpoints | None = None
) -> tuple[xgboost.Booster, Log]:
    """The booster, and each metric of each channel in each of its rounds. Continues from the latest checkpoint."""
    settings = job.hyperparameters
    matrices = {name: matrix_of(settings, table) for name, table in tables.items()}
    latest = checkpoints.latest() if checkpoints else None
    if settings.process_type == "update" and latest is None:
        raise ClientError("hyperparameters: process_type=update changes the trees of a checkpoint, and there is none")
    done = latest[0] + 1 if latest else 0
    log: dict[str, Any] = {}
    booster = xgboost.train(
        booster_parameters(settings),
        matrices["train"],
        num_boost_round=max(0, settings.num_round - done),
        xgb_model=bytearray(latest[1].read_bytes()) if latest else None,
        evals=[(matrix, name) for name, matrix in matrices.items()],
        evals_result=log,
        custom_metric=own_metrics(settings.metrics, job.hosts, settings.num_class or 2, settings.border),
        verbose_eval=False,
        callbacks=_callbacks(job, tables, done, checkpoints),
    )
    margins = booster.predict(matrices["train"], output_margin=True)
    require_finite(job.hosts, {"predictions of channel train": margins}, tables)
    if settings.early_stopping_rounds and settings.booster != "gblinear":
        kept = booster.best_iteration + 1
        booster = booster[:kept]
        log = {channel: {name: values[: kept - done] for name, values in of.items()} for channel, of in log.items()}
    if tables["train"].content_type == LIBSVM:
        booster.set_attr(**AS_TRAINED)
    return booster, log


def _callbacks(
    job: Job[Hyperparameters], tables: Mapping[str, Table], done: int, checkpoints: Checkpoints | None
) -> list[Any]:
    settings = job.hyperparameters
    watched = (settings.metrics or (None,))[-1]
    rounds = [
        Finite(job, tables, watched if settings.early_stopping_rounds else None),
        Rounds(job.hosts, job.stop, done, checkpoints),
    ]
    if settings.early_stopping_rounds:
        rounds.append(early_stopping(settings.early_stopping_rounds, watched))
    return rounds
