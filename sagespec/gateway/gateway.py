"""The gateway: starts Envoy through the runtime, gives it the routes, and asks it what it sees.

Called by `observe` (routes and probes), `apply` (every change) and `verbs` (counters). The table that
is changed is the one Envoy runs, read back from it before the first change; `documents` and `routes` write it
in Envoy's words. Every change returns when Envoy has loaded it.

One lock keeps the changes of this process in line; between processes the project's lock does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress

from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.gateway import draining
from sagespec.gateway.answers import (
    COUNTERS_PATH,
    LISTENERS_PATH,
    POOLS_PATH,
    TABLE_PATH,
    VERSIONS_PATH,
    Counters,
    counters_from,
    listens_from,
    pools_from,
    probes_from,
    table_from,
    versions_from,
)
from sagespec.gateway.documents import CDS, INVOCATION_SECONDS, RDS, EnvoyFile, steps
from sagespec.gateway.draining import let_requests_end
from sagespec.gateway.launch import gateway_hash
from sagespec.gateway.ports import USUAL_PORTS, holder_of, is_taken, published_port, taken
from sagespec.gateway.table import Places, Table, forgetting, with_probed, with_route
from sagespec.runtimes.protocol import PortTaken, Runtime
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import GATEWAY
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch
from sagespec.state.observed import Container, ContainerState, ObservedGateway, Probe, Route, Target
from sagespec.state.programs import GATEWAY_PROGRAM

__all__ = ["Counters", "Gateway", "gateway_hash"]
ADMIN_ADDRESS = "gateway/admin.address"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
LOAD_SECONDS = 15.0  # a new pool counts once each of its instances was probed, which may take PING_SECONDS
POLL_SECONDS = 0.02
PROBES_SECONDS = 0.1  # one answer serves all who wait for instances
LOG_DELAY_SECONDS = 0.25  # until a line has come through the engine
LAST_LINES = 5  # of its log, shown when it does not start


class Gateway:
    """The project's gateway. `invocation_seconds` is how long a model may take to answer a request."""

    def __init__(
        self,
        runtime: Runtime,
        project_name: str,
        settings: GatewaySettings,
        *,
        invocation_seconds: float = INVOCATION_SECONDS,
    ) -> None:
        self._runtime = runtime
        self._project_name = project_name
        self._written = settings
        self._invocation_seconds = invocation_seconds
        self._lock = threading.RLock()
        self._admin_port = 0  # 0: not known
        self._live: Table | None = None  # None: to be read from Envoy
        self._probes: Mapping[str, Probe] = {}
        self._asked_at = float("-inf")
        self._listen_on(settings.port)

    # -- where it listens --------------------------------------------------------------------------

    def find(self, containers: Collection[Container] | None = None) -> GatewaySettings:
        """Where it listens, as of now: as set; without a port, where its container does, else on the usual one.

        containers: all there are; the engine is asked where they are not given.
        """
        with self._lock:
            if not self._written.sets_port:
                there = self._runtime.containers() if containers is None else containers
                port = published_port(self._runtime, there) or self._written.port
                if port != self.settings.port:
                    self._listen_on(port)
            return self.settings

    def _listen_on(self, port: int) -> None:
        self.settings = self._written.model_copy(update={"port": port})
        self.hash = gateway_hash(self.settings)
        self._name = container_name(self._project_name, GATEWAY, self.hash)
        self._forget_envoy()

    # -- its container -----------------------------------------------------------------------------

    def launch(self) -> Launch:
        return Launch(
            name=self._name,
            address=GATEWAY,
            hash=self.hash,
            program=GATEWAY_PROGRAM,
            command="serve",
            keep_running=True,
            publish=(self.settings.host, self.settings.port),
        )

    def prepare(self, report: Report) -> None:
        """Have its program ready, which may mean to build an image."""
        self._runtime.prepare(GATEWAY_PROGRAM, _teller(report))

    def start(self, report: Report, *, restart: bool = False) -> None:
        """Start the gateway, replacing one that has ended, does not answer, is off its network or was started with
        other settings; with `restart`, also one that is as it should be, whose requests may end first.

        Routes are kept in all cases. Returns when it answers; WorldError when it does not. Where no port is set and
        its own is taken, it gets the next free one, and the report says so.
        """
        with self._lock:
            self._forget_envoy()
            self._runtime.prepare(GATEWAY_PROGRAM, _teller(report))
            if restart:
                let_requests_end(lambda: self._fetch(draining.PATH, post=True), self._is_busy)
            try:
                self._start(restart=restart)
            except PortTaken as error:
                if self._written.sets_port:
                    raise
                self._start_elsewhere(error, report)

    def _start(self, *, restart: bool = False) -> None:
        """PortTaken when it cannot listen; its container then stays, with the routes."""
        documents: dict[str, bytes] = {}
        for container in self._runtime.containers():
            if container.address != GATEWAY:
                continue
            if restart or container.name != self._name or not self._is_sound(container):
                documents = self._documents_of(container.name) or documents
                self._runtime.stop(container.name, grace_seconds=STOP_SECONDS)
                self._runtime.remove(container.name)
        self._runtime.create([self.launch()])
        if not self._documents_of(self._name):
            self._runtime.write(self._name, documents or _contents(self._steps(Table(), Table())))
        try:
            self._runtime.start(self._name)
        except PortTaken as error:
            raise taken(self._runtime, self.settings) from error
        self._await_started()

    def _is_busy(self) -> bool:
        return any(probe.active_requests for probe in self.probes(self._table().names()).values())

    def _is_sound(self, container: Container) -> bool:
        """Whether it can stay. One that has ended cannot: the network it was made for may be gone."""
        if container.state is ContainerState.RUNNING:
            return container.is_on_network and bool(self._listens())
        return container.state is ContainerState.RESTARTING

    def _start_elsewhere(self, refused: PortTaken, report: Report) -> None:
        """On the first of the usual ports that the engine can have. Only trying shows which: it may be on another
        machine, and another project may be choosing at this moment."""
        port, holder = self.settings.port, holder_of(self._runtime, self.settings.port)
        for free in USUAL_PORTS:
            if free == port:
                continue
            self._listen_on(free)
            with suppress(PortTaken):
                self._start()
                where = f"the gateway listens on {free} (gateway.port in sagespec.yaml sets it)"
                report(Event(EventKind.NOTE, str(GATEWAY), f"port {port} is taken by {holder}: {where}"))
                return
        raise refused

    def _documents_of(self, name: str) -> dict[str, bytes]:
        """The configuration a gateway was given, running or not; {} if it did not get all of it."""
        documents = {path: self._runtime.read(name, path) for path in (CDS, RDS)}
        return {path: content for path, content in documents.items() if content} if all(documents.values()) else {}

    def _listens(self) -> bool | None:
        """Whether requests can reach it; None while Envoy does not answer. It answers, and runs on, without the port
        that another program began to listen on between its own bind and listen."""
        try:
            _, listeners = self._fetch("/ready", LISTENERS_PATH)
        except WorldError:
            return None
        return listens_from(listeners)

    def _await_started(self) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while (listens := self._listens()) is None:
            container = self._runtime.inspect(self._name)
            has_ended = container is None or container.state is ContainerState.EXITED
            if has_ended or (container and container.state is ContainerState.RESTARTING):
                self._require_its_port()
            if has_ended:
                raise self._does_not_start()
            if time.monotonic() > give_up_at:
                raise self._does_not_start()
            time.sleep(POLL_SECONDS)
        if not listens:
            raise taken(self._runtime, self.settings)

    def _require_its_port(self) -> None:
        """PortTaken when another program listens there. Only while Envoy does not run: else it may be ours."""
        if self._runtime.is_local and is_taken(self.settings.host, self.settings.port):
            raise taken(self._runtime, self.settings)

    def _does_not_start(self) -> WorldError:
        lines = "\n".join(f"    {line}" for line in self._runtime.logs(self._name, tail=LAST_LINES))
        return WorldError(
            "the gateway does not start" + (f"; its last lines:\n{lines}" if lines else ""),
            fix="see sagespec logs gateway",
        )

    # -- what it sees ------------------------------------------------------------------------------

    def observe(self, containers: Collection[Container]) -> ObservedGateway:
        """Routes and probes as Envoy has them; `answers` is False when it cannot be asked, when no request can reach
        it, or when it is off its network, from where it finds every instance dead."""
        self.find(containers)
        running = [c for c in containers if c.name == self._name and c.state is ContainerState.RUNNING]
        if not any(container.is_on_network for container in running):
            return ObservedGateway()
        with self._lock:  # what a thread is asking for just now may be older than this pass
            self._live = None  # another process may have changed it since the last pass
        try:
            live, pools, listeners = self._fetch(TABLE_PATH, POOLS_PATH, LISTENERS_PATH)
        except WorldError:
            return ObservedGateway()
        if not listens_from(listeners):
            return ObservedGateway()
        table = table_from(live)
        routes = {name: route for name, route in table.routes.items() if route.targets}
        return ObservedGateway(answers=True, routes=routes, probes=probes_from(pools, table))

    def probes(self, container_names: Collection[str]) -> Mapping[str, Probe]:
        """What Envoy knows of these containers, a moment ago at most; one that it does not know is left out."""
        with self._lock:
            if time.monotonic() - self._asked_at > PROBES_SECONDS:
                (pools,) = self._fetch(POOLS_PATH)
                self._probes, self._asked_at = probes_from(pools, self._table()), time.monotonic()
            found = self._probes
        return {name: found[name] for name in container_names if name in found}

    def counters(self) -> Mapping[tuple[str, str, str], Counters]:
        """Requests, errors and latencies by (endpoint, variant, hash) since the gateway started."""
        (answer,) = self._fetch(COUNTERS_PATH)
        return counters_from(answer)

    # -- what it is given ---------------------------------------------------------------------------

    def set_route(self, endpoint_name: str, route: Route | None, places: Places) -> None:
        """Give the endpoint this route; None takes it off the gateway.

        places: host and port by name of all containers that run. Draining instances get no more requests
        and stay visible to `probes` until they are forgotten.
        """
        self._change(lambda table: with_route(table, endpoint_name, route, places))

    def admit(self, endpoint_name: str, target: Target, places: Places) -> None:
        """Probe the target's instances without giving them traffic, until a route names them.

        Those that are in the live route (they died and were started again) get none meanwhile, unless they
        are all that the target has.
        """
        self._change(lambda table: with_probed(table, endpoint_name, target, places))

    def forget(self, endpoint_name: str, container_name: str) -> None:
        """Take a container out of the gateway's sight: no requests, no probes. A gateway that does not run has
        none; what its files still name is off the route it is given when it is started again."""
        container = self._runtime.inspect(self._name)
        if container is None or container.state is not ContainerState.RUNNING:
            return
        self._change(lambda table: forgetting(table, endpoint_name, container_name))

    def _change(self, change: Callable[[Table], Table]) -> None:
        with self._lock:
            old = self._table()
            new = change(old)
            self._live, self._asked_at = None, float("-inf")  # until Envoy has loaded all of it
            versions, rejected = versions_from(*self._fetch(VERSIONS_PATH))
            try:
                for document in self._steps(old, new):
                    if document.path == RDS:
                        self._await_pools(frozenset(new.serving.values()) - frozenset(old.serving.values()))
                    if versions[document.path] != document.version:
                        self._runtime.write(self._name, {document.path: document.content})
                        self._await_version(document, rejected)
                        versions[document.path] = document.version
            except _Rejected as error:
                # Left in place, what Envoy rejects would keep it from its routes after a restart.
                self._runtime.write(self._name, _contents(self._steps(old, old)))
                raise WorldError(
                    f"Envoy rejected {error.path}: {error.message}",
                    why="the gateway keeps its earlier routes",
                    fix="this should not happen: please report it with the message",
                ) from None
            self._live = new

    def _steps(self, old: Table, new: Table) -> Iterator[EnvoyFile]:
        return steps(old, new, listens_on=self.settings.host, invocation_seconds=self._invocation_seconds)

    def _await_version(self, document: EnvoyFile, rejected_before: int) -> None:
        """Wait until Envoy uses what was written."""

        def is_loaded() -> bool:
            versions, rejected = versions_from(*self._fetch(VERSIONS_PATH))
            if rejected > rejected_before:
                raise _Rejected(document.path, self._rejection())
            return versions[document.path] == document.version

        self._await(is_loaded, f"has not loaded {document.path}")

    def _await_pools(self, names: frozenset[str]) -> None:
        """Wait until each instance of these pools was probed once; Envoy has no use for a pool before."""
        if names:
            self._await(lambda: names <= pools_from(*self._fetch(POOLS_PATH)), "has not probed new instances")

    def _await(self, is_so: Callable[[], bool], complaint: str) -> None:
        give_up_at = time.monotonic() + LOAD_SECONDS
        while not is_so():
            if time.monotonic() > give_up_at:
                raise WorldError(
                    f"the gateway {complaint} within {LOAD_SECONDS:g} s",
                    why="the machine may be overloaded, or /opt/ml/gateway in its container cannot be written",
                    fix="see sagespec logs gateway; apply again",
                )
            time.sleep(POLL_SECONDS)

    def _rejection(self) -> str:
        """The end of Envoy's log, which may start by repeating its whole configuration."""
        time.sleep(LOG_DELAY_SECONDS)
        lines = list(self._runtime.logs(self._name, tail=1))
        return lines[-1].rpartition("rejected: ")[2].removeprefix(": ") if lines else "it does not say why"

    # -- asking Envoy ------------------------------------------------------------------------------

    def _table(self) -> Table:
        if self._live is None:
            self._await_routes()
            self._live = table_from(*self._fetch(TABLE_PATH))
        return self._live

    def _await_routes(self) -> None:
        """Wait for an Envoy that was restarted just now to read its routes: what is taken for empty before would
        be written over. One that cannot read them is given all of them again."""
        give_up_at = time.monotonic() + LOAD_SECONDS
        while not versions_from(*self._fetch(VERSIONS_PATH))[0][RDS]:
            if time.monotonic() > give_up_at:
                return
            time.sleep(POLL_SECONDS)

    def _fetch(self, *paths: str, post: bool = False) -> list[bytes]:
        """Answers of the admin port. A gateway that was restarted may have another one than before."""
        with self._lock:
            if self._admin_port:
                try:
                    return self._runtime.fetch(self._name, self._admin_port, paths, post=post)
                except WorldError:
                    self._forget_envoy()
            self._admin_port = self._read_admin_port()
            return self._runtime.fetch(self._name, self._admin_port, paths, post=post)

    def _read_admin_port(self) -> int:
        address = self._runtime.read(self._name, ADMIN_ADDRESS) or b""
        try:
            return int(address.rpartition(b":")[2])
        except ValueError:
            raise WorldError("the gateway does not answer", why="it has not started yet, or has ended") from None

    def _forget_envoy(self) -> None:
        self._admin_port, self._live = 0, None


def _teller(report: Report) -> Callable[[str], None]:
    return lambda text: report(Event(EventKind.PROGRESS, str(GATEWAY), text, action="start-gateway"))


def _contents(documents: Iterable[EnvoyFile]) -> dict[str, bytes]:
    return {document.path: document.content for document in documents}


class _Rejected(Exception):
    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path, self.message = path, message
