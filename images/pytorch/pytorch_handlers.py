"""What pytorch's server uses where the script defines nothing: model.pt in TorchScript, tensors in and out.

As the hosted container's default handler: numbers in text are float32, NPY keeps its type.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from toolkit import mlflow_model
from toolkit.archives import contents
from toolkit.codecs import TEXTS, decode, dense, encode
from toolkit.media import media_type

FILE_NAME = "model.pt"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def model_fn(model_dir: str) -> Any:
    folder = Path(model_dir)
    if described := mlflow_model.read(folder):
        saved = folder / described.file("pytorch", "model_data") / "model.pth"
        return torch.load(saved, map_location=DEVICE, weights_only=False).eval()
    if not (folder / FILE_NAME).is_file():
        raise FileNotFoundError(
            f"{FILE_NAME} (TorchScript) is missing: save one, or define model_fn(model_dir); {contents(folder)}"
        )
    return torch.jit.load(str(Path(model_dir, FILE_NAME)), map_location=DEVICE).eval()


def input_fn(data: str | bytes, content_type: str) -> Any:
    values = dense(decode(data, content_type))
    is_text = media_type(content_type).name in TEXTS
    return torch.from_numpy(values.astype("float32") if is_text else values).to(DEVICE)


def predict_fn(data: Any, model: Any) -> Any:
    with torch.no_grad():
        return model(data)


def output_fn(prediction: Any, accept: str) -> tuple[bytes, str]:
    plain = prediction.detach().cpu().numpy() if isinstance(prediction, torch.Tensor) else prediction
    return encode(plain, accept)
