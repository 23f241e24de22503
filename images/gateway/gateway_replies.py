"""Answers that Envoy makes itself, in the shape of SageMaker's: `local_replies` is a part of its configuration.

What reached a model and got no proper answer is the model's error (424), which clients do not send again. What
certainly reached none is ServiceUnavailable (503), which they do.
"""

from __future__ import annotations

from typing import Any

# Response flags of Envoy: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
TIMED_OUT = ["UT"]
REACHED_NOBODY = ["UH", "UF", "NC"]
QUEUE_IS_FULL = ["UO"]
HUNG_UP = ["UC", "UR", "LR"]
NO_HTTP = ["UPE"]
BAD_REQUEST = ["DPE"]

LOG_STREAM = "arn:aws:logs:local:000000000000:log-group:/aws/sagemaker/Endpoints/%ROUTE_NAME%"
DETAILS = "%RESPONSE_CODE_DETAILS%"
NAMESPACE = "sagespec"  # of what the Lua scripts leave in a stream's metadata

# Why no model has answered, for model_errors.lua, which counts it and takes the header away.
REASON = "x-sagespec-error"
TIMEOUT, NO_INSTANCE, NO_ANSWER, OVERLOADED = "timeout", "no_instance", "no_answer", "overloaded"
RETRY_AFTER_SECONDS = 1  # what clients are asked to wait where a request reached no model

Document = dict[str, Any]


def local_replies(max_body_bytes: int) -> Document:
    """The first that fits counts."""
    nobody = "No instance of endpoint %ROUTE_NAME% answered (%RESPONSE_FLAGS_LONG%)."
    full = "Endpoint %ROUTE_NAME% has as many requests waiting as its `limits` allow."
    mappers = [
        _model_error(_flags(TIMED_OUT), "the model did not answer within the time a request may take", why=TIMEOUT),
        _refusal(_flags(REACHED_NOBODY), "ServiceUnavailable", nobody, status=503, why=NO_INSTANCE),
        _refusal(_flags(QUEUE_IS_FULL), "ServiceUnavailable", full, status=503, why=OVERLOADED),
        _model_error(_flags(HUNG_UP), f"the model ended the connection without an answer ({DETAILS})"),
        _model_error(_flags(NO_HTTP), f"the model's answer is not valid HTTP ({DETAILS})"),
        # Envoy says 500 when model_errors.lua cannot hold a model's error as a whole.
        _model_error(
            _status(500),
            "the model's message is too long to be repeated",
            status=f"%DYNAMIC_METADATA({NAMESPACE}:status)%",
        ),
        _refusal(
            _status(413),
            "ValidationError",
            f"The request's body is over the limit of {max_body_bytes} bytes.",
            status=400,
        ),
        _refusal(
            _all(_status(429), _not_ours()),
            "ThrottlingException",
            "Rate exceeded: this is more than the caller may ask for, or more than the endpoint takes.",
        ),
        _refusal(_status(408), "RequestTimeoutException", "The request did not arrive within the time it may take."),
        _refusal(
            _all(_status(503), _not_ours()),
            "ServiceUnavailable",
            f"The gateway has too much to do ({DETAILS}).",
            why=OVERLOADED,
        ),
        _refusal(
            _all(_status(400, "GE"), _not_ours()),
            "ValidationError",
            f"The gateway does not accept this HTTP request ({DETAILS}).",
        ),
        # A body that turns out to be malformed, of a request that is well otherwise.
        _refusal(
            _flags(BAD_REQUEST),
            "ValidationError",
            f"The gateway does not accept this HTTP request ({DETAILS}).",
            status=400,
        ),
    ]
    return {"mappers": mappers}


def _model_error(when: Document, reason: str, *, status: str | int = 0, why: str = NO_ANSWER) -> Document:
    received = "server error (0)" if status == 0 else f"error ({status})"
    message = f'Received {received} from model with message "{reason}". See: sagespec logs endpoint/%ROUTE_NAME%'
    body = {
        "Message": message,
        "OriginalStatusCode": status,
        "OriginalMessage": reason,
        "LogStreamArn": LOG_STREAM,
    }
    return _reply(when, "ModelError", body, why) | {"status_code": 424}


def _refusal(when: Document, kind: str, message: str, *, status: int | None = None, why: str = "") -> Document:
    """`status`: None for Envoy's own."""
    return _reply(when, kind, {"Message": message}, why) | ({"status_code": status} if status else {})


def _reply(when: Document, kind: str, body: Document, why: str) -> Document:
    """why: '' where it is the client's."""
    headers = {"x-amzn-errortype": kind} | ({REASON: why} if why else {})
    headers |= {"retry-after": str(RETRY_AFTER_SECONDS)} if kind == "ServiceUnavailable" else {}
    return {
        "filter": when,
        "headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in headers.items()
        ],
        "body_format_override": {"json_format": body, "content_type": "application/json"},
    }


def _flags(flags: list[str]) -> Document:
    return {"response_flag_filter": {"flags": flags}}


def _status(code: int, compared: str = "EQ") -> Document:
    value = {"default_value": code, "runtime_key": f"sagespec.status_{code}"}
    return {"status_code_filter": {"comparison": {"op": compared, "value": value}}}


def _not_ours() -> Document:
    """It is not an answer of refusals.lua, which has its words already."""
    matcher = {"filter": NAMESPACE, "path": [{"key": "refused"}], "value": {"bool_match": False}}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": True}}


def _all(*filters: Document) -> Document:
    return {"and_filter": {"filters": list(filters)}}
