"""What is said of a store that is silent."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.stores import waits
from sagespec.stores.open import open_store
from sagespec.stores.protocol import Conflict, StoreAway
from sagespec.stores.waits import ToldStore, Waits
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


def test_errors_of_a_store_are_counted_and_what_it_merely_refuses_is_not(tmp_path: Path) -> None:
    counting = Waits(lambda _: None)
    store = ToldStore(open_store(f"file://{tmp_path}/store", root=tmp_path), counting)
    store.write("a", b"1", if_absent=True)
    with pytest.raises(Conflict):
        store.write("a", b"2", if_absent=True)
    assert store.read("b") is None
    assert counting.errors == 0
    with pytest.raises(WorldError):
        store.download("a", tmp_path / "a", sha256="0" * 64)
    assert counting.errors == 1
