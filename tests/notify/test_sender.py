"""Messages arrive, signed where that is asked for; an address that does not answer is in nobody's way."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.events import Event
from sagespec.notify import sender as module
from sagespec.notify.notices import Notice
from sagespec.notify.sender import MOST_WAITING, About, Sender
from sagespec.spec.notify import Notify, Topic
from tests.forge.server import garbled
from tests.ports import free_port

AT = datetime(2026, 12, 1, 12, tzinfo=UTC)
ABOUT = About("churn-prod", "prod", "c" * 40)
FAILED = Notice(Topic.FAILED, "job/churn@3", "exit code 1", AT, fix="see its log")


class Hook:
    """Takes messages. answers: the status of each, in turn; 200 from then on."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[int] = []
        self.is_slow = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.is_slow.is_set():
                    time.sleep(30)
                status = hook.answers.pop(0) if hook.answers else 200
                if status == 200:
                    hook.bodies.append(body)
                    hook.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook-secret"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setattr(module, "PAUSES_SECONDS", (0.01, 0.01))
    found = Hook()
    yield found
    found.server.shutdown()
    found.server.server_close()


def sending(url: str, events: list[Event], **settings: Any) -> Sender:
    secrets = {"slack": url, "key": "0123456789abcdef"}
    return Sender(Notify.model_validate({"url": {"secret": "slack"}, **settings}), secrets.__getitem__, events.append)


def until(is_so: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_a_message_says_all_that_is_known_and_is_signed(hook: Hook) -> None:
    sender = sending(hook.url, [], key={"secret": "key"})
    sender.send(FAILED, ABOUT)
    until(lambda: hook.bodies)
    assert json.loads(hook.bodies[0]) == {
        "event": "failed",
        "project": "churn-prod",
        "environment": "prod",
        "address": "job/churn@3",
        "reason": "exit code 1",
        "fix": "see its log",
        "commit": "c" * 40,
        "times": 1,
        "at": "2026-12-01T12:00:00+00:00",
    }
    right = hmac.new(b"0123456789abcdef", hook.bodies[0], hashlib.sha256).hexdigest()
    assert hook.headers[0]["x-sagespec-signature"] == f"sha256={right}"
    sender.leave()


def test_only_what_somebody_wants_to_hear_is_sent(hook: Hook) -> None:
    sender = sending(hook.url, [], on=["held"], form="slack")
    sender.send(FAILED, ABOUT)
    sender.send(Notice(Topic.HELD, "source", "nobody signed it", AT, times=3), ABOUT)
    until(lambda: hook.bodies)
    text = "churn-prod: source held, 3 times since the last message: nobody signed it"
    assert [json.loads(body) for body in hook.bodies] == [{"text": text}]
    sender.leave()


def test_it_is_tried_three_times(hook: Hook) -> None:
    hook.answers = [500, 429, 200]
    events: list[Event] = []
    sender = sending(hook.url, events)
    sender.send(FAILED, ABOUT)
    until(lambda: hook.bodies)
    assert events == []
    sender.leave()


def test_one_that_is_dead_is_said_once_without_its_address_until_one_arrives(hook: Hook) -> None:
    hook.answers = [404] * 6
    events: list[Event] = []
    sender = sending(hook.url, events)
    for _ in range(3):
        sender.send(FAILED, ABOUT)
    until(lambda: hook.bodies)
    assert [event.text for event in events] == ["messages to slack do not arrive: answered 404"]
    until(lambda: sender.undelivered is None)
    sender.leave()


def test_one_that_is_dead_tells_since_when_why_and_how_much_did_not_arrive(hook: Hook) -> None:
    hook.answers = [404] * 6
    sender = sending(hook.url, [])
    assert sender.undelivered is None
    for _ in range(2):
        sender.send(FAILED, ABOUT)
    until(lambda: (found := sender.undelivered) and found.dropped == 2)
    assert (found := sender.undelivered)
    assert (found.to, found.why, found.waiting) == ("slack", "answered 404", 0)
    assert abs((datetime.now(UTC) - found.since).total_seconds()) < 60
    hook.answers, hook.is_slow = [500] * 3, threading.Event()
    sender.send(FAILED, ABOUT)
    until(lambda: (found := sender.undelivered) and found.dropped == 3)
    assert sender.undelivered
    assert (sender.undelivered.why, sender.undelivered.since) == ("answered 500", found.since)
    sender.leave()


@pytest.mark.parametrize(
    ("open_secret", "why"),
    [
        (lambda _name: f"http://127.0.0.1:{free_port()}/hook-secret", "refused"),
        (lambda _name: f"http://127.0.0.1:{free_port()}/hook-secret /b", "it is not an address"),
        (lambda _name: "http://127.0.0.1:port/hook-secret", "it is not an address"),
        (lambda _name: "ftp://hook-secret", "it is not an address that begins with https://"),
        (lambda _name: (_ for _ in ()).throw(WorldError("slack cannot be read")), "slack cannot be read"),
    ],
)
def test_what_cannot_be_sent_says_why_and_never_where(
    open_secret: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSES_SECONDS", (0.01, 0.01))
    events: list[Event] = []
    sender = Sender(Notify.model_validate({"url": {"secret": "slack"}}), open_secret, events.append)
    sender.send(FAILED, ABOUT)
    until(lambda: events)
    assert why in events[0].text
    assert "hook-secret" not in events[0].text
    sender.leave()


def test_what_answers_and_speaks_no_http_ends_no_messages(hook: Hook) -> None:
    events: list[Event] = []
    with garbled() as url:
        urls = [url] * module.TRIES
        sender = Sender(
            Notify.model_validate({"url": {"secret": "slack"}}),
            lambda _name: urls.pop() if urls else hook.url,
            events.append,
        )
        sender.send(FAILED, ABOUT)
        until(lambda: events)
        sender.send(FAILED, ABOUT)
        until(lambda: hook.bodies)
    assert [event.text for event in events] == [
        "messages to slack do not arrive: what answers speaks no HTTP (BadStatusLine)"
    ]
    sender.leave()


def test_a_slow_one_holds_nobody_up_and_the_newest_messages_are_kept(hook: Hook) -> None:
    hook.is_slow.set()
    sender = sending(hook.url, [])
    begun = time.monotonic()
    for number in range(3 * MOST_WAITING):
        sender.send(Notice(Topic.FAILED, f"job/churn@{number + 1}", "exit code 1", AT), ABOUT)
    assert time.monotonic() - begun < 20
    assert sender._waiting.qsize() == MOST_WAITING
    sender.leave()


def test_what_waits_is_sent_before_it_leaves(hook: Hook) -> None:
    """It counts as told already: whoever is started next says it to nobody."""
    sender = sending(hook.url, [])
    for _ in range(5):
        sender.send(FAILED, ABOUT)
    sender.leave()
    sender.wait(10)
    assert len(hook.bodies) == 5


def test_one_that_is_dead_keeps_nobody_from_leaving(hook: Hook) -> None:
    hook.is_slow.set()
    sender = sending(hook.url, [])
    sender.send(FAILED, ABOUT)
    sender.leave()
    begun = time.monotonic()
    sender.wait(0.2)
    assert time.monotonic() - begun < 5
