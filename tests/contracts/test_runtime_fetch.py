"""How every Runtime sends requests to a container, and tells of events: fake, processes and Docker."""

from __future__ import annotations

import threading
import time

import pytest

from sagespec.errors import WorldError
from sagespec.state.addresses import GATEWAY
from sagespec.state.observed import ContainerState
from tests.contracts.bench import (
    FOREVER,
    SERVER,
    SLEEP,
    Bench,
    on_every_engine,
)
from tests.fakes import Behaviour


@on_every_engine
def test_fetch_asks_the_gateway_from_within(bench: Bench) -> None:
    answers = {"/a?b=c": b"GET /a?b=c", "/d": b"GET /d"}
    behaviour = Behaviour(lasts=None, files={"port": b"9901"}, answers=answers)
    name = bench.start(SERVER, behaviour, command="serve", address=GATEWAY)
    port = int(bench.file(name, "port"))
    assert bench.runtime.fetch(name, port, ["/a?b=c", "/d"]) == [b"GET /a?b=c", b"GET /d"]
    assert bench.runtime.fetch(name, port, []) == []
    with pytest.raises(WorldError, match="/busy"):
        bench.runtime.fetch(name, port, ["/a?b=c", "/busy"])


@on_every_engine
def test_fetch_posts(bench: Bench) -> None:
    behaviour = Behaviour(lasts=None, files={"port": b"9901"}, answers={"/drain": b"POST /drain"})
    name = bench.start(SERVER, behaviour, command="serve", address=GATEWAY)
    port = int(bench.file(name, "port"))
    assert bench.runtime.fetch(name, port, ["/drain"], post=True) == [b"POST /drain"]


@on_every_engine
def test_fetch_of_what_does_not_listen_is_an_error(bench: Bench) -> None:
    created = bench.create(command="serve", address=GATEWAY)
    with pytest.raises(WorldError):
        bench.runtime.fetch(created, 9901, ["/stats"])
    silent = bench.start(name="b", command="serve", address=GATEWAY)
    with pytest.raises(WorldError, match="/stats"):
        bench.runtime.fetch(silent, 9901, ["/stats"])


@on_every_engine
def test_events_name_what_starts_dies_and_goes(bench: Bench) -> None:
    quick, slow = bench.create(name="a"), bench.create(SLEEP, FOREVER, name="b")
    with bench.runtime.events() as events:
        bench.runtime.start(quick)
        assert next(events) == quick
        bench.until(quick, ContainerState.EXITED)
        bench.runtime.start(slow)
        assert next(name for name in events if name == slow)
        bench.runtime.remove(slow)
        assert next(name for name in events if name == slow)


@on_every_engine
def test_leaving_the_events_ends_a_waiting_reader(bench: Bench) -> None:
    got: list[str] = []
    with bench.runtime.events() as events:
        reader = threading.Thread(target=lambda: got.extend(events))
        reader.start()
        time.sleep(0.1)  # so that it waits already
    reader.join(10)
    assert not reader.is_alive()
    assert got == []
