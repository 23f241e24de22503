"""The last argument of a handler that takes one more: the request without its body, and what the answer shall have.

Methods as in multi-model-server's context (mms/context.py), which SageMaker's inference toolkit passes on. There is
one request at a time, so the index that most of them take counts for nothing.
"""

# ruff: noqa: ARG002 (scripts may pass idx by its name)

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
OF_THE_SERVER = ("content-length", "transfer-encoding", "connection")  # headers that only it can get right


class RequestProcessor:
    """What is known of a request, and what was said of its answer."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self.status = 200
        self.phrase = ""
        self.answer_headers: dict[str, str] = {}

    def get_request_property(self, key: str) -> str | None:
        return next((value for name, value in self.headers.items() if name.lower() == key.lower()), None)

    def get_request_properties(self) -> Mapping[str, str]:
        return self.headers

    def report_status(self, code: int, reason_phrase: str = "") -> None:
        if not 100 <= int(code) <= 999:
            raise ValueError(f"{code} is no status of HTTP")
        self.status, self.phrase = int(code), reason_phrase

    def get_response_status_code(self) -> int:
        return self.status

    def get_response_status_phrase(self) -> str:
        return self.phrase

    def add_response_property(self, key: str, value: Any) -> None:
        """Raises ValueError for what cannot stand in a header."""
        text = str(value)
        if not re.fullmatch(NAME, key) or not text.isascii() or not text.isprintable():
            raise ValueError(f"header {key!r} cannot be {text!r}: a header is one line of ASCII")
        self.answer_headers[key.lower()] = text

    def get_response_header(self) -> Mapping[str, str]:
        return self.answer_headers

    get_response_headers = get_response_header


class Context:
    """A request's, or that of a model that is being loaded, which has no headers."""

    def __init__(self, model_dir: str, headers: Mapping[str, str] | None = None) -> None:
        self.system_properties: Mapping[str, Any] = {"model_dir": model_dir, "gpu_id": None, "batch_size": 1}
        self.headers = headers or {}
        self.request_processor = [RequestProcessor(self.headers)]

    def get_request_header(self, idx: int, key: str) -> str | None:
        return self.request_processor[0].get_request_property(key)

    def get_all_request_header(self, idx: int) -> Mapping[str, str]:
        return self.headers

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.request_processor[0].add_response_property("content-type", value)

    def get_response_content_type(self, idx: int) -> str | None:
        return self.request_processor[0].answer_headers.get("content-type")

    def set_response_header(self, idx: int, key: str, value: Any) -> None:
        self.request_processor[0].add_response_property(key, value)

    def get_response_headers(self, idx: int) -> Mapping[str, str]:
        return self.request_processor[0].answer_headers

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.request_processor[0].report_status(code, phrase)

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        self.request_processor[0].report_status(code, phrase)

    def get_response_status(self, idx: int) -> tuple[int, str]:
        return self.request_processor[0].status, self.request_processor[0].phrase


def headers_of(environ: Mapping[str, Any]) -> dict[str, str]:
    """A WSGI request's headers by name; WSGI knows no case, SageMaker's names are spelt as it spells them."""
    named = {name[5:]: value for name, value in environ.items() if name.startswith("HTTP_")}
    named |= {name: environ[name] for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)}
    return {name.replace("_", "-").title().replace("Sagemaker", "SageMaker"): value for name, value in named.items()}
