"""Arrays to bodies and back, by media type."""

from __future__ import annotations

from typing import Any

import sagespec_toolkit  # noqa: F401
from toolkit import codecs


def encode(array_like: Any, content_type: str) -> bytes:
    return codecs.encode(array_like, content_type)[0]


def decode(obj: Any, content_type: str) -> Any:
    return codecs.decode(obj, content_type)
