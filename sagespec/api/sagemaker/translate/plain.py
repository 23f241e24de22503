"""Values of SageMaker's requests, nearly all of them texts, as one would write them in a spec."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sagespec.contract import hyperparameter_text

PLATFORMS_OWN = ("sagemaker_", "_tuning_")  # hyperparameters that clients and the platform add
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))
_BY_HTTPS = re.compile(r"^https://(?:(?P<before>[a-z0-9.-]+)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?/")
_MEANS_MORE = re.compile(r"\$\$?(?=\{)|(?:^|(?<=/))\$\$?(?=[A-Z_][A-Z0-9_]*(?:/|$))")


def duration(seconds: int) -> str:
    """
    >>> duration(86400), duration(5400), duration(90)
    ('1d', '90m', '90s')
    """
    return next((f"{seconds // size}{unit}" for size, unit in _UNITS if seconds and seconds % size == 0), f"{seconds}s")


def as_text(value: str) -> str:
    """A text that a spec reads as this very text: where a dollar would stand for a variable, it is doubled.

    >>> as_text("Summarise ${text} for 5 $")
    'Summarise $${text} for 5 $'
    """
    return _MEANS_MORE.sub(lambda found: "$" * (2 * len(found[0])), value)


def s3_uri(address: str) -> str:
    """An object's address as s3://…: SageMaker takes S3's own addresses by HTTPS, too.

    >>> s3_uri("https://s3-us-east-1.amazonaws.com/acme/model.tar.gz"), s3_uri("https://acme.s3.amazonaws.com/data/")
    ('s3://acme/model.tar.gz', 's3://acme/data/')
    """
    return _BY_HTTPS.sub(lambda found: f"s3://{found['before'] or ''}{'/' if found['before'] else ''}", address)


def hyperparameters(given: Mapping[str, str]) -> dict[str, Any]:
    """Of an algorithm: numbers and booleans as such where the program is given the same text again.

    >>> hyperparameters({"num_round": "5", "eta": "0.20", "objective": "binary:logistic", "sagemaker_region": "x"})
    {'num_round': 5, 'eta': '0.20', 'objective': 'binary:logistic'}
    """
    return {name: _unquoted(text) for name, text in given.items() if not name.startswith(PLATFORMS_OWN)}


def decoded(given: Mapping[str, str]) -> dict[str, Any]:
    """Of a script: the SDK sends each value as JSON, and the toolkit reads what is none as a text.

    >>> decoded({"n": "3", "name": '"x"', "layers": "[8, 4]", "mode": "fast", "sagemaker_program": '"train.py"'})
    {'n': 3, 'name': 'x', 'layers': [8, 4], 'mode': 'fast'}
    """
    return {name: _escaped(json_or_text(text)) for name, text in given.items() if not name.startswith(PLATFORMS_OWN)}


def json_or_text(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if value is None or _is_odd(value) else value  # an empty field of a spec is none


def _is_odd(value: Any) -> bool:
    """Whether it is a number that JSON has no text for: NaN, Infinity."""
    return isinstance(value, float) and value - value != 0


def _unquoted(text: str) -> Any:
    value = json_or_text(text)
    if isinstance(value, str) or hyperparameter_text(value) != text:
        return as_text(text)
    return _escaped(value)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    if isinstance(value, dict):
        return {name: _escaped(one) for name, one in value.items()}
    return value
