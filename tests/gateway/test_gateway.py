"""The gateway on a real Envoy, in front of real containers: what it is told is what callers get, at any time."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.gateway.answers import Counters
from sagespec.gateway.documents import CDS
from sagespec.gateway.gateway import Gateway
from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.runtimes.protocol import Runtime
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import Address
from sagespec.state.doors import Doors
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch
from sagespec.state.observed import ContainerState, Route, Target
from sagespec.state.programs import Builtin
from tests import built
from tests.ports import free_port

WAIT_SECONDS = 60.0
BODY = b"5.1,3.5,1.4,0.2"


class Stand:
    """A gateway on a port of its own, with containers of the test image behind it."""

    def __init__(
        self,
        runtime: Runtime,
        project_name: str,
        *,
        invocation_seconds: float = 60.0,
        settings: Mapping[str, Any] | None = None,
        doors: Doors | None = None,
    ) -> None:
        self.runtime = runtime
        self.project_name = project_name
        self.settings = GatewaySettings.model_validate({"host": "127.0.0.1", "port": free_port(), **(settings or {})})
        self.invocation_seconds = invocation_seconds
        self.gateway = self.another_gateway()
        self.gateway.start(lambda _event: None, doors=doors)

    def another_gateway(self, settings: GatewaySettings | None = None) -> Gateway:
        """One that knows nothing yet, as a new process has it."""
        return Gateway(
            self.runtime,
            self.project_name,
            settings or self.settings,
            invocation_seconds=self.invocation_seconds,
        )

    def start(
        self,
        variant: str,
        index: int = 0,
        *,
        endpoint: str = "churn",
        hash_text: str = "1-aa",
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Start one instance; returns the name of its container."""
        address = Address("endpoint", endpoint, variant=variant, instance=index)
        program = Builtin("echo")
        name = container_name(self.project_name, address, hash_text)
        self.runtime.prepare(program, lambda _text: None)
        self.runtime.create([Launch(name, address, hash_text, program, "serve", environment=environment or {})])
        self.runtime.start(name)
        return name

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        return {c.name: (c.host, c.port) for c in self.runtime.containers() if c.host}

    def admit(self, target: Target, *, endpoint: str = "churn") -> None:
        """Returns when all of the target's instances are healthy."""
        self.gateway.admit(endpoint, target, self.addresses)
        wait_for(lambda: all(self.is_healthy(name) for name in target.instances))

    def is_healthy(self, name: str) -> bool:
        probe = self.gateway.probes([name]).get(name)
        return probe is not None and probe.healthy

    def active_requests(self, name: str) -> int:
        return self.gateway.probes([name])[name].active_requests

    def set_route(self, *targets: Target, endpoint: str = "churn") -> None:
        self.gateway.set_route(endpoint, Route(endpoint, tuple(sorted(targets))), self.addresses)

    def serve(self, target: Target, *, endpoint: str = "churn") -> None:
        self.admit(target, endpoint=endpoint)
        self.set_route(target, endpoint=endpoint)

    def drain(self, name: str, *, endpoint: str = "churn") -> None:
        """Wait until nothing is in flight, then take the container away."""
        wait_for(lambda: self.active_requests(name) == 0)
        self.gateway.forget(endpoint, name)
        self.runtime.stop(name, grace_seconds=5)
        self.runtime.remove(name)

    def invoke(self, *, endpoint: str = "churn", **attributes: Any) -> dict[str, Any]:
        """Status, variant and what the test image was asked; attributes are its orders."""
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.port, timeout=30)
        orders = ";".join(f"{name}={value}" for name, value in attributes.items())
        headers = {"X-Amzn-SageMaker-Custom-Attributes": orders} if orders else {}
        try:
            connection.request("POST", f"/endpoints/{endpoint}/invocations", BODY, headers)
            response = connection.getresponse()
            body = json.loads(response.read() or b"{}")
            variant = response.headers.get("x-Amzn-Invoked-Production-Variant")
            return {"status": response.status, "variant": variant, **body}
        finally:
            connection.close()

    def kill(self, name: str) -> None:
        """SIGKILL to the program itself, as an out-of-memory kill would."""
        if self.runtime.name == "docker":
            import docker

            docker.DockerClient.from_env(version="auto").api.kill(name)
            return
        connection = http.client.HTTPConnection(*self.addresses[name], timeout=5)
        connection.request("POST", "/invocations", b"")
        os.kill(json.loads(connection.getresponse().read())["pid"], signal.SIGKILL)
        connection.close()

    def kill_envoy(self) -> None:
        """SIGKILL from the machine, which no engine takes for a wish to stop."""
        name = self.gateway.launch().name
        if self.runtime.name == "docker":
            import docker

            pid = docker.DockerClient.from_env(version="auto").api.inspect_container(name)["State"]["Pid"]
        else:
            folder = Path(self.runtime.base_dir(name)).parents[1]
            supervisor = int((folder / "process").read_bytes().split()[0])
            pid = int(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text())
        os.kill(pid, signal.SIGKILL)


