"""What is said of a store that is silent."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from sagespec.stores import waits
from sagespec.stores.protocol import StoreAway
from sagespec.stores.waits import Waits
from tests.scenarios.workspace import wait_until


def test_a_silent_store_is_told_once_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "TELL_AFTER_SECONDS", 0.01)
    told: list[str] = []
    waiting = Waits(told.append)
    for _ in range(2):
        with suppress(StoreAway), waiting.on("s3://acme"):
            wait_until(lambda: bool(told))
            time.sleep(0.1)
            raise StoreAway("it does not answer")
    assert told == ["waiting for s3://acme to answer"]
    for _ in range(2):  # the first ends the silence
        with waiting.on("s3://acme"):
            time.sleep(0.1)
    wait_until(lambda: len(told) == 2)
