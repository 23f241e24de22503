"""What sklearn's server uses where the script defines nothing: `predict` of model.joblib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FILE_NAME = "model.joblib"


def model_fn(model_dir: str) -> Any:
    import joblib

    if not Path(model_dir, FILE_NAME).is_file():
        raise FileNotFoundError(f"the archive has no {FILE_NAME}: save one, or define model_fn(model_dir)")
    return joblib.load(Path(model_dir, FILE_NAME))


def predict_fn(data: Any, model: Any) -> Any:
    return model.predict(data)
