"""What a protocol does, and which one a request is written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.model import OperationModel

from sagespec.api.call import Answer, Call
from sagespec.api.errors import ApiError
from sagespec.api.protocols import cbor, json, query


@dataclass(frozen=True)
class Protocol:
    """name: json, query, cbor."""

    name: str
    operation_name: Callable[[Call], str]
    request_of: Callable[[OperationModel, Call], Mapping[str, Any]]
    answer: Callable[[OperationModel, Mapping[str, Any], Call], Answer]
    error: Callable[[ApiError, Call], Answer]


JSON = Protocol("json", json.operation_name, json.request_of, json.answer, json.error)
QUERY = Protocol("query", query.operation_name, query.request_of, query.answer, query.error)
CBOR = Protocol("cbor", cbor.operation_name, cbor.request_of, cbor.answer, cbor.error)


def protocol_of(call: Call, service: str) -> Protocol:
    """As the request is written. Where it does not show, as the service's usual clients do."""
    if call.headers.get("smithy-protocol") == "rpc-v2-cbor":
        return CBOR
    if "x-amz-target" in call.headers or service in ("sagemaker", "logs"):
        return JSON
    return QUERY
