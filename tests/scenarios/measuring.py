"""How long things take while something else goes on, asked of a project that is open."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sagespec.errors import WorldError
from sagespec.project import Project
from sagespec.records.leases import RunSeen
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Container, ContainerState
from tests.scenarios.workspace import Workspace, wait_until

BUSY = 5.0  # what is promised for a machine of one's own, times this, where other tests run beside it


@dataclass
class Sight:
    """What an open project shows, quickly; and how long it takes until it shows something."""

    project: Project

    def took(self, what: str, claim: Callable[[], bool], *, promised: float) -> None:
        """Wait until the claim holds; it must in `promised` seconds, or somewhat more on a busy machine."""
        with self.timed(what, promised=promised):
            wait_until(claim, promised * BUSY)

    @contextmanager
    def timed(self, what: str, *, promised: float) -> Iterator[None]:
        begun = time.monotonic()
        yield
        seconds = time.monotonic() - begun
        sys.stdout.write(f"{what}: {seconds:.2f} s of {promised:g} s\n")  # shown by pytest -rP
        assert seconds < promised * BUSY, f"{what} took {seconds:.1f} s"

    def containers(self) -> dict[str, Container]:
        return {str(container.address): container for container in self.project.parts.runtime.containers()}

    def is_running(self, *versions: int) -> bool:
        there = self.containers()
        hosts = [there.get(f"job/model@{version}#0") for version in versions]
        return all(host is not None and host.state is ContainerState.RUNNING for host in hosts)

    def began_at(self, version: int) -> datetime | None:
        """When the job's container was started, by the engine's own record of it."""
        host = self.containers().get(f"job/model@{version}#0")
        container = self.project.parts.runtime.inspect(host.name) if host else None
        return container.started_at if container else None

    def weights(self, endpoint: str = "answers") -> dict[str, float]:
        """What the gateway has."""
        parts = self.project.parts
        route = parts.gateway.observe(parts.runtime.containers()).routes.get(endpoint)
        return {target.variant: target.weight for target in route.targets if target.instances} if route else {}

    def answers(
        self, endpoint: str = "answers", variant: str | None = None, *, custom_attributes: str | None = None
    ) -> bool:
        try:
            answer = self.project.invoke(
                endpoint, b"x", content_type="text/csv", variant=variant, custom_attributes=custom_attributes
            )
            return answer.status == 200
        except WorldError:  # the gateway is not there yet
            return False

    def requests_in_flight(self, container: str) -> int:
        """To one instance, as the gateway counts them."""
        parts = self.project.parts
        probe = parts.gateway.observe(parts.runtime.containers()).probes.get(container)
        return probe.active_requests if probe else 0

    def is_trained(self, version: int) -> bool:
        address = job_address("model", version)
        found = self.project.parts.records.manifests([address]).get(address)
        return found is not None and found.status is JobStatus.COMPLETED

    def followers(self) -> dict[Address, str]:
        return {address: found.by for address, found in self.project.parts.leases().look().followers.items()}

    def runs(self) -> tuple[RunSeen, ...]:
        """The runs that show themselves."""
        return self.project.parts.leases().look().runs

    def left_at_work(self) -> list[str]:
        """What leases there still are in the store, live or not."""
        prefix = f"{self.project.parts.settings.name}/active/"
        return [entry.key.removeprefix(prefix) for entry in self.project.parts.store.entries(prefix)]


@contextmanager
def sight(workspace: Workspace) -> Iterator[Sight]:
    with workspace.project() as project:
        yield Sight(project)
