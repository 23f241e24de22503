"""The fakes beyond the contracts: breaking off at any effect, a clock that is set, a gateway without Envoy."""

from __future__ import annotations

import threading

import pytest

from sagespec.errors import WorldError
from sagespec.state.addresses import Address
from sagespec.state.launches import Launch
from sagespec.state.observed import ContainerState, Route, Target
from sagespec.state.programs import Builtin
from tests.fakes import Behaviour, FakeEngine, FakeGateway, FakeRuntime, FakeStore, Faults, Killed, SettableClock

SERVING = Launch("c0", Address.parse("endpoint/churn/v#0"), "1-a", Builtin("echo"), "serve")
ROUTE = Route("churn", (Target("v", "1-a", 1.0, ("c0",)),))


def work(runtime: FakeRuntime, store: FakeStore) -> None:
    runtime.create([SERVING])
    runtime.start("c0")
    store.write("key", b"1")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_kill_leaves_what_was_done_before_it_and_a_new_runtime_finds_it(number: int) -> None:
    engine, objects = FakeEngine(), dict[str, bytes]()
    faults = Faults()
    faults.kill_before = number
    runtime, store = FakeRuntime("p", engine, faults), FakeStore(objects, faults)
    with pytest.raises(Killed):
        work(runtime, store)
    with pytest.raises(Killed):
        runtime.containers()
    revived = FakeRuntime("p", engine)
    assert [c.state for c in revived.containers()] == [
        [],
        [ContainerState.CREATED],
        [ContainerState.RUNNING],
    ][number - 1]
    work(revived, FakeStore(objects))
    assert objects == {"key": b"1"}


def test_a_thread_of_the_dead_is_no_fault_of_a_test() -> None:
    faults = Faults()
    faults.kill()
    reader = threading.Thread(target=FakeStore({}, faults).read, args=("key",))
    reader.start()
    reader.join()


def test_a_kill_after_an_effect_leaves_it_done() -> None:
    faults = Faults()
    faults.kill_after = 1
    runtime = FakeRuntime("p", FakeEngine(), faults)
    with pytest.raises(Killed):
        runtime.create([SERVING])
    faults.revive()
    assert [c.name for c in runtime.containers()] == ["c0"]


def test_any_effect_can_fail() -> None:
    faults = Faults()
    faults.fail = lambda effect: WorldError("disk full") if effect == "start c0" else None
    runtime = FakeRuntime("p", FakeEngine(), faults)
    runtime.create([SERVING])
    with pytest.raises(WorldError, match="disk full"):
        runtime.start("c0")
    assert faults.calls == ["create c0", "start c0"]


def test_time_passes_only_when_the_clock_is_set() -> None:
    clock = SettableClock()
    engine = FakeEngine(clock)
    engine.behave("endpoint/churn/v#0", Behaviour(lasts=60, exit_code=3))
    runtime = FakeRuntime("p", engine)
    runtime.create([SERVING])
    assert runtime.start("c0").started_at == clock.now()
    clock.sleep(59)
    assert runtime.containers()[0].state is ContainerState.RUNNING
    clock.sleep(1)
    assert runtime.containers()[0].exit_code == 3


def test_the_gateway_answers_once_a_routed_instance_is_healthy() -> None:
    clock = SettableClock()
    engine = FakeEngine(clock)
    engine.behave("c0", Behaviour(lasts=None, healthy_after=5))
    runtime = FakeRuntime("p", engine)
    gateway = FakeGateway(runtime, "p")
    gateway.start(lambda _: None)
    runtime.create([SERVING])
    started = runtime.start("c0")
    addresses = {"c0": (started.host, started.port)}
    gateway.admit("churn", ROUTE.targets[0], addresses)
    assert not gateway.probes(["c0"])["c0"].healthy
    gateway.set_route("churn", ROUTE, addresses)
    assert not gateway.answers("churn")
    clock.sleep(5)
    assert gateway.answers("churn")
    observed = FakeGateway(runtime, "p").observe(runtime.containers())
    assert (observed.answers, dict(observed.routes)) == (True, {"churn": ROUTE})
    engine.end(engine.all["c0"], 1)
    assert not gateway.answers("churn")
    gateway.forget("churn", "c0")
    assert gateway.probes(["c0"]) == {}
