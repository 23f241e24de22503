"""What tensorflow's server uses where the script defines nothing: a SavedModel, called as TensorFlow Serving calls it.

`{"instances": [...]}`, `{"inputs": ...}` or a bare array, in; `{"predictions": [...]}` out. The model is the folder
with the highest number (model/1), or the archive's root.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from toolkit.archives import contents
from toolkit.codecs import CodecError, decode, dense, encode
from toolkit.media import JSON, media_type

FILE_NAME = "saved_model.pb"
SIGNATURE = "serving_default"


class SavedModel:
    """A SavedModel by its serving signature."""

    def __init__(self, folder: Path) -> None:
        self._loaded = tf.saved_model.load(str(folder))  # kept: the signature does not keep the variables
        self._signature = self._loaded.signatures[SIGNATURE]
        _, self._inputs = self._signature.structured_input_signature

    def __call__(self, values: Any) -> Any:
        """The one output as an array, or several by their names."""
        named = values if isinstance(values, Mapping) else {next(iter(self._inputs)): values}
        unknown = named.keys() - self._inputs.keys()
        if unknown or len(named) != len(self._inputs):
            raise ValueError(f"the model's inputs are {', '.join(self._inputs)}, not {', '.join(named)}")
        tensors = {name: tf.convert_to_tensor(value, self._inputs[name].dtype) for name, value in named.items()}
        outputs = {name: tensor.numpy() for name, tensor in self._signature(**tensors).items()}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def model_fn(model_dir: str) -> Any:
    found = [file.parent for file in Path(model_dir).rglob(FILE_NAME)]
    if not found:
        raise FileNotFoundError(
            f"a SavedModel (model/1) is missing: save one, or define model_fn(model_dir); {contents(Path(model_dir))}"
        )
    return SavedModel(max(found, key=lambda folder: (folder.name.isdigit() and int(folder.name), str(folder))))


def input_fn(data: str | bytes, content_type: str) -> Any:
    if media_type(content_type).name != JSON:
        return dense(decode(data, content_type))
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CodecError(415, f"the body is not {JSON} as expected: {error}") from error
    if isinstance(document, dict) and "instances" in document:
        return _columns(document["instances"])
    return document.get("inputs", document) if isinstance(document, dict) else np.array(document)


def _columns(instances: list[Any]) -> Any:
    """The instances as one array, or as an array an input where each names its inputs."""
    if instances and isinstance(instances[0], dict):
        return {name: np.array([instance[name] for instance in instances]) for name in instances[0]}
    return np.array(instances)


def predict_fn(data: Any, model: Any) -> Any:
    return model(data) if isinstance(model, SavedModel) else model.predict(data)


def output_fn(prediction: Any, accept: str) -> tuple[bytes, str]:
    names_json = any(media_type(wish).name in (JSON, "*/*", "application/*") for wish in accept.split(",")[:1])
    if not names_json:
        return encode(prediction, accept)
    if not isinstance(prediction, Mapping):
        return encode({"predictions": prediction}, JSON)
    rows = [dict(zip(prediction, row, strict=True)) for row in zip(*prediction.values(), strict=True)]
    return encode({"predictions": rows}, JSON)
