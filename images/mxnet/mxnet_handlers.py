"""What mxnet's server uses where the script defines nothing: an exported network, NDArrays in and out.

The files are those of the hosted container: model-symbol.json, model-0000.params, and model-shapes.json with the
names of the inputs (`data` without it). Both `HybridBlock.export` and `Module.save_checkpoint` write the first two.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mxnet as mx
from toolkit.archives import contents
from toolkit.codecs import decode, dense, encode

SYMBOL, PARAMETERS, SHAPES = "model-symbol.json", "model-0000.params", "model-shapes.json"


def model_fn(model_dir: str) -> Any:
    folder = Path(model_dir)
    if not (folder / SYMBOL).is_file():
        raise FileNotFoundError(
            f"{SYMBOL} is missing: export the network, or define model_fn(model_dir); {contents(folder)}"
        )
    shapes = json.loads((folder / SHAPES).read_text()) if (folder / SHAPES).is_file() else [{"name": "data"}]
    names = [shape["name"] for shape in shapes]
    return mx.gluon.SymbolBlock.imports(str(folder / SYMBOL), names, str(folder / PARAMETERS))


def input_fn(data: str | bytes, content_type: str) -> Any:
    return mx.nd.array(dense(decode(data, content_type)))


def predict_fn(data: Any, model: Any) -> Any:
    return model(data)


def output_fn(prediction: Any, accept: str) -> tuple[bytes, str]:
    return encode(prediction.asnumpy() if isinstance(prediction, mx.nd.NDArray) else prediction, accept)
