"""What huggingface's server uses where the script defines nothing: a transformers pipeline over the saved model.

`{"inputs": ..., "parameters": {...}}` in, or CSV with a heading (`inputs`, or the names that the task takes). The
task is HF_TASK, else what the model's architecture is for, as in the hosted container.
"""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from toolkit.codecs import CodecError, decode, dense
from toolkit.media import CSV, JSON, media_type
from transformers import pipeline

TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForConditionalGeneration": "text2text-generation",
    "ForImageClassification": "image-classification",
}


def model_fn(model_dir: str) -> Any:
    return pipeline(task_of(Path(model_dir)), model=model_dir)


def task_of(folder: Path) -> str:
    if task := os.environ.get("HF_TASK"):
        return task
    config = folder / "config.json"
    architectures = json.loads(config.read_text()).get("architectures") or [] if config.is_file() else []
    found = [task for name in architectures for ending, task in TASKS.items() if name.endswith(ending)]
    if not found:
        raise ValueError(
            f"no task is known for {', '.join(architectures) or 'a model without config.json'}: set HF_TASK"
        )
    return found[0]


def input_fn(data: str | bytes, content_type: str) -> Any:
    name = media_type(content_type).name
    try:
        if name == JSON:
            return json.loads(data)
        if name == CSV:
            rows = list(csv.DictReader(io.StringIO(str(data))))
            return {"inputs": [row["inputs"] if row.keys() == {"inputs"} else row for row in rows]}
    except (ValueError, RecursionError, csv.Error) as error:
        raise CodecError(415, f"the body is not {name} as expected: {error}") from error
    return {"inputs": dense(decode(data, content_type)).tolist()}


def predict_fn(data: Any, model: Any) -> Any:
    inputs = data.get("inputs", data) if isinstance(data, dict) else data
    parameters = data.get("parameters") or {} if isinstance(data, dict) else {}
    return model(**inputs, **parameters) if isinstance(inputs, dict) else model(inputs, **parameters)
