"""What sklearn's server uses where the script defines nothing: `predict` of model.joblib.

A pickle of any other name will do, and an archive of MLflow's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit import mlflow_model
from toolkit.archives import contents, first_file
from toolkit.codecs import NO_NAMES, CodecError
from toolkit.errors import ClientError
from toolkit.wrapped_json import NamedRows, is_of_objects

FILE_NAME = "model.joblib"


def model_fn(model_dir: str) -> Any:
    import joblib

    folder = Path(model_dir)
    if described := mlflow_model.read(folder):
        if "sklearn" not in described.flavors:
            return mlflow_model.load_with_mlflow(folder, described)
        path: Path | None = folder / described.file("sklearn", "pickled_model")
        if path and path.suffix == ".skops":
            return mlflow_model.load_with_skops(path)
    else:
        path = folder / FILE_NAME if (folder / FILE_NAME).is_file() else first_file(folder)
    if path is None:
        raise ClientError(f"{FILE_NAME} is missing: save one, or define model_fn(model_dir); {contents(folder)}")
    try:
        return joblib.load(path)
    except (KeyError, IndexError, ValueError, EOFError) as error:  # as pickles fail that are none
        raise ClientError(f"{path.name} is not a pickled model ({type(error).__name__}); {contents(folder)}") from error


def predict_fn(data: Any, model: Any) -> Any:
    if hasattr(data, "columns"):
        _require_names(data, model)
    return model.predict(data)


def _require_names(table: Any, model: Any) -> None:
    """CodecError where scikit-learn would take named values as they come: it compares names of DataFrames only."""
    known, width = getattr(model, "feature_names_in_", None), getattr(model, "n_features_in_", 0)
    if known is None and width and is_of_objects(table):
        raise CodecError(400, NO_NAMES.format(width))
    if known is not None and isinstance(table, NamedRows) and table.columns != list(known):
        raise CodecError(400, f"the model's columns are {', '.join(known)}, in this order")
