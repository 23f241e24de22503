"""Describe calls of waiters wait for a change, without a thread too many and without a client's timeout."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from sagespec.api.call import Answer
from sagespec.api.changes import Changes
from sagespec.api.errors import ApiError
from sagespec.api.holds import Holds, Places, is_waiter

DESCRIBE = "DescribeTrainingJob"


@dataclass
class Job:
    """A job whose state a test sets. asked: how often it was asked for."""

    state: str = "InProgress"
    asked: int = 0
    changes: Changes = field(default_factory=Changes)

    def describe(self) -> Mapping[str, Any]:
        self.asked += 1
        if self.state == "gone":
            raise ApiError("ValidationException", "there is none")
        return {"TrainingJobStatus": self.state}

    def becomes(self, state: str) -> None:
        self.state = state
        self.changes.tell()

    def holds(self, places: Places | None = None, **more: float) -> Holds:
        return Holds(self.changes, lambda: 0, places or Places(), **more)


def write(found: Mapping[str, Any]) -> Answer:
    return Answer(200, json.dumps(found).encode(), "application/x-amz-json-1.1")


def text_of(answer: Answer) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)


@pytest.mark.parametrize(
    ("user_agent", "waits"),
    [
        ("Boto3/1.44.8 md/Botocore#1.44.8 ua/2.1 m/B,E,b cfg/retry-mode#standard Botocore/1.44.8", True),
        ("aws-cli/1.45.11 md/Botocore#1.43.11 m/N,B,D", True),
        ("Boto3/1.44.8 md/Botocore#1.44.8 m/E,b,Z cfg/retry-mode#standard", False),
        ("Boto3/1.44.8 md/B m/b", False),
        ("", False),
    ],
)
def test_waiters_say_so(user_agent: str, waits: bool) -> None:
    assert is_waiter(user_agent) is waits


def test_a_state_that_stays_is_answered_at_once() -> None:
    job = Job("Completed")
    assert json.loads(text_of(job.holds().answer(DESCRIBE, job.describe, write))) == {"TrainingJobStatus": "Completed"}
    assert job.asked == 1


def test_the_answer_comes_with_the_change() -> None:
    job = Job()
    threading.Timer(0.1, job.becomes, ["Stopping"]).start()
    answer = job.holds(blank_seconds=60).answer(DESCRIBE, job.describe, write)
    assert json.loads(text_of(answer)) == {"TrainingJobStatus": "Stopping"}
    assert isinstance(answer.body, bytes)


def test_blanks_keep_a_client_waiting() -> None:
    job = Job()
    answer = job.holds(blank_seconds=0.05).answer(DESCRIBE, job.describe, write)
    assert not isinstance(answer.body, bytes)
    blocks = iter(answer.body)
    assert [next(blocks), next(blocks), next(blocks)] == [b" ", b" ", b" "]
    job.becomes("Completed")
    assert json.loads(b"".join(blocks)) == {"TrainingJobStatus": "Completed"}


def test_what_becomes_a_refusal_ends_the_connection_so_that_the_client_asks_again() -> None:
    job = Job()
    blocks = iter(job.holds(blank_seconds=0.01).answer(DESCRIBE, job.describe, write).body)
    next(blocks)
    job.becomes("gone")
    with pytest.raises(ConnectionResetError):
        list(blocks)


def test_a_refusal_before_the_first_blank_is_one() -> None:
    job = Job()
    threading.Timer(0.1, job.becomes, ["gone"]).start()
    with pytest.raises(ApiError):
        job.holds(blank_seconds=60).answer(DESCRIBE, job.describe, write)


def test_places_are_given_back_however_it_ends() -> None:
    places, job = Places(1), Job()
    answer = job.holds(places, blank_seconds=0.01).answer(DESCRIBE, job.describe, write)
    assert not places.take()
    answer.body.close()  # type: ignore[union-attr]
    assert places.take()
    places.leave()
    threading.Timer(0.05, job.becomes, ["gone"]).start()
    with pytest.raises(ApiError):
        job.holds(places, blank_seconds=60).answer(DESCRIBE, job.describe, write)
    assert places.take()


def test_without_a_free_place_nobody_is_held() -> None:
    places, job = Places(1), Job()
    places.take()
    found = job.holds(places).answer(DESCRIBE, job.describe, write)
    assert json.loads(text_of(found)) == {"TrainingJobStatus": "InProgress"}


def test_all_are_let_go_when_the_server_ends() -> None:
    places, job = Places(), Job()
    blocks = iter(job.holds(places, blank_seconds=0.01).answer(DESCRIBE, job.describe, write).body)
    next(blocks)
    places.closed.set()
    assert json.loads(b"".join(blocks)) == {"TrainingJobStatus": "InProgress"}  # type: ignore[arg-type]


def test_nothing_is_asked_again_while_nothing_changes() -> None:
    job = Job()
    blocks = iter(job.holds(blank_seconds=0.01).answer(DESCRIBE, job.describe, write).body)
    for _ in range(3):
        next(blocks)
    assert job.asked <= 3
