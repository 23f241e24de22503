"""The answer of an output_fn, with its media type."""

from __future__ import annotations

from typing import Any

import flask


class Response(flask.Response):
    default_mimetype = "application/json"

    def __init__(
        self,
        response: Any = None,
        accept: str | None = None,
        status: int = 200,
        mimetype: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(response, status=status, mimetype=mimetype or accept, **more)