class Load:
    """Requests by several callers, one after the other each, until the block is left."""

    def __init__(self, port: int, endpoint: str, callers: int) -> None:
        self.answers: Counter[tuple[str, str]] = Counter()  # by status (or failure) and variant
        self._port, self._path = port, f"/endpoints/{endpoint}/invocations"
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]
        self._lock = threading.Lock()
        self._begun = time.monotonic()

    def _call(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._over.is_set():
            try:
                connection.request("POST", self._path, BODY)
                response = connection.getresponse()
                response.read()
                answer = (str(response.status), response.headers.get("x-Amzn-Invoked-Production-Variant", ""))
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                answer = (repr(error), "")
            with self._lock:
                self.answers[answer] += 1
        connection.close()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.await_answers(50)
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self._begun

    def await_answers(self, more: int) -> None:
        goal = self.answers.total() + more
        wait_for(lambda: self.answers.total() >= goal)

    @property
    def failures(self) -> Counter[tuple[str, str]]:
        return Counter({answer: count for answer, count in self.answers.items() if answer[0] != "200"})

    @property
    def rate(self) -> float:
        return self.answers.total() / self.seconds


def wait_for(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < give_up_at, "it did not happen in time"
        time.sleep(0.02)


def a_target(variant: str, weight: float, instances: Sequence[str] = (), draining: Sequence[str] = ()) -> Target:
    return Target(variant, "1-aa", weight, tuple(instances), tuple(draining))


@contextmanager
def open_stand(
    engine: str, project_name: str, folder: Path, *, kind: type[Stand] = Stand, **settings: Any
) -> Iterator[Stand]:
    from sagespec.runtimes.docker.runtime import DockerRuntime

    project_name = f"{project_name}-{secrets.token_hex(2)}"  # one engine serves several workers, each with a stand
    engines: dict[str, Callable[[], Runtime]] = {
        "process": lambda: ProcessRuntime(project_name, folder, images_dir()),
        "docker": lambda: DockerRuntime(project_name, images_dir()),
    }
    if engine == "docker":
        built.ready(*built.SMALL)
    with engines[engine]() as runtime:
        try:
            yield kind(runtime, project_name, **settings)
        finally:
            for container in runtime.containers():
                runtime.remove(container.name)
            runtime.destroy()


@pytest.fixture
def stand(project_name: str, tmp_path: Path) -> Iterator[Stand]:
    with open_stand("process", project_name, tmp_path) as stand:
        yield stand


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def any_stand(request: pytest.FixtureRequest, project_name: str, tmp_path: Path) -> Iterator[Stand]:
    with open_stand(request.param, project_name, tmp_path) as stand:
        yield stand


# -- telling and asking ----------------------------------------------------------------------------


def test_a_started_gateway_answers_and_knows_no_endpoint(any_stand: Stand) -> None:
    observed = any_stand.gateway.observe(any_stand.runtime.containers())
    assert observed.answers
    assert observed.routes == {}
    assert observed.probes == {}
    assert any_stand.invoke()["ErrorCode"] == "NO_SUCH_ENDPOINT"


def test_a_route_is_observed_as_it_was_set(any_stand: Stand) -> None:
    old, new = any_stand.start("stable"), any_stand.start("candidate")
    targets = (a_target("candidate", 100 / 3, [new]), a_target("stable", 1e6, [old]))
    any_stand.set_route(*targets)
    observed = any_stand.gateway.observe(any_stand.runtime.containers())
    assert observed.routes == {"churn": Route("churn", targets)}
    assert {(name, probe.host, probe.port) for name, probe in observed.probes.items()} == {
        (name, *place) for name, place in any_stand.addresses.items() if name in (old, new)
    }
    wait_for(lambda: any_stand.invoke()["status"] == 200)


def test_admitted_instances_are_probed_and_get_no_traffic(stand: Stand) -> None:
    first, second = stand.start("stable", 0), stand.start("stable", 1)
    stand.admit(a_target("stable", 0, [first]))
    assert stand.gateway.observe(stand.runtime.containers()).routes == {}
    assert stand.invoke()["status"] == 503

    stand.set_route(a_target("stable", 1, [first]))
    stand.admit(a_target("stable", 0, [second]))
    assert len({stand.invoke()["pid"] for _ in range(20)}) == 1
    stand.set_route(a_target("stable", 1, [first, second]))
    assert len({stand.invoke()["pid"] for _ in range(20)}) == 2


def test_an_instance_that_does_not_answer_ping_is_not_healthy(stand: Stand) -> None:
    stand.gateway.admit("churn", a_target("stable", 0, ["nobody"]), {"nobody": ("127.0.0.1", free_port())})
    wait_for(lambda: "nobody" in stand.gateway.probes(["nobody"]))
    time.sleep(0.3)
    assert not stand.is_healthy("nobody")


def test_an_endpoint_without_a_route_is_unknown_again(stand: Stand) -> None:
    stand.serve(a_target("stable", 1, [stand.start("stable")]))
    stand.gateway.set_route("churn", None, stand.addresses)
    assert stand.invoke()["ErrorCode"] == "NO_SUCH_ENDPOINT"


def test_counters_tell_requests_errors_and_latencies_by_target(stand: Stand) -> None:
    first, second = stand.start("stable", 0), stand.start("stable", 1)
    stand.serve(a_target("stable", 1, [first]))
    for status in (200, 404, 500, 200):
        stand.invoke(status=status)
    stand.serve(a_target("stable", 1, [first, second]))  # other instances, the same counters
    stand.invoke(delay=0.1)

    def counted() -> Counters:
        return stand.gateway.counters()["churn", "stable", "1-aa"]

    wait_for(lambda: counted().p99_ms is not None)  # Envoy sums up latencies every five seconds
    assert (counted().requests, counted().errors_4xx, counted().errors_5xx, counted().active) == (5, 1, 1, 0)
    assert 90 < (counted().p50_ms or 0) <= (counted().p99_ms or 0) < 2000


def test_endpoints_are_changed_side_by_side(stand: Stand) -> None:
    names = [f"churn-{number}" for number in range(4)]
    instances = {name: stand.start("stable", endpoint=name) for name in names}

    def serve(name: str) -> None:
        stand.serve(a_target("stable", 1, [instances[name]]), endpoint=name)
        for weight in (2, 3):
            stand.set_route(a_target("stable", weight, [instances[name]]), endpoint=name)

    with ThreadPoolExecutor() as pool:
        list(pool.map(serve, names))
    observed = stand.gateway.observe(stand.runtime.containers())
    assert observed.routes == {name: Route(name, (a_target("stable", 3, [instances[name]]),)) for name in names}
    assert {stand.invoke(endpoint=name)["status"] for name in names} == {200}


def test_another_process_goes_on_from_what_envoy_runs(stand: Stand) -> None:
    first, second = stand.start("stable", 0), stand.start("stable", 1)
    stand.serve(a_target("stable", 1, [first]))
    stand.admit(a_target("stable", 0, [second]))
    stand.gateway = stand.another_gateway()
    assert stand.is_healthy(second)
    stand.gateway.forget("churn", second)
    assert stand.gateway.observe(stand.runtime.containers()).probes.keys() == {first}
    assert stand.invoke()["status"] == 200


def test_what_another_process_changed_between_two_passes_is_kept(stand: Stand) -> None:
    instance = stand.start("stable")
    stand.serve(a_target("stable", 1, [instance]))
    stand.another_gateway().set_route("later", Route("later", (a_target("stable", 1, [instance]),)), stand.addresses)
    stand.gateway.observe(stand.runtime.containers())  # each pass begins so
    stand.set_route(a_target("stable", 2, [instance]))
    assert stand.invoke(endpoint="later")["status"] == 200


def test_a_gateway_that_does_not_run_has_nothing_to_forget(stand: Stand) -> None:
    stand.runtime.stop(stand.gateway.launch().name, grace_seconds=0)
    stand.gateway.forget("churn", "anything")
    stand.runtime.remove(stand.gateway.launch().name)
    stand.gateway.forget("churn", "anything")


def test_what_envoy_rejects_is_told_and_changes_nothing(stand: Stand) -> None:
    good = stand.start("stable")
    stand.serve(a_target("stable", 1, [good]))
    told = stand.runtime.read(stand.gateway.launch().name, CDS)
    with pytest.raises(WorldError, match="PortValue"):
        stand.gateway.admit("churn", a_target("stable", 0, ["bad"]), {"bad": ("127.0.0.1", 70_000)})
    assert stand.runtime.read(stand.gateway.launch().name, CDS) == told
    stand.set_route(a_target("stable", 2, [good]))
    assert stand.invoke()["status"] == 200


# -- starting and dying ----------------------------------------------------------------------------


def test_a_killed_gateway_comes_back_with_its_routes(any_stand: Stand) -> None:
    any_stand.serve(a_target("stable", 1, [any_stand.start("stable")]))
    before = any_stand.gateway.observe(any_stand.runtime.containers())
    name = any_stand.gateway.launch().name
    any_stand.runtime.stop(name, grace_seconds=0)
    assert not any_stand.gateway.observe(any_stand.runtime.containers()).answers
    any_stand.gateway.start(lambda _event: None)
    assert any_stand.invoke()["status"] == 200
    assert any_stand.gateway.observe(any_stand.runtime.containers()).routes == before.routes


@pytest.mark.docker
@pytest.mark.parametrize("is_pruned", [True, False], ids=["pruned", "disconnected"])
def test_a_gateway_that_lost_its_network_is_made_anew_with_its_routes(
    is_pruned: bool, project_name: str, tmp_path: Path
) -> None:
    import docker

    with open_stand("docker", project_name, tmp_path) as stand:
        engine = docker.DockerClient.from_env(version="auto").api
        name, network = stand.gateway.launch().name, f"sagespec_{stand.project_name}"
        instance = stand.start("stable")
        stand.serve(a_target("stable", 1, [instance]))
        before = stand.gateway.observe(stand.runtime.containers())
        if is_pruned:
            stand.runtime.stop(name, grace_seconds=0)
            stand.runtime.remove(instance)
            engine.remove_network(network)
        else:
            engine.disconnect_container_from_network(name, network)
        assert not stand.gateway.observe(stand.runtime.containers()).answers
        stand.gateway.start(lambda _event: None)
        stand.serve(a_target("stable", 1, [stand.start("stable")]))
        assert stand.gateway.observe(stand.runtime.containers()).routes == before.routes
        assert stand.invoke()["status"] == 200


def test_a_killed_envoy_comes_back_by_itself_with_its_routes(any_stand: Stand) -> None:
    any_stand.serve(a_target("stable", 1, [any_stand.start("stable")]))
    before = any_stand.gateway.observe(any_stand.runtime.containers())
    with Load(any_stand.settings.port, "churn", callers=2) as load:
        any_stand.kill_envoy()
        wait_for(lambda: bool(load.failures))
        began = time.monotonic()
        uncounted = 1  # the other caller may have an answer that came before
        answered = load.answers["200", "stable"] + uncounted
        wait_for(lambda: load.answers["200", "stable"] > answered)
        seconds = time.monotonic() - began
    sys.stdout.write(f"without an answer: {seconds:.2f} s of 1 s\n")  # shown by pytest -rP
    assert seconds < 10.0  # other tests run beside it
    assert any_stand.gateway.observe(any_stand.runtime.containers()).routes == before.routes


def test_a_killed_envoy_that_its_engine_starts_again_is_not_replaced(any_stand: Stand) -> None:
    """Callers would wait for two starts."""
    name = any_stand.gateway.launch().name
    any_stand.serve(a_target("stable", 1, [any_stand.start("stable")]))
    any_stand.kill_envoy()

    def restarts() -> int:
        found = any_stand.runtime.inspect(name)
        return found.restarts if found and found.state is ContainerState.RUNNING else 0

    wait_for(lambda: restarts() == 1)
    any_stand.another_gateway().start(lambda _event: None)
    assert restarts() == 1
    assert any_stand.invoke()["status"] == 200


def test_a_change_waits_for_a_gateway_that_was_restarted_just_now_to_read_its_routes(stand: Stand) -> None:
    name, mute = stand.gateway.launch().name, socket.create_server(("127.0.0.1", 0))
    with mute:  # it lets nobody in, so that Envoy is long in probing it before it reads its routes
        stand.gateway.set_route(
            "mute", Route("mute", (a_target("stable", 1, ["mute"]),)), {"mute": mute.getsockname()[:2]}
        )
        instance = stand.start("stable")
        stand.runtime.stop(name, grace_seconds=0)
        stand.runtime.start(name)
        restarted = stand.another_gateway()
        wait_for(lambda: answers(restarted))
        stand.gateway = restarted
        stand.serve(a_target("stable", 1, [instance]))
        observed = stand.gateway.observe(stand.runtime.containers())
    assert observed.routes.keys() == {"churn", "mute"}


def answers(gateway: Gateway) -> bool:
    """Whether its Envoy can be asked, be it ready or not."""
    try:
        gateway.counters()
    except WorldError:
        return False
    return True


def test_starting_a_gateway_that_runs_disturbs_nobody(stand: Stand) -> None:
    stand.serve(a_target("stable", 1, [stand.start("stable")]))
    with Load(stand.settings.port, "churn", callers=2) as load:
        stand.gateway.start(lambda _event: None)
    assert load.failures == {}


def test_other_settings_make_another_gateway_with_the_same_routes(stand: Stand) -> None:
    stand.serve(a_target("stable", 1, [stand.start("stable")]))
    old_name = stand.gateway.launch().name
    stand.settings = GatewaySettings(host="127.0.0.1", port=free_port())
    stand.gateway = stand.another_gateway()
    stand.gateway.start(lambda _event: None)
    assert stand.invoke()["status"] == 200
    assert stand.runtime.inspect(old_name) is None


def test_a_taken_port_is_named_with_who_has_it(stand: Stand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(WorldError) as raised:
            stand.another_gateway(GatewaySettings(host="127.0.0.1", port=port)).start(lambda _event: None)
    (problem,) = raised.value.problems
    assert problem.what == f"the gateway cannot listen on 127.0.0.1:{port}"
    assert f"pid {os.getpid()} " in problem.why
    assert "gateway.port in sagespec.yaml" in problem.fix


# -- nobody notices --------------------------------------------------------------------------------


def test_twenty_changes_of_the_split_cost_no_request(stand: Stand) -> None:
    targets = [("stable", stand.start("stable")), ("candidate", stand.start("candidate"))]
    for variant, name in targets:
        stand.admit(a_target(variant, 0, [name]))
    stand.set_route(*(a_target(variant, 1, [name]) for variant, name in targets))
    with Load(stand.settings.port, "churn", callers=4) as load:
        for step in range(20):
            stand.set_route(
                *(a_target(variant, abs(step - 20 * i), [name]) for i, (variant, name) in enumerate(targets))
            )
            load.await_answers(20)
    assert load.failures == {}
    assert load.rate >= 200


def test_replacing_all_instances_costs_no_request(any_stand: Stand) -> None:
    old = [any_stand.start("stable", index) for index in range(2)]
    any_stand.serve(a_target("stable", 1, old))
    with Load(any_stand.settings.port, "churn", callers=4) as load:
        new = [any_stand.start("stable", index, hash_text="1-bb") for index in range(2)]
        replacement = Target("stable", "1-bb", 1, tuple(new))
        any_stand.admit(replacement)
        any_stand.set_route(replacement, a_target("stable", 0, draining=old))
        for name in old:
            any_stand.drain(name)
        load.await_answers(50)
    assert load.failures == {}
    observed = any_stand.gateway.observe(any_stand.runtime.containers())
    assert observed.routes == {"churn": Route("churn", (replacement,))}
    assert observed.probes.keys() == set(new)


def test_scaling_out_and_in_costs_no_request(stand: Stand) -> None:
    names = [stand.start("stable", 0)]
    stand.serve(a_target("stable", 1, names))
    with Load(stand.settings.port, "churn", callers=4) as load:
        for index in (1, 2):
            names.append(stand.start("stable", index))
            stand.admit(a_target("stable", 0, names[-1:]))
            stand.set_route(a_target("stable", 1, names))
            load.await_answers(20)
        while len(names) > 1:
            leaving = names.pop()
            stand.set_route(a_target("stable", 1, names, [leaving]))
            stand.drain(leaving)
            load.await_answers(20)
    assert load.failures == {}


def test_a_request_in_flight_is_seen_and_finished_while_its_instance_drains(stand: Stand) -> None:
    old, new = stand.start("stable", 0), stand.start("stable", 1)
    stand.serve(a_target("stable", 1, [old]))
    stand.admit(a_target("stable", 0, [new]))
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(stand.invoke, delay=1.5)
        wait_for(lambda: stand.active_requests(old) == 1)
        stand.set_route(a_target("stable", 1, [new], [old]))
        assert stand.active_requests(old) == 1
        assert stand.invoke()["status"] == 200
        wait_for(lambda: stand.active_requests(old) == 0)
        assert slow.result()["status"] == 200


def test_a_request_in_flight_outlives_the_pool_it_was_sent_from(stand: Stand) -> None:
    first, second = stand.start("stable", 0), stand.start("stable", 1)
    stand.serve(a_target("stable", 1, [first]))
    stand.admit(a_target("stable", 0, [second]))
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(stand.invoke, delay=1.0)
        wait_for(lambda: stand.active_requests(first) == 1)
        stand.set_route(a_target("stable", 1, [first, second]))
        assert slow.result()["status"] == 200


def test_a_request_that_is_still_being_sent_goes_where_the_routes_are_by_then(stand: Stand) -> None:
    old, new = stand.start("stable", 0), stand.start("stable", 1)
    stand.serve(a_target("stable", 1, [old]))
    stand.admit(a_target("stable", 0, [new]))
    connection = http.client.HTTPConnection("127.0.0.1", stand.settings.port, timeout=30)
    connection.putrequest("POST", "/endpoints/churn/invocations")
    connection.putheader("Content-Length", str(len(BODY)))
    connection.endheaders(BODY[:1])
    assert stand.invoke()["status"] == 200
    stand.set_route(a_target("stable", 1, [new], [old]))
    stand.drain(old)
    connection.send(BODY[1:])
    status = connection.getresponse().status
    connection.close()
    assert status == 200


def test_a_killed_instance_costs_what_it_had_taken_while_another_stands(any_stand: Stand) -> None:
    names = [any_stand.start("stable", index) for index in range(2)]
    any_stand.serve(a_target("stable", 1, names))
    with Load(any_stand.settings.port, "churn", callers=4) as load:
        any_stand.kill(names[0])
        wait_for(lambda: not any_stand.is_healthy(names[0]))
        load.await_answers(100)
    assert load.failures.keys() <= {("424", "stable")}  # a caller each at most: a model's error, which is not repeated
    assert load.failures.total() <= 4


def test_without_any_instance_left_it_is_unavailable_until_one_is_back(stand: Stand) -> None:
    name = stand.start("stable")
    stand.serve(a_target("stable", 1, [name]))
    stand.kill(name)
    wait_for(lambda: stand.invoke()["status"] == 503)
    wait_for(lambda: not stand.is_healthy(name))
    stand.runtime.start(name)
    wait_for(lambda: stand.invoke()["status"] == 200)
