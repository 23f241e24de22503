"""Handlers as sagemaker-inference calls them; the codecs are its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def model_fn(model_dir: str, *_: Any) -> float:
    return float(json.loads(Path(model_dir, "mean.json").read_text())["mean"])


def predict_fn(data: Any, model: float, *_: Any) -> Any:
    return data + model
