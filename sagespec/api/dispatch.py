"""From a request to the operation that answers it: whose service, who asks, how it is written, what it asks for.

The service is the one that the request was signed for. One that nobody signed, where that is allowed, shows by how it
is written which service it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sagespec.api import identity, unknown
from sagespec.api.call import Answer, Call
from sagespec.api.errors import ApiError
from sagespec.api.holds import Holds
from sagespec.api.key import Key
from sagespec.api.links import Link
from sagespec.api.logs.operations import LOGS, wait_for_log_events, waits_for_lines
from sagespec.api.models import SERVICES, operation_of, target_prefixes
from sagespec.api.monitoring import MONITORING
from sagespec.api.protocols.protocol import JSON, QUERY, Protocol, protocol_of
from sagespec.api.refusals import refused
from sagespec.api.sagemaker.operations import OPERATIONS
from sagespec.api.service import Operation, Service
from sagespec.api.signature import UNSIGNED, Flaw, Signature, flaw_of, payload_hash
from sagespec.api.validation import check

READ_ONLY = "`sagespec api` was started with --read-only"
_CHANGES = ("Create", "Update", "Delete", "Stop", "Start", "Add", "Put", "Register", "Batch")


@dataclass(frozen=True)
class Dispatch:
    """key: what requests must be signed with; None where anybody may ask."""

    service: Service
    key: Key | None
    holds: Holds

    def answer(self, call: Call, service: str) -> Answer:
        """Of an operation of one of SERVICES. Raises ApiError."""
        if service not in SERVICES:
            raise unknown.unknown_service(service)
        return self._result(call, service, protocol_of(call, service))

    def check_signature(self, call: Call, signature: Signature | Link | Flaw, service: str) -> None:
        """ApiError for a request that is not signed with our key, or has another body than the one that was signed."""
        if self.key is None:
            return
        flaw = signature if isinstance(signature, Flaw) else flaw_of(signature, call, self.key, now=datetime.now(UTC))
        if flaw is None and service != "s3" and isinstance(signature, Signature):
            declared = payload_hash(signature, call)
            flaw = None if declared in (UNSIGNED, sha256(call.body).hexdigest()) else Flaw.ANOTHER_BODY
        if flaw:
            raise refused(flaw, service, protocol_of(call, service).name)

    def _result(self, call: Call, service: str, protocol: Protocol) -> Answer:
        name = protocol.operation_name(call)
        model, operation = operation_of(service, name), operations(service).get(name)
        if model is None or operation is None:
            raise unknown.unknown_operation(service, name)
        if self.service.read_only and name.startswith(_CHANGES):
            raise ApiError("ValidationException", f"{name} is refused: {READ_ONLY}")
        request = protocol.request_of(model, call)
        check(model, request)

        def result() -> Mapping[str, Any]:
            return operation(self.service, request)

        if name == "GetLogEvents" and waits_for_lines(call.user_agent, request) and self.holds.places.take():
            try:
                return protocol.answer(model, wait_for_log_events(self.service, request), call)
            finally:
                self.holds.places.leave()

        if protocol is JSON and self.holds.holds(name, call.user_agent):
            return self.holds.answer(name, result, lambda found: protocol.answer(model, found, call))
        return protocol.answer(model, result(), call)


def operations(service: str) -> Mapping[str, Operation]:
    """The operations of a service, by name."""
    match service:
        case "sts":
            return identity.STS
        case "iam":
            return identity.IAM
        case "sagemaker":
            return OPERATIONS
        case "logs":
            return LOGS
        case "monitoring":
            return MONITORING
    return {}


def service_of(call: Call, signature: Signature | Link | Flaw) -> str:
    """The service that a request is for: sagemaker, logs, monitoring, sts, iam, s3 or, as it was signed, another."""
    if isinstance(signature, Signature):
        return signature.service
    if isinstance(signature, Link):
        return "s3"
    if target := call.headers.get("x-amz-target"):
        return target_prefixes().get(target.rpartition(".")[0], target[:60])
    if call.headers.get("smithy-protocol"):
        return "monitoring"
    if call.method == "POST" and call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        name = QUERY.operation_name(call)
        return next((one for one in ("sts", "iam") if name in operations(one)), "sts")
    return "s3"


def is_runtime(call: Call, signature: Signature | Link | Flaw) -> bool:
    """Whether it is a prediction: those are signed for sagemaker too, and know their endpoint by the path."""
    if isinstance(signature, Link) or (isinstance(signature, Signature) and signature.service != "sagemaker"):
        return False
    return call.path.startswith("/endpoints/") and "x-amz-target" not in call.headers
