"""A push brings the next look at once, for whoever has the secret and for nobody else."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagespec import webhook
from sagespec.errors import WorldError
from sagespec.spec.report import Webhook
from sagespec.spec.source import Source
from sagespec.verbs.sourced import Sourced
from tests.ports import free_port

SECRET = "hook-0123456789abcdef"  # of this test


class Hooked:
    def __init__(self, port: int) -> None:
        self.port, self.nudges, self.secret = port, list[float](), SECRET

    def nudge(self) -> None:
        self.nudges.append(time.monotonic())

    def send(self, body: bytes = b'{"ref": "refs/heads/main"}', **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/", body, {name.replace("_", "-"): value for name, value in headers.items()})
        status = connection.getresponse().status
        connection.close()
        return status


def signed(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


BODY = b'{"ref": "refs/heads/main"}'
GITHUB = {"X_Hub_Signature_256": f"sha256={signed(BODY)}"}


@pytest.fixture
def hook() -> Iterator[Hooked]:
    found = Hooked(free_port())
    settings = Webhook.model_validate({"secret": {"secret": "hook"}, "port": found.port})
    with webhook.hearing(settings, lambda: found.secret, found.nudge):
        yield found


@pytest.mark.parametrize(
    "headers",
    [GITHUB, {"X_Gitea_Signature": signed(BODY)}, {"X_Gitlab_Token": SECRET}],
    ids=["github", "gitea", "gitlab"],
)
def test_each_forges_push_is_heard(hook: Hooked, headers: dict[str, str]) -> None:
    assert hook.send(BODY, **headers) == 202
    assert len(hook.nudges) == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, {}),
        (BODY, {"X_Hub_Signature_256": f"sha256={signed(BODY, 'another')}"}),
        (BODY + b" ", GITHUB),
        (BODY, {"X_Hub_Signature_256": signed(BODY)}),
        (BODY, {"X_Hub_Signature": "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()}),
        (BODY, {"X_Gitlab_Token": ""}),
        (BODY, {"X_Gitlab_Token": SECRET[:-1]}),
        (BODY, {"X_Gitea_Signature": f"sha256={signed(BODY)}"}),
    ],
)
def test_what_is_not_signed_causes_nothing(hook: Hooked, body: bytes, headers: dict[str, str]) -> None:
    assert hook.send(body, **headers) == 401
    assert hook.nudges == []


def test_what_is_too_long_is_not_read(hook: Hooked) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", hook.port, timeout=30)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(2**20 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_the_secret_may_be_another_while_it_listens(hook: Hooked) -> None:
    hook.secret = "rotated-0123456789"  # of this test
    assert hook.send(BODY, **GITHUB) == 401
    assert hook.send(BODY, X_Hub_Signature_256=f"sha256={signed(BODY, hook.secret)}") == 202


def test_of_many_pushes_at_once_there_are_two_looks(hook: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "NUDGE_EVERY_SECONDS", 2.0)
    senders = [threading.Thread(target=hook.send, args=(BODY,), kwargs=GITHUB) for _ in range(20)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    end = time.monotonic() + 30
    while len(hook.nudges) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    first, last = hook.nudges
    assert last - first >= 1.9, "one at once, and one for all that came meanwhile"


def test_an_empty_secret_is_refused_before_anybody_could_use_it() -> None:
    settings = Webhook.model_validate({"secret": {"secret": "hook"}, "port": free_port()})
    with (
        pytest.raises(WorldError, match="the secret of the webhook is empty"),
        webhook.hearing(settings, lambda: "", lambda: None),
    ):
        pass


def test_pushes_that_nobody_has_signed_run_no_command_each(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    command = {"command": ["sh", "-c", f"echo x >> {asked}; echo hook-0123456789abcdef"]}
    document = {
        "apiVersion": "sagespec/v1",
        "kind": "Source",
        "name": "churn",
        "url": "/a",
        "secrets": {"hook": command},
    }
    sourced = Sourced.at(Source.model_validate(document), tmp_path)
    assert {sourced.secret("hook") for _ in range(20)} == {"hook-0123456789abcdef"}
    assert asked.read_text() == "x\n"
