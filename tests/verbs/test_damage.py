"""A deep look, while jobs end and `gc` sweeps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from sagespec.records.sweeping import Sweeping
from sagespec.runtimes.docker.launches import _limits
from sagespec.state.addresses import job_address
from sagespec.state.launches import Launch
from sagespec.verbs.damage import damaged_models
from tests.fakes import FakeStore
from tests.place import Place

JOB = job_address("model", 1)
MODEL = "jobs/model/1/model.tar.gz"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    assert place.converge(place.job(1)).ok
    return place


def said(place: Place) -> list[str]:
    return [found.what for found in damaged_models(place.world().records)]


def after_first(monkeypatch: pytest.MonkeyPatch, method: str, happens: Callable[[], object]) -> None:
    """happens: once, when a store was first asked by that method."""
    ask, done = getattr(FakeStore, method), list[bool]()

    def asked(self: FakeStore, *args: Any, **more: Any) -> Any:
        answer = ask(self, *args, **more)
        if not done:
            done.append(True)
            happens()
        return answer

    monkeypatch.setattr(FakeStore, method, asked)


def sweep(place: Place) -> None:
    records = place.world().records
    Sweeping(records).tombstone(records.manifests([JOB])[JOB], datetime.now(UTC))
    for key in [key for key in place.objects if key.endswith(MODEL)]:
        del place.objects[key]


def test_what_is_gone_is_told(place: Place) -> None:
    assert said(place) == []
    for key in [key for key in place.objects if key.endswith(MODEL)]:
        del place.objects[key]
    assert said(place) == ["model.tar.gz is gone from file:///fake"]


def test_a_job_that_ends_meanwhile_has_its_model(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    there = dict(place.objects)
    place.objects.clear()
    after_first(monkeypatch, "entries", lambda: place.objects.update(there))
    assert said(place) == []


@pytest.mark.parametrize("method", ["read_many", "entries"])
def test_what_gc_sweeps_meanwhile_is_no_damage(place: Place, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    after_first(monkeypatch, method, lambda: sweep(place))
    assert said(place) == []


def test_what_gc_sweeps_while_it_is_read_is_no_damage(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagespec.verbs.damage.PART_BYTES", 8)
    after_first(monkeypatch, "read_part", lambda: sweep(place))
    assert said(place) == []


def test_the_engine_gets_the_billionths_of_cpus_that_were_written() -> None:
    assert _limits(Mock(spec=Launch, cpus=4.1, memory=None)) == {"nano_cpus": 4_100_000_000}
