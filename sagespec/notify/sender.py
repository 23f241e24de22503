"""Sends messages in a thread of its own: an address that is slow or dead is in nobody's way."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sagespec.errors import SagespecError
from sagespec.events import Event, EventKind, Report
from sagespec.notify.notices import Notice
from sagespec.spec.notify import Notify
from sagespec.state.undelivered import Undelivered

MOST_WAITING = 100  # messages; the oldest are given up for newer ones
TRIES = 3
PAUSES_SECONDS = (1.0, 5.0)
SECONDS = 10.0  # for one answer
LEAVE_SECONDS = 3.0

Open = Callable[[str], str]


@dataclass(frozen=True)
class About:
    """What every message says of where it comes from. commit: that is in force; '' where none is known."""

    project: str
    environment: str = ""
    commit: str = ""


def body_of(notice: Notice, about: About, form: str) -> bytes:
    """What is POSTed.

    >>> from datetime import UTC, datetime
    >>> from sagespec.spec.notify import Topic
    >>> at = datetime(2026, 12, 1, tzinfo=UTC)
    >>> failed = Notice(Topic.FAILED, "job/churn@3", "exit code 1", at, fix="see its log")
    >>> body_of(failed, About("churn"), "slack").decode()
    '{"text": "churn: job/churn@3 failed: exit code 1 (see its log)"}'
    """
    if form == "slack":
        return json.dumps({"text": _plain(line_of(notice, about))}).encode()
    found: dict[str, Any] = {
        "event": notice.topic.value,
        "project": about.project,
        "environment": about.environment,
        "address": notice.about,
        "reason": notice.text,
        "fix": notice.fix,
        "commit": about.commit,
        "times": notice.times,
        "at": notice.at.isoformat(),
    }
    if notice.was and notice.lasted is not None:
        found |= {"was": notice.was.value, "lasted_seconds": round(notice.lasted.total_seconds())}
    return json.dumps(found).encode()


def line_of(notice: Notice, about: About) -> str:
    word = notice.topic.value.replace("_", " ")
    times = f", {notice.times} times since the last message" if notice.times > 1 else ""
    lasted = f" after {_minutes(notice.lasted.total_seconds())}" if notice.lasted is not None else ""
    fix = f" ({notice.fix})" if notice.fix else ""
    return f"{about.project}: {notice.about} {word}{lasted}{times}: {notice.text}{fix}"


def _plain(text: str) -> str:
    """What Slack shows as it is: a reason may hold words of a commit, and those mention nobody and link nowhere.

    >>> _plain("<!channel> a & b")
    '&lt;!channel&gt; a &amp; b'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


class Sender:
    """open_secret: by its name, each time, since it may be rotated."""

    def __init__(self, settings: Notify, open_secret: Open, report: Report) -> None:
        self._settings, self._open, self._report = settings, open_secret, report
        self._waiting: queue.Queue[bytes] = queue.Queue(MOST_WAITING)
        self._left = threading.Event()
        self._dead_since: datetime | None = None  # a message was given up then, and none has arrived since
        self._why, self._dropped = "", 0
        self._thread: threading.Thread | None = None

    def send(self, notice: Notice, about: About) -> None:
        if notice.topic.value not in self._settings.on:
            return
        body = body_of(notice, about, self._settings.form)
        while True:
            try:
                self._waiting.put_nowait(body)
                break
            except queue.Full:
                self._waiting.get_nowait()
                self._dropped += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, name="notify", daemon=True)
            self._thread.start()

    @property
    def undelivered(self) -> Undelivered | None:
        """None while messages arrive, as far as is known."""
        if (since := self._dead_since) is None:
            return None
        waiting = self._waiting.qsize()
        return Undelivered(
            to=self._settings.url.name, since=since, why=self._why, waiting=waiting, dropped=self._dropped
        )

    def leave(self) -> None:
        """What waits is sent, once each."""
        self._left.set()

    def wait(self, seconds: float = LEAVE_SECONDS) -> None:
        """Until that is done, but not for longer."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _keep(self) -> None:
        while True:
            try:
                body = self._waiting.get(timeout=0.1)
            except queue.Empty:
                if self._left.is_set():
                    return
                continue
            self._deliver(body)

    def _deliver(self, body: bytes) -> None:
        why = ""
        for number in range(TRIES):
            try:
                self._post(body)
            except (SagespecError, OSError, ValueError, http.client.HTTPException) as error:
                why = _why(error)
                if self._left.wait(PAUSES_SECONDS[number] if number < len(PAUSES_SECONDS) else 0):
                    break
            else:
                self._dead_since, self._dropped = None, 0
                return
        self._why, self._dropped = why, self._dropped + 1
        if self._dead_since is None:  # once, until one arrives
            self._dead_since = datetime.now(UTC)
            name = self._settings.url.name
            self._report(Event(EventKind.FAILED, text=f"messages to {name} do not arrive: {why}", action="notify"))

    def _post(self, body: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "sagespec"}
        if self._settings.key:
            signature = hmac.new(self._open(self._settings.key.name).encode(), body, hashlib.sha256).hexdigest()
            headers["X-Sagespec-Signature"] = f"sha256={signature}"
        url = self._open(self._settings.url.name)
        if not url.startswith(("https://", "http://")):
            raise ValueError("it is not an address that begins with https://")
        request = urllib.request.Request(url, body, headers)  # noqa: S310  # http(s) alone
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            answer.read(1000)


def _why(error: Exception) -> str:
    """Nothing of the address, which is a secret."""
    if isinstance(error, urllib.error.HTTPError):
        return f"answered {error.code}"
    if isinstance(error, SagespecError):
        return error.problems[0].what
    if isinstance(error, http.client.InvalidURL):
        return "it is not an address: it has a space in it, or a port that is none"
    if isinstance(error, http.client.HTTPException):
        return f"what answers speaks no HTTP ({type(error).__name__})"
    return str(getattr(error, "reason", error))
