"""A world as a value: what each action leads to, without an engine.

For tests of decisions: `reconcile` is given what a settled world looks like, and properties are checked
after every single action. Real engines are tested in tests/scenarios.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from sagespec.plan import (
    Action,
    AwaitHealthy,
    DrainInstance,
    Plan,
    RecordRevision,
    RemoveContainer,
    RemoveInstance,
    RunJob,
    SetRoutes,
    StartGateway,
    StartInstance,
)
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.desired import Desired, DesiredEndpoint
from sagespec.state.labels import container_name
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import Capacity, Container, ContainerState, Observed, ObservedGateway, Probe, Route
from sagespec.state.revision import EndpointRecord, Revision, RevisionStatus
from tests.fakes.specs import PROJECT

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@dataclass
class Simulation:
    """Containers, routes and records, changed by one action at a time.

    failing_jobs: jobs that end with an error. unhealthy: models (as written) that never answer /ping.
    """

    containers: dict[str, Container] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    manifests: dict[Address, Manifest] = field(default_factory=dict)
    revisions: dict[str, list[Revision]] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)  # container -> model it serves, as written
    failing_jobs: set[Address] = field(default_factory=set)
    unhealthy: set[str] = field(default_factory=set)
    gateway_answers: bool = True
    capacity: Capacity | None = None
    now: datetime = START
    check: Callable[[Action], None] = lambda _action: None
    choose: Callable[[Sequence[Action]], Action] = lambda ready: ready[0]

    def observed(self) -> Observed:
        gateway = next((c for c in self.containers.values() if c.address == GATEWAY), None)
        answers = gateway is not None and gateway.state is ContainerState.RUNNING and self.gateway_answers
        probes = {
            name: Probe(self.is_healthy(name), 0, "10.0.0.1", 8080)
            for route in self.routes.values()
            for target in route.targets
            for name in (*target.instances, *target.draining)
        }
        return Observed(
            containers=tuple(sorted(self.containers.values())),
            gateway=ObservedGateway(True, dict(self.routes), probes) if answers else ObservedGateway(),
            manifests=dict(self.manifests),
            revisions={name: tuple(revisions) for name, revisions in self.revisions.items()},
            capacity=self.capacity,
        )

    def is_healthy(self, name: str) -> bool:
        container = self.containers.get(name)
        running = container is not None and container.state is ContainerState.RUNNING
        return running and self.models.get(name) not in self.unhealthy

    def plan(self, desired: Desired, options: Options | None = None) -> Plan:
        return reconcile(desired, self.observed(), self.now, options)

    def settle(self, desired: Desired, options: Options | None = None, passes: int = 10) -> Plan:
        """Carry plans out as `converge` does; the last plan, less what failed in this run."""
        failed: set[str] = set()
        for _ in range(passes):
            plan = self.plan(desired, options)
            if not self.carry_out(plan, failed):
                return plan
            options = replace(options, retry=False) if options else None
        raise AssertionError(f"still not settled after {passes} passes:\n{plan.text()}")

    def carry_out(self, plan: Plan, failed: set[str], limit: int | None = None) -> int:
        """Carry out at most `limit` actions, then stop as if killed; how many were carried out.

        In any order that `after` allows, as `apply` may: which one, `choose` decides.
        """
        waiting, ended, lost, done = list(plan.actions), set[str](), set(failed), 0
        while waiting and (limit is None or done < limit):
            ready = [action for action in waiting if ended.issuperset(action.after)]
            action = self.choose(ready)
            waiting.remove(action)
            ended.add(action.id)
            if action.id in lost or lost.intersection(action.after):
                lost.add(action.id)
                continue
            self.now += timedelta(seconds=1)
            if not self.act(action):
                failed.add(action.id)
                lost.add(action.id)
            done += 1
            self.check(action)
        return done

    def act(self, action: Action) -> bool:
        """What the action leads to; False when it fails."""
        match action:
            case StartGateway():
                self._start_gateway()
            case RunJob():
                return self._run_job(action)
            case RemoveContainer():
                removed = self.containers.pop(action.container, None)
                if removed and removed.address == GATEWAY:
                    self.routes.clear()
            case StartInstance():
                self._add(action.container, action.about, action.variant.hash, ContainerState.RUNNING)
                self.models[action.container] = action.variant.model.text
            case AwaitHealthy():
                return self._await(action)
            case SetRoutes():
                if action.route is None:
                    self.routes.pop(action.about.name, None)
                else:
                    self.routes[action.about.name] = action.route
            case DrainInstance():
                pass
            case RemoveInstance():
                self._forget(action.about.name, action.container)
                self.containers.pop(action.container, None)
            case RecordRevision():
                self.record(action.about.name, action.number, action.status, action.endpoint_hash, action.record, "")
            case _:
                assert_never(action)
        return True

    def record(
        self, name: str, number: int, status: RevisionStatus, hash_text: str, asked: EndpointRecord, reason: str
    ) -> None:
        self.revisions.setdefault(name, []).append(
            Revision(
                endpoint=name,
                number=number,
                hash=hash_text,
                status=status,
                asked=asked,
                reason=reason,
                started_at=self.now,
            )
        )

    def _add(self, name: str, address: Address, hash_text: str, state: ContainerState) -> None:
        self.containers[name] = Container(
            name, address, hash_text, state, host="10.0.0.1", port=8080, started_at=self.now
        )

    def _start_gateway(self) -> None:
        for container in [c for c in self.containers.values() if c.address == GATEWAY]:
            del self.containers[container.name]
        hash_text = self.gateway_hash
        self._add(container_name(PROJECT, GATEWAY, hash_text), GATEWAY, hash_text, ContainerState.RUNNING)

    gateway_hash: str = ""

    def _run_job(self, action: RunJob) -> bool:
        job = action.job
        fails = job.address in self.failing_jobs
        self.manifests[job.address] = Manifest(
            project=PROJECT,
            name=job.name,
            version=job.version,
            key=job.key,
            key_fields=dict(job.key_fields),
            status=JobStatus.FAILED if fails else JobStatus.COMPLETED,
            reason="AlgorithmError: boom" if fails else "",
            spec=dict(job.spec),
            started_at=self.now,
            ended_at=self.now,
        )
        for name in [c.name for c in self.containers.values() if c.address.whole == job.address]:
            del self.containers[name]
        return not fails

    def _await(self, action: AwaitHealthy) -> bool:
        if all(self.is_healthy(name) for name in action.containers):
            return True
        if action.revision is not None:
            endpoint: DesiredEndpoint = action.endpoint
            self.record(
                endpoint.name,
                action.revision,
                RevisionStatus.FAILED,
                endpoint.hash,
                endpoint.record,
                "it did not answer /ping",
            )
        return False

    def _forget(self, endpoint_name: str, container: str) -> None:
        route = self.routes.get(endpoint_name)
        if route is None:
            return
        targets = []
        for target in route.targets:
            left = replace(
                target,
                instances=tuple(n for n in target.instances if n != container),
                draining=tuple(n for n in target.draining if n != container),
            )
            if left.instances or left.draining:
                targets.append(left)
        if targets:
            self.routes[endpoint_name] = Route(endpoint_name, tuple(targets))
        else:
            del self.routes[endpoint_name]
