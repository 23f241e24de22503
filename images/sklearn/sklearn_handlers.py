"""What sklearn's server uses where the script defines nothing: `predict` of model.joblib.

A pickle of any other name will do, and an archive of MLflow's.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sklearn_linear import Form, form_of
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
    if model is not _known.model:
        _known.look_at(model)
    answer = _known.form(data) if _known.form else None
    if answer is not None:
        return answer
    if not _known.starts_threads:
        return model.predict(data)
    import joblib

    with joblib.parallel_config(backend="sequential"):
        return model.predict(data)


class _Known:
    """What is known of the model that was asked last: a server has but one."""

    def __init__(self) -> None:
        self.model: Any = None
        self.form: Form | None = None
        self.starts_threads = False  # at each prediction: with a worker for each CPU they only cost

    def look_at(self, model: Any) -> None:
        self.model, self.form = model, form_of(model)
        with suppress(Exception):  # of a model that is not scikit-learn's
            settings = model.get_params()
            jobs = [value for name, value in settings.items() if name.rpartition("__")[2] == "n_jobs"]
            self.starts_threads = _has_a_worker_for_each_cpu() and any(value not in (None, 1) for value in jobs)


def _has_a_worker_for_each_cpu() -> bool:
    return int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or 1) >= (os.cpu_count() or 1)


_known = _Known()


def _require_names(table: Any, model: Any) -> None:
    """CodecError where scikit-learn would take named values as they come: it compares names of DataFrames only."""
    known, width = getattr(model, "feature_names_in_", None), getattr(model, "n_features_in_", 0)
    if known is None and width and is_of_objects(table):
        raise CodecError(400, NO_NAMES.format(width))
    if known is not None and isinstance(table, NamedRows) and table.columns != list(known):
        raise CodecError(400, f"the model's columns are {', '.join(known)}, in this order")
