"""Errors as S3 writes them. Its requests and answers are `sagespec.s3`'s."""

from __future__ import annotations

from xml.sax.saxutils import escape

from sagespec.api.call import Answer, Call
from sagespec.api.errors import ApiError


def error(problem: ApiError, call: Call) -> Answer:
    inside = f"<Code>{problem.code}</Code><Message>{escape(problem.message)}</Message>"
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inside}</Error>'
    return Answer(problem.status, b"" if call.method == "HEAD" else text.encode(), "application/xml")
