"""The model of blazingtext as it is served: a fastText classifier, which hosted BlazingText writes too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import orjson
from toolkit.formats import Prediction, encode_json_lines
from toolkit.limits import require_room_for_json
from toolkit.media import JSON, JSON_LINES, MediaType
from toolkit.model import Model, Request

FILE_NAME = "model.bin"


@dataclass(frozen=True)
class Sentence:
    """A text, and how many of its likeliest labels are wanted."""

    text: str
    k: int


class TextClassifier(Model):
    """`label` and `prob` a sentence, the likeliest first; the answer has the type of the request."""

    reads = (JSON, JSON_LINES)
    writes = (JSON, JSON_LINES)
    answers_in_kind = True

    def __init__(self, folder: Path) -> None:
        self.classifier = fasttext.load_model(str(folder / FILE_NAME))

    def decode(self, body: bytes, content_type: str) -> list[Sentence]:
        """`{"instances": ["...", ...], "configuration": {"k": 1}}`, or `{"source": "...", "k": 1}` a line."""
        require_room_for_json(body)
        if content_type == JSON_LINES:
            lines = [orjson.loads(line) for line in body.splitlines() if line.strip()]
            if not all(isinstance(line, dict) for line in lines):
                raise ValueError('a sentence is written {"source": "...", "k": 1}, one a line')
            return [sentence(line.get("source"), line.get("k", 1)) for line in lines]
        document = orjson.loads(body)
        instances = document.get("instances") if isinstance(document, dict) else None
        if not isinstance(instances, list) or not instances:
            raise ValueError('sentences are written {"instances": ["...", ...], "configuration": {"k": 1}}')
        configuration = document.get("configuration", {})
        k = configuration.get("k", 1) if isinstance(configuration, dict) else None
        return [sentence(instance, k) for instance in instances]

    def predict(self, rows: list[Sentence], request: Request) -> Prediction:  # noqa: ARG002
        found = [self.classifier.predict(row.text, k=row.k) for row in rows]
        return {
            "label": column([list(labels) for labels, _ in found]),
            "prob": column([chances.tolist() for _, chances in found]),
        }

    def encode(self, prediction: Prediction, media: MediaType) -> bytes:
        lines = encode_json_lines(prediction)
        return lines if media.name == JSON_LINES else b"[" + b",".join(lines.splitlines()) + b"]"


def sentence(text: Any, k: Any) -> Sentence:
    if not isinstance(text, str):
        raise ValueError("a sentence must be a string")
    if type(k) is not int or k < 1:
        raise ValueError(f"k is {k}, it must be a whole number from 1 on")
    return Sentence(" ".join(text.split()), k)


def column(lists: list[list[Any]]) -> np.ndarray[Any, Any]:
    """Lists of unequal length as one column."""
    values = np.empty(len(lists), object)
    values[:] = lists
    return values
