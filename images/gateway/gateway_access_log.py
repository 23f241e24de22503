"""The access log: a line of JSON for each request, on the gateway's standard output, where its engine keeps it.

Neither keys nor bodies are in it, but for what is posted as feedback: of headers the inference id alone, and no query
string. Docker and the process runtime bound and rotate what a container prints.
"""

from __future__ import annotations

from typing import Any

NAMESPACE = "sagespec"  # of what the filters leave in a stream's metadata
LONGEST = 200  # characters of what a client makes up

# https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
FIELDS = {
    "at": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "endpoint": "%ROUTE_NAME%",
    "variant": "%RESP(X-AMZN-INVOKED-PRODUCTION-VARIANT)%",
    "target": "%UPSTREAM_CLUSTER%",  # endpoint/variant/hash
    "status": "%RESPONSE_CODE%",
    "ms": "%DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "caller": f"%DYNAMIC_METADATA({NAMESPACE}:caller)%",
    "from": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "request_id": "%RESP(X-AMZN-REQUESTID)%",
    "inference_id": f"%REQ(X-AMZN-SAGEMAKER-INFERENCE-ID):{LONGEST}%",
    "error": "%RESP(X-AMZN-ERRORTYPE)%",
    "path": f"%PATH(NQ:ORIG_OR_PATH):{LONGEST}%",
    "feedback": f"%DYNAMIC_METADATA({NAMESPACE}:feedback)%",  # see refusals.lua
    "flags": "%RESPONSE_FLAGS%",  # of Envoy: why a request ended early
}


def access_log(*, is_quiet: bool = False) -> dict[str, Any]:
    """is_quiet: of the requests alone that feedback can be about, and of feedback."""
    return {
        "name": "envoy.access_loggers.stdout",
        **({"filter": {"or_filter": {"filters": [_has_inference_id(), _is_feedback()]}}} if is_quiet else {}),
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": FIELDS, "omit_empty_values": True},
        },
    }


def _has_inference_id() -> dict[str, Any]:
    return {"header_filter": {"header": {"name": "x-amzn-sagemaker-inference-id", "present_match": True}}}


def _is_feedback() -> dict[str, Any]:
    matcher = {"filter": NAMESPACE, "path": [{"key": "feedback"}], "value": {"present_match": True}}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}
