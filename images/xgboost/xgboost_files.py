"""The file of a booster in a model's folder: what training here wrote, or what people bring.

As in the hosted container (serve_utils.py): a pickle or XGBoost's own format, under any name that does not begin
with a dot. An archive of MLflow's says in its MLmodel where the file is.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

from toolkit import mlflow_model
from toolkit.archives import contents, first_file
from toolkit.errors import ClientError
from toolkit.lean_xgboost import xgboost

FILE_NAME = "xgboost-model"
# Of a booster that learned here from libsvm: the indices of requests count as those it learned from.
AS_TRAINED = {"libsvm_indices": "as trained"}
FOLD = re.compile(re.escape(FILE_NAME) + r"-\d+").fullmatch
PICKLE = b"\x80"
OLD_BINARY = b"binf"


def load_boosters(folder: Path) -> list[xgboost.Booster]:
    """All models of a cross-validation, or the one. Raises ClientError, with what is there and what would do."""
    folds = {int(path.name[len(FILE_NAME) + 1 :]): path for path in folder.glob(f"{FILE_NAME}-*") if FOLD(path.name)}
    if not folds or (folder / FILE_NAME).is_file():
        return [load_booster(folder)]
    return [_load(folds[number]) for number in sorted(folds)]


def load_booster(folder: Path) -> xgboost.Booster:
    """Raises ClientError, with what is there and what would do."""
    return _load(_path(folder))


def _load(path: Path) -> xgboost.Booster:
    content = path.read_bytes()
    try:
        booster = _unpickled(content) if content.startswith(PICKLE) else xgboost.Booster()
        if not content.startswith(PICKLE):
            booster.load_model(bytearray(content))
    except Exception as error:
        reason = re.sub(r"^\[[\d:]+\] \S+: ", "", str(error).partition("\n")[0])
        if content.startswith(OLD_BINARY):
            reason = "it is in the binary format of XGBoost before 3.1"
        raise ClientError(
            f"{path.name} is no model that XGBoost {xgboost.__version__} reads ({reason}); "
            "if an older XGBoost wrote it, load it there and save it as JSON or UBJSON"
        ) from error
    return booster


def _path(folder: Path) -> Path:
    described = mlflow_model.read(folder)
    if described:
        return folder / described.file("xgboost", "data")
    if (folder / FILE_NAME).is_file():
        return folder / FILE_NAME
    if (path := first_file(folder)) is None:
        raise ClientError(f"{FILE_NAME} is missing at the archive's root: {contents(folder)}")
    return path


def _unpickled(content: bytes) -> xgboost.Booster:
    """A pickled Booster, or that of a model with scikit-learn's interface."""
    model: Any = pickle.loads(content)  # noqa: S301 (as trusted as a script, which an archive may hold, too)
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if not isinstance(booster, xgboost.Booster):
        raise TypeError(f"a pickled {type(model).__name__}")
    return booster
