"""Where a gateway listens whose port is not set: where its container does, else on the first port it can have."""

from __future__ import annotations

import pytest

from sagespec.errors import WorldError
from sagespec.events import Event
from sagespec.gateway.gateway import Gateway, gateway_hash
from sagespec.runtimes.protocol import PortTaken
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import GATEWAY
from sagespec.state.launches import Launch
from sagespec.state.observed import Container
from sagespec.state.programs import Builtin
from tests.fakes.engine import FakeEngine
from tests.fakes.runtime import FakeRuntime


class RemoteRuntime(FakeRuntime):
    """An engine on another machine, where these ports are taken. Only its refusals tell."""

    is_local = False
    taken: frozenset[int] = frozenset()

    def start(self, name: str) -> Container:
        container = self.inspect(name)
        if container and container.published in self.taken:
            raise PortTaken(f"port {container.published} is in use")
        return super().start(name)


class Unawaited(Gateway):
    """Has no Envoy to wait for."""

    def _await_started(self) -> None:
        return


@pytest.fixture
def runtime() -> RemoteRuntime:
    return RemoteRuntime("acme", FakeEngine(builtins=("gateway",)))


def an_earlier_gateway(runtime: FakeRuntime, port: int, hash_text: str) -> None:
    program = Builtin("gateway")
    runtime.create([Launch("old", GATEWAY, hash_text, program, "serve", publish=("127.0.0.1", port))])


@pytest.mark.parametrize("hash_text", ["1-aa", "2-bb"])
@pytest.mark.parametrize("started", [True, False])
def test_it_listens_where_its_container_does(runtime: RemoteRuntime, hash_text: str, *, started: bool) -> None:
    an_earlier_gateway(runtime, 8093, hash_text)
    if started:
        runtime.start("old")
    gateway = Unawaited(runtime, "acme", GatewaySettings())
    assert gateway.find().port == 8093
    assert gateway.hash == gateway_hash(GatewaySettings(port=8093))
    runtime.remove("old")
    assert gateway.find().port == 8080, "nothing is remembered"


def test_a_port_that_is_set_counts_more_than_the_container(runtime: RemoteRuntime) -> None:
    an_earlier_gateway(runtime, 8093, "1-aa")
    assert Unawaited(runtime, "acme", GatewaySettings(port=8080)).find().port == 8080


def test_refused_ports_are_passed_over_with_the_routes(runtime: RemoteRuntime) -> None:
    runtime.taken = frozenset({8080, 8081, 8093})
    an_earlier_gateway(runtime, 8093, "1-aa")
    routes = dict.fromkeys(("gateway/cds.json", "gateway/rds.json"), b"routes")
    runtime.write("old", routes)
    said: list[Event] = []
    gateway = Unawaited(runtime, "acme", GatewaySettings())
    gateway.find()
    gateway.start(said.append)
    (container,) = runtime.containers()
    assert container.published == 8082
    assert container.name == gateway.launch().name
    assert [event.text for event in said if "taken" in event.text] == [
        "port 8093 is taken by another program: the gateway listens on 8082 (gateway.port in sagespec.yaml sets it)"
    ]
    assert gateway.find().port == 8082
    assert all(runtime.read(container.name, path) == content for path, content in routes.items())


def test_a_port_that_is_set_is_not_left_for_another(runtime: RemoteRuntime) -> None:
    runtime.taken = frozenset({8080})
    with pytest.raises(WorldError, match=r"the gateway cannot listen on 127\.0\.0\.1:8080"):
        Unawaited(runtime, "acme", GatewaySettings(port=8080)).start(lambda _event: None)
    (container,) = runtime.containers()
    assert container.published == 8080


def test_where_every_port_is_taken_the_first_is_named(runtime: RemoteRuntime) -> None:
    runtime.taken = frozenset(range(1, 65536))
    with pytest.raises(WorldError, match=r"the gateway cannot listen on 127\.0\.0\.1:8080"):
        Unawaited(runtime, "acme", GatewaySettings()).start(lambda _event: None)
