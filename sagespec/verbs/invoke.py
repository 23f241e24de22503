"""Sends one request to an endpoint through the gateway."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import quote

from sagespec.contract import LARGEST_BODY_BYTES
from sagespec.errors import SpecError, WorldError
from sagespec.verbs.answers import Answer
from sagespec.verbs.way import Way

INVOKE_TIMEOUT_SECONDS = 70.0  # the gateway answers for a model that takes 60 s


@dataclass(frozen=True)
class Headers:
    """What SageMaker's InvokeEndpoint takes in addition to the body; None is not sent."""

    content_type: str = "text/csv"
    accept: str | None = None
    variant: str | None = None
    custom_attributes: str | None = None
    inference_id: str | None = None

    def as_http(self) -> dict[str, str]:
        headers = {
            "Content-Type": self.content_type,
            "Accept": self.accept,
            "X-Amzn-SageMaker-Target-Variant": self.variant,
            "X-Amzn-SageMaker-Custom-Attributes": self.custom_attributes,
            "X-Amzn-SageMaker-Inference-Id": self.inference_id,
        }
        return {name: value for name, value in headers.items() if value is not None}


def invoke(way: Way, endpoint_name: str, body: bytes, headers: Headers) -> Answer:
    if len(body) > LARGEST_BODY_BYTES:  # the gateway would hang up before it is sent
        raise SpecError(
            f"the body has {len(body)} bytes, over the limit of {LARGEST_BODY_BYTES}",
            why="SageMaker's real-time endpoints take 25 MiB",
            fix="send fewer rows at a time",
        )
    connection = way.connection(INVOKE_TIMEOUT_SECONDS)
    try:
        path = f"/endpoints/{quote(endpoint_name, safe='')}/invocations"
        connection.request("POST", path, body, headers.as_http() | way.headers)
        return _answer(connection.getresponse())
    except (OSError, http.client.HTTPException) as error:
        raise WorldError(
            f"the gateway does not answer at {way.url} ({error})",
            fix="start it with `sagespec apply`, or see `sagespec doctor`",
        ) from error
    except ValueError as error:  # a line break, or letters that no header can carry
        raise SpecError(f"this cannot be sent in a header: {error}", fix="use plain ASCII text") from error
    finally:
        connection.close()


def _answer(response: http.client.HTTPResponse) -> Answer:
    return Answer(
        status=response.status,
        body=response.read(),
        content_type=response.headers.get("Content-Type", ""),
        variant=response.headers.get("x-Amzn-Invoked-Production-Variant", ""),
        headers=dict(response.headers.items()),
    )
