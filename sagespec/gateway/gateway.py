"""The gateway: starts Envoy through the runtime, gives it the routes, and asks it what it sees.

Called by `observe` (routes and probes), `apply` (every change) and `verbs` (counters). What changes is the table that
Envoy runs, read back from it first; `documents` and `routes` write it in its words. A change returns when it is loaded.

One lock keeps the changes of this process in line; between processes the project's lock does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.gateway import draining
from sagespec.gateway.admin import Admin
from sagespec.gateway.answers import (
    COUNTERS_PATH,
    LISTENERS_PATH,
    POOLS_PATH,
    SECRETS_PATH,
    TABLE_PATH,
    VERSIONS_PATH,
    Counters,
    counters_from,
    listens_from,
    pools_from,
    probes_from,
    shows,
    table_from,
    versions_from,
)
from sagespec.gateway.certificates import TLS, Certificate, certified, no_certificate, tls_document
from sagespec.gateway.container import documents_of, first_documents, kept_of
from sagespec.gateway.documents import INVOCATION_SECONDS, RDS, EnvoyFile, contents, steps
from sagespec.gateway.draining import let_requests_end
from sagespec.gateway.launch import STOP_SECONDS, abilities, gateway_hash
from sagespec.gateway.own_log import AMONG_LINES, does_not_start, rejection
from sagespec.gateway.ports import USUAL_PORTS, holder_of, published_port, taken
from sagespec.gateway.readings import READING_PATHS, readings_from
from sagespec.gateway.table import Places, Table, TargetKey, forgetting, with_probed, with_route
from sagespec.gateway.totals import TOTALS_PATH, Totals, healthy_by_variant, totals_from
from sagespec.gateway.waiting import LOAD_SECONDS, POLL_SECONDS, START_SECONDS, Rejected, await_loaded, await_restarted
from sagespec.ports import is_taken
from sagespec.runtimes.protocol import PortTaken, Runtime
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import GATEWAY
from sagespec.state.counts import Reading
from sagespec.state.doors import Doors
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch
from sagespec.state.observed import Container, ContainerState, ObservedGateway, Probe, Route, Target
from sagespec.state.programs import GATEWAY_PROGRAM

__all__ = ["Counters", "Gateway", "gateway_hash"]
PROBES_SECONDS = 0.1  # one answer serves all who wait for instances
LOG_DELAY_SECONDS = 0.25  # until a line has come through the engine


class Gateway:
    """The project's gateway. `invocation_seconds` is how long a model may take to answer a request. certificate: gives
    the one to be shown, made if need be."""

    def __init__(
        self,
        runtime: Runtime,
        project_name: str,
        settings: GatewaySettings,
        *,
        invocation_seconds: float = INVOCATION_SECONDS,
        certificate: Callable[[], Certificate] = no_certificate,
    ) -> None:
        self._runtime = runtime
        self._certificate = certificate
        self._project_name = project_name
        self._written = settings
        self._invocation_seconds = invocation_seconds
        self._lock = threading.RLock()
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
        self._admin = Admin(self._runtime, self._name, self._forget_table)
        self._live = None

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
            environment=abilities(self.settings),
            grace_seconds=STOP_SECONDS,
        )

    def prepare(self, report: Report) -> None:
        """Have its program ready, which may mean to build an image."""
        self._runtime.prepare(GATEWAY_PROGRAM, _teller(report))

    def start(self, report: Report, *, restart: bool = False, doors: Doors | None = None) -> None:
        """Start the gateway, replacing one that has ended, does not answer, is off its network or was started with
        other settings; with `restart`, also one that is as it should be, whose requests may end first.

        Routes are kept in all cases. Returns when it answers; WorldError when it does not. Where no port is set and
        its own is taken, it gets the next free one, and the report says so. doors: who may ask from the first request
        on; None for whoever might before.
        """
        with self._lock:
            self._admin.forget()
            self._runtime.prepare(GATEWAY_PROGRAM, _teller(report))
            if restart:
                let_requests_end(lambda: self._fetch(draining.PATH, post=True), self._is_busy)
            try:
                self._start(doors, restart=restart)
            except PortTaken as error:
                if self._written.sets_port:
                    raise
                self._start_elsewhere(error, doors, report)
            if doors is not None:
                self.set_doors(doors)

    def _start(self, doors: Doors | None, *, restart: bool = False) -> None:
        """PortTaken when it cannot listen; its container then stays, with the routes. Without a certificate that is
        needed nothing is stopped."""
        certificate = self._certificate() if doors and doors.needs_certificate else None
        there = [container for container in self._runtime.containers() if container.address == GATEWAY]
        leaving = [c.name for c in there if restart or c.name != self._name or not self._is_sound(c)]
        documents, secret = kept_of(self._runtime, leaving)
        if self.settings.tls and not certificate and not secret and len(leaving) == len(there):
            certificate = self._certificate()
        for name in leaving:
            self._runtime.stop(name, grace_seconds=STOP_SECONDS)
            self._runtime.remove(name)
        self._runtime.create([self.launch()])
        if not documents_of(self._runtime, self._name):
            written = partial(self._steps, Table())
            self._runtime.write(self._name, first_documents(documents, certified(doors, certificate), written))
            if content := tls_document(certificate) if certificate else secret:
                self._runtime.write(self._name, {TLS: content}, private=True)
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
            return container.is_on_network and await_restarted(
                self._listens, partial(self._runtime.inspect, self._name)
            )
        return container.state is ContainerState.RESTARTING

    def _start_elsewhere(self, refused: PortTaken, doors: Doors | None, report: Report) -> None:
        """On the first of the usual ports that the engine can have. Only trying shows which: it may be on another
        machine, and another project may be choosing at this moment."""
        port, holder = self.settings.port, holder_of(self._runtime, self.settings.port)
        for free in USUAL_PORTS:
            if free == port:
                continue
            self._listen_on(free)
            with suppress(PortTaken):
                self._start(doors)
                where = f"the gateway listens on {free} (gateway.port in sagespec.yaml sets it)"
                report(Event(EventKind.NOTE, str(GATEWAY), f"port {port} is taken by {holder}: {where}"))
                return
        raise refused

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
                raise does_not_start(self._last_lines())
            if time.monotonic() > give_up_at:
                raise does_not_start(self._last_lines())
            time.sleep(POLL_SECONDS)
        if not listens:
            raise taken(self._runtime, self.settings)

    def _require_its_port(self) -> None:
        """PortTaken when another program listens there. Only while Envoy does not run: else it may be ours."""
        if self._runtime.is_local and is_taken(self.settings.host, self.settings.port):
            raise taken(self._runtime, self.settings)

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
        return ObservedGateway(answers=True, routes=routes, probes=probes_from(pools, table), doors=table.doors)

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

    def totals(self) -> Mapping[TargetKey, Totals]:
        """The same with whole histograms, to be compared with those of another moment."""
        return totals_from(*self._fetch(TOTALS_PATH))

    def readings(self) -> Mapping[str, Reading]:
        return readings_from(*self._fetch(*READING_PATHS))

    def healthy(self) -> Mapping[tuple[str, str], int]:
        """How many instances get requests and are healthy, by (endpoint, variant)."""
        with self._lock:
            table = self._table()
            return healthy_by_variant(table, self.probes(table.names()))

    # -- what it is given ---------------------------------------------------------------------------

    def set_route(self, endpoint_name: str, route: Route | None, places: Places) -> None:
        """Give the endpoint this route; None takes it off the gateway.

        places: host and port by name of all containers that run. Draining instances get no more requests
        and stay visible to `probes` until they are forgotten.
        """
        self._change(lambda table: with_route(table, endpoint_name, route, places))

    def set_doors(self, doors: Doors) -> None:
        """Let these callers in and no others, and show the certificate of now. What could not be read it keeps as it
        has it."""
        if doors.needs_certificate:
            certificate = self._certificate()
            doors = replace(doors, certificate=certificate.facts)
            if certificate.facts != self._table().doors.certificate:
                self._show(certificate)
        self._change(lambda table: replace(table, doors=doors.over(table.doors)))

    def _show(self, certificate: Certificate) -> None:
        before = self._runtime.read(self._name, TLS)
        self._runtime.write(self._name, {TLS: tls_document(certificate)}, private=True)
        try:
            await_loaded(lambda: shows(certificate, *self._fetch(SECRETS_PATH)), "does not take the certificate")
        except WorldError:
            self._runtime.write(self._name, {TLS: before or b""}, private=True)  # else it had none after a restart
            raise

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
            except Rejected as error:
                # Left in place, what Envoy rejects would keep it from its routes after a restart.
                self._runtime.write(self._name, contents(self._steps(old, old)))
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
                raise Rejected(document.path, self._rejection())
            return versions[document.path] == document.version

        await_loaded(is_loaded, f"has not loaded {document.path}")

    def _await_pools(self, names: frozenset[str]) -> None:
        """Wait until each instance of these pools was probed once; Envoy has no use for a pool before."""
        if names:
            await_loaded(lambda: names <= pools_from(*self._fetch(POOLS_PATH)), "has not probed new instances")

    def _rejection(self) -> str:
        time.sleep(LOG_DELAY_SECONDS)
        return rejection(self._last_lines())

    def _last_lines(self) -> Iterator[str]:
        return self._runtime.logs(self._name, tail=AMONG_LINES)

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
        with self._lock:
            return self._admin.fetch(*paths, post=post)

    def _forget_table(self) -> None:
        self._live = None


def _teller(report: Report) -> Callable[[str], None]:
    return lambda text: report(Event(EventKind.PROGRESS, str(GATEWAY), text, action="start-gateway"))
