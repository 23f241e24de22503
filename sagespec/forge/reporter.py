"""Tells the forge, in a thread of its own: a forge that is slow or away is in nobody's way.

What is to be told follows from what the store has, and what was told is written there, so nothing is lost when a run is
killed: the next one tells it. A state that the forge did not take is tried again, less and less often.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sagespec.errors import SagespecError, WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.forge.requests import Forge, ForgeRequest
from sagespec.forge.statuses import CommitState, CommitStatus

SECONDS = 10.0  # for one answer
LONGEST_PAUSE_SECONDS = 600.0
LONGEST_ANSWER_BYTES = 2**20

Ask = Callable[[ForgeRequest], Any]


class ForgeAway(WorldError):
    """It did not answer, or cannot just now: trying again may help."""


class Reporter:
    """look: what is to be told now; called in the thread, and may raise as the store does. told: writes down what was.
    token: opened each time, since it may be rotated. stuck: writes down why the forge shows nothing new; '' once
    it does."""

    def __init__(
        self,
        forge: Forge,
        token: Callable[[], str],
        look: Callable[[], Sequence[CommitStatus]],
        told: Callable[[CommitStatus], object],
        report: Report,
        *,
        first_pause_seconds: float = 5.0,
        ask: Ask | None = None,
        stuck: Callable[[str], object] = lambda _why: None,
    ) -> None:
        self._forge, self._token, self._look, self._told, self._report = forge, token, look, told, report
        self._first_pause_seconds, self._ask = first_pause_seconds, ask or ask_forge
        self._woken, self._left = threading.Event(), threading.Event()
        self._idle = threading.Event()
        self._refused: dict[tuple[str, str], str] = {}  # by commit and key, why: asking again would not help
        self._said = ""
        self._stuck = stuck
        self._told_stuck: str | None = None  # None before it is known: an earlier run may have left something
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """There may be something to tell."""
        self._idle.clear()
        self._woken.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, name="forge", daemon=True)
            self._thread.start()

    def leave(self, seconds: float = SECONDS) -> None:
        """Wait until all is told that can be, but not for longer."""
        if self._thread is not None:
            self._idle.wait(seconds)
            self._left.set()
            self._woken.set()

    def _keep(self) -> None:
        pause = self._first_pause_seconds
        while not self._left.is_set():
            self._woken.clear()
            if self.tell():
                pause = self._first_pause_seconds
                if not self._woken.is_set():
                    self._idle.set()
                self._woken.wait()
            else:
                self._idle.set()  # who leaves does not wait for a forge that is away
                self._woken.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def tell(self) -> bool:
        """Tell all that is untold; whether that worked."""
        try:
            found = self._look()
        except (SagespecError, OSError) as error:
            return self._tried_again(error)
        try:
            for status in found:
                if (status.commit, status.key) not in self._refused:
                    self._tell(status)
            self._say_stuck(self._why_refused(found))
        except (SagespecError, OSError) as error:
            with suppress(SagespecError, OSError):
                self._say_stuck(_first(error))
            return self._tried_again(error)
        if self._said:
            self._said = ""
            self._report(Event(EventKind.NOTE, "source", "the forge shows the state of commits again"))
        return True

    def _tell(self, status: CommitStatus) -> None:
        token = self._token()
        try:
            self._ask(self._forge.status(status, token))
            if self._forge.deployments and status.is_begun:
                self._tell_deployment(status, token)
        except ForgeAway:
            raise
        except WorldError as error:
            self._refused[status.commit, status.key] = _first(error)
            text = f"the forge does not take that {status.commit[:12]} is {status.state}: {_first(error)}"
            self._report(Event(EventKind.FAILED, "source", text, action="report"))
            return
        self._told(status)

    def _tell_deployment(self, status: CommitStatus, token: str) -> None:
        found = self._ask(self._forge.find_deployment(status.commit, token))
        if not found:
            if status.state is CommitState.ERROR:  # it never began
                return
            found = [self._ask(self._forge.make_deployment(status.commit, token))]
        self._ask(self._forge.deployment_status(int(found[0]["id"]), status, token))

    def _tried_again(self, error: SagespecError | OSError) -> bool:
        self._say(f"the state of commits cannot be shown on the forge: {_first(error)}; it is tried again")
        return False

    def _why_refused(self, found: Sequence[CommitStatus]) -> str:
        """Of the first that the forge does not take; '' where it took all."""
        return next(filter(None, (self._refused.get((status.commit, status.key)) for status in found)), "")

    def _say_stuck(self, why: str) -> None:
        if why != self._told_stuck:
            self._stuck(why)
            self._told_stuck = why

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._report(Event(EventKind.NOTE, "source", text))


def _first(error: SagespecError | OSError) -> str:
    return error.problems[0].what if isinstance(error, SagespecError) else str(error)


def ask_forge(asked: ForgeRequest) -> Any:
    """The JSON of the answer. ForgeAway when there is none, or we ask too often; WorldError when it refuses."""
    data = None if asked.body is None else json.dumps(asked.body).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "sagespec", **asked.headers}
    request = urllib.request.Request(asked.url, data, headers, method=asked.method)  # noqa: S310  # http(s) alone
    try:
        with _OPENER.open(request, timeout=SECONDS) as answer:
            return json.loads(answer.read(LONGEST_ANSWER_BYTES) or b"null")
    except urllib.error.HTTPError as error:
        said = error.read(2000).decode(errors="replace")
        what = f"{asked.method} {asked.url} was answered {error.code}: {_message(said)}"
        if error.code >= 500 or error.code == 429 or _is_limited(error):
            raise ForgeAway(what) from None
        raise WorldError(what, fix="check the token: it must be allowed to write there") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = getattr(error, "reason", error) or type(error).__name__
        raise ForgeAway(f"{asked.method} {asked.url} failed: {why}") from None


def _is_limited(error: urllib.error.HTTPError) -> bool:
    """GitHub says 403 to those who ask too often."""
    return error.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in error.headers


def _message(said: str) -> str:
    try:
        found = json.loads(said)
    except ValueError:
        return said.strip()[:200]
    text = found.get("message") or found.get("error") if isinstance(found, dict) else said
    return str(text)[:200]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token is sent to the address that was configured and to no other."""

    def redirect_request(self, *_args: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)
