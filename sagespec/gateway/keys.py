"""The key that a request is split by, in Envoy's words. Pure.

Envoy takes a hash of the key modulo the sum of the weights, so a target has an interval of keys. The name of the
endpoint goes into the hash: who is in the candidate's tenth of one endpoint is not in that of all others.
"""

from __future__ import annotations

import re
from typing import Any

from sagespec.spec.split import Key

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
_BLANKS = r"[ \t]*"


def key_match(key: Key) -> dict[str, Any]:
    """Matches the requests that have it. Without it, the hash would be that of the whole header."""
    return {"name": _header(key), "string_match": {"safe_regex": {"regex": _pattern(key)}}}


def hash_policy(key: Key, endpoint_name: str) -> dict[str, Any]:
    whole = {"pattern": {"regex": f"^{_pattern(key)}$"}, "substitution": rf"{endpoint_name}/\1"}
    return {"header": {"header_name": _header(key), "regex_rewrite": whole}}


def _header(key: Key) -> str:
    return {"header": key.name, "attribute": ATTRIBUTES, "cookie": "cookie"}[key.kind]


def _pattern(key: Key) -> str:
    """The whole header, the key's value in a group: never an empty one, of several the first.

    >>> bool(re.fullmatch(_pattern(Key("attribute", "user")), "superuser=1, user= 42 ;a=b"))
    True
    """
    if key.kind == "header":
        return "(.+)"
    stops = ";" if key.kind == "cookie" else ",;"
    before, value, rest = f"(?:.*?[{stops}])??", rf"([^{stops} \t](?:[^{stops}]*[^{stops} \t])?)", f"(?:[{stops}].*)?"
    return before + _BLANKS + re.escape(key.name) + _BLANKS + "=" + _BLANKS + value + _BLANKS + rest
