"""The form that sends one request to an endpoint, and its answer: shown as text, whatever it is."""

from __future__ import annotations

import time
from dataclasses import dataclass

from flask import Blueprint, Response, request

from sagespec.dashboard.desk import desk
from sagespec.dashboard.pages.endpoint import state_of
from sagespec.dashboard.rendering import page
from sagespec.errors import Problem, SagespecError
from sagespec.verbs.answers import Answer

pages = Blueprint("trial", __name__)
AT = "/endpoints/<name>/try"
CONTENT_TYPES = ("text/csv", "application/json", "application/jsonlines", "text/libsvm", "text/plain")
MOST_SHOWN_BYTES = 64 * 2**10


@dataclass(frozen=True)
class Asked:
    """What the form holds. variant, accept: '' where the endpoint is to choose."""

    body: str = ""
    content_type: str = CONTENT_TYPES[0]
    variant: str = ""
    accept: str = ""


@dataclass(frozen=True)
class Shown:
    """An answer as text. is_cut: whether there is more of it. is_text: False for bytes that are none, shown as hex."""

    answer: Answer
    milliseconds: float
    text: str
    is_text: bool
    is_cut: bool

    @property
    def size(self) -> int:
        return len(self.answer.body)


@pages.get(AT)
def trial(name: str) -> Response:
    return _form(name, Asked())


@pages.post(AT)
def send(name: str) -> Response:
    form = request.form
    asked = Asked(
        body=form.get("body", "").replace("\r\n", "\n"),  # as browsers send the ends of lines
        content_type=form.get("content_type", "").strip()[:200] or CONTENT_TYPES[0],
        variant=form.get("variant", "").strip()[:100],
        accept=form.get("accept", "").strip()[:200],
    )
    state_of(name)
    began = time.monotonic()
    try:
        answer = desk().project.invoke(
            name,
            asked.body.encode(),
            content_type=asked.content_type,
            accept=asked.accept or None,
            variant=asked.variant or None,
            check=False,
        )
    except SagespecError as error:
        return _form(name, asked, problems=error.problems)
    return _form(name, asked, shown(answer, (time.monotonic() - began) * 1000))


def _form(name: str, asked: Asked, found: Shown | None = None, *, problems: tuple[Problem, ...] = ()) -> Response:
    types = CONTENT_TYPES
    return page("trial", endpoint=state_of(name), asked=asked, found=found, refused=problems, types=types, every=3600)


def shown(answer: Answer, milliseconds: float) -> Shown:
    """
    >>> shown(Answer(200, b"0.9", "text/csv", "stable", {}), 1.0).text
    '0.9'
    >>> shown(Answer(200, bytes([0, 255]), "application/x-npy", "stable", {}), 1.0).text
    '00 ff'
    """
    head = answer.body[:MOST_SHOWN_BYTES]
    try:
        text, is_text = head.decode(), True
    except UnicodeDecodeError as error:
        is_text = error.start >= len(head) - 3 and len(answer.body) > len(head)  # a letter was cut through
        text = head[: error.start].decode() if is_text else head[:1024].hex(" ")
    return Shown(answer, milliseconds, text, is_text, len(answer.body) > (len(head) if is_text else 1024))
