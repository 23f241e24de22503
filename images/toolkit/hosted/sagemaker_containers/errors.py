"""The errors of handlers; our server answers with their `status_code`."""

from __future__ import annotations

import sagespec_toolkit  # noqa: F401
from toolkit.codecs import CodecError


class ClientError(Exception):
    """The request's fault."""

    status_code = 400


class UnsupportedFormatError(CodecError):
    """A media type that cannot be read or written."""

    def __init__(self, content_type: str) -> None:
        super().__init__(415, f"content type {content_type} is not supported")
