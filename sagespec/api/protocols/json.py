"""JSON 1.0 and 1.1: the operation in X-Amz-Target, one JSON object each way."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from botocore.model import OperationModel

from sagespec.api.call import Answer, Call
from sagespec.api.errors import ApiError
from sagespec.api.protocols.values import seconds_of, shaped

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # half of a letter, or of two


def operation_name(call: Call) -> str:
    return call.headers.get("x-amz-target", "").rpartition(".")[2]


def request_of(_operation: OperationModel, call: Call) -> Mapping[str, Any]:
    try:
        found = json.loads(call.body or b"{}")
        if _SURROGATE.search(call.body):
            json.dumps(found, ensure_ascii=False).encode()  # half a letter can neither be kept nor be sent back
    except (ValueError, RecursionError):
        raise ApiError("SerializationException", "the body is not JSON") from None
    if not isinstance(found, dict):
        raise ApiError("SerializationException", "the body is not a JSON object")
    return found


def text_of(operation: OperationModel, result: Mapping[str, Any]) -> bytes:
    return json.dumps(shaped(operation.output_shape, result, _scalar), ensure_ascii=False, allow_nan=False).encode()


def answer(operation: OperationModel, result: Mapping[str, Any], call: Call) -> Answer:
    return Answer(200, text_of(operation, result), content_type_of(call))


def error(problem: ApiError, call: Call) -> Answer:
    # Clients of AWS look for either spelling.
    text = {"__type": problem.code, "message": problem.message, "Message": problem.message}
    headers = {"x-amzn-ErrorType": problem.code}
    return Answer(problem.status, json.dumps(text, ensure_ascii=False).encode(), content_type_of(call), headers)


def content_type_of(call: Call) -> str:
    asked = call.headers.get("content-type", "")
    return asked if asked in ("application/x-amz-json-1.0", "application/json") else "application/x-amz-json-1.1"


def _scalar(type_name: str, value: Any) -> Any:
    match type_name:
        case "timestamp":
            return seconds_of(value)
        case "blob":
            return base64.b64encode(value).decode()
        case "string":
            return str(value)
    return value
