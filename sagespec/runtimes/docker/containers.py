"""Which containers are this project's, and what the engine says of them as our Container.

Found by their labels and by nothing else. Lists give rows, inspecting gives details: the two are of
different shapes, and only details know all of a container.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from docker.errors import NotFound

from sagespec.errors import WorldError
from sagespec.runtimes.docker.launches import PORT
from sagespec.state.faults import OUT_OF_MEMORY
from sagespec.state.labels import LABEL_GPUS, LABEL_KIND, LABEL_PROJECT, address_from_labels, resources_from_labels
from sagespec.state.observed import Container, ContainerState, Exit
from sagespec.state.owner import owner_from_labels

STATES = {
    "created": ContainerState.CREATED,
    "running": ContainerState.RUNNING,
    "paused": ContainerState.RUNNING,  # paused by hand; its health check shows it
    "restarting": ContainerState.RESTARTING,
    "exited": ContainerState.EXITED,
    "dead": ContainerState.EXITED,  # a removal failed half-way; it can only be removed again
}  # "removing" is left out: such a container is as good as gone

END_TOLD_WITHIN_SECONDS = 2.0


class Containers:
    """The containers of one project, whose addresses are those in its network."""

    def __init__(self, engine: Any, project_name: str, network_name: str) -> None:
        self._engine = engine
        self._project_name = project_name
        self._network_name = network_name

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._engine.containers(
            all=True, filters={"label": f"{LABEL_PROJECT}={self._project_name}"}
        )
        return rows

    def find(self, name: str) -> dict[str, Any] | None:
        """Details of our container `name`; None when there is none, or when it is someone else's."""
        details = self.find_any(name)
        return details if details and self.is_ours(details) else None

    def find_any(self, name: str) -> dict[str, Any] | None:
        try:
            details: dict[str, Any] = self._engine.inspect_container(name)
        except NotFound:
            return None
        return details if details["Name"] == f"/{name}" else None  # it also takes the beginning of an id for a name

    def is_ours(self, details: Mapping[str, Any]) -> bool:
        return bool((details["Config"]["Labels"] or {}).get(LABEL_PROJECT) == self._project_name)

    def need(self, name: str) -> dict[str, Any]:
        """Details of our container `name`. Actions use its ID, which no other container can get."""
        details = self.find(name)
        if details is None:
            raise WorldError(
                f"container {name} of project {self._project_name} is not there",
                why="it was removed, or never created",
                fix="run the command again: it creates what is missing",
            )
        return details

    def addresses(self) -> dict[str, str]:
        """Pinned address by container name, of all that exist."""
        return {row["Names"][0].lstrip("/"): self._address(_networks(row)) for row in self.rows()}

    def gpus_taken(self) -> dict[str, str]:
        """Who has which GPU of the engine: the container's name by id, over all projects."""
        rows = self._engine.containers(all=True, filters={"label": LABEL_GPUS})
        return {
            gpu: row["Names"][0].lstrip("/")
            for row in rows
            if row["State"] != "exited" or row["Labels"].get(LABEL_KIND) != "job"
            for gpu in resources_from_labels(row["Labels"])[2]
        }

    def from_row(self, row: Mapping[str, Any]) -> Container | None:
        ended = re.match(r"Exited \((-?\d+)\)", row["Status"])
        container = self._container(
            row["Names"][0], row["Labels"], row["State"], int(ended[1]) if ended else -1, _networks(row)
        )
        return container and replace(container, started_at=_started_at(row), image=row["Image"])

    def from_details(self, details: Mapping[str, Any]) -> Container | None:
        state = details["State"]
        container = self._container(
            details["Name"], details["Config"]["Labels"], state["Status"], state["ExitCode"], _networks(details)
        )
        waits = container is not None and container.state is ContainerState.RESTARTING
        started_at = datetime.fromisoformat(state["FinishedAt" if waits else "StartedAt"])  # year 1 when it never was
        return container and replace(
            container,
            restarts=details["RestartCount"],
            last_exit=self._last_exit(details),
            published=_published(details),
            limits=_limits(details["HostConfig"]),
            started_at=started_at if started_at.year > 1 else None,
            note=OUT_OF_MEMORY if state.get("OOMKilled") and container.exit_code is not None else "",
            signals=self._signals(details) if container.exit_code is not None and started_at.year > 1 else (),
        )

    def _last_exit(self, details: Mapping[str, Any]) -> Exit | None:
        """None when it has not ended since we started it. Once it runs again, only events have the code."""
        state, at = details["State"], datetime.fromisoformat(details["State"]["FinishedAt"])  # year 1: never
        runs = state["Status"] in ("running", "paused")
        if at.year == 1 or (runs and not details["RestartCount"]):
            return None
        note = OUT_OF_MEMORY if state.get("OOMKilled") else ""  # kept until the next end
        if not runs:
            return Exit(state["ExitCode"], at, note)
        since = at.timestamp() - 1.0
        ends = self._events(details, "die", since=since, seconds_after_its_end=END_TOLD_WITHIN_SECONDS)
        codes = [int(event["Actor"]["Attributes"]["exitCode"]) for event in ends]
        return Exit(codes[-1] if codes else None, at, note)

    def _signals(self, details: Mapping[str, Any]) -> tuple[int, ...]:
        """What the engine sent it since it was started, as far as the engine remembers: it keeps the last few
        hundred events, and none from before its own start."""
        events = self._events(details, "kill", seconds_after_its_end=0.001)
        return tuple(int(event["Actor"]["Attributes"]["signal"]) for event in events)

    def has_seen_end(self, details: Mapping[str, Any]) -> bool:
        """Whether the engine remembers that it ended: what it forgets at its own end it did not see, either."""
        if STATES.get(details["State"]["Status"]) is not ContainerState.EXITED:
            return False
        return bool(self._events(details, "die", seconds_after_its_end=END_TOLD_WITHIN_SECONDS))

    def _events(
        self, details: Mapping[str, Any], kind: str, *, seconds_after_its_end: float, since: float | None = None
    ) -> list[dict[str, Any]]:
        """The engine's events of its last run, or since a time."""
        begun, ended = (datetime.fromisoformat(details["State"][at]).timestamp() for at in ("StartedAt", "FinishedAt"))
        events = self._engine.events(
            since=f"{begun if since is None else since:.6f}",
            until=f"{ended + seconds_after_its_end:.6f}",  # by the engine's clock; waits for later lines
            filters={"container": details["Id"], "event": kind},
            decode=True,
        )
        return list(events)

    def _container(
        self, name: str, labels: Mapping[str, str], status: str, exit_code: int, networks: Mapping[str, Any]
    ) -> Container | None:
        """None when its labels are damaged or it is being removed."""
        known, state = address_from_labels(labels), STATES.get(status)
        if known is None or state is None:
            return None
        cpus, memory, gpus = resources_from_labels(labels)
        return Container(
            name=name.lstrip("/"),
            address=known[0],
            hash=known[1],
            state=state,
            exit_code=exit_code if state is ContainerState.EXITED else None,
            host=self._address(networks),
            port=PORT,
            cpus=cpus,
            memory=memory,
            gpus=gpus,
            owner=owner_from_labels(labels),
        )

    def _address(self, networks: Mapping[str, Any]) -> str:
        """The pinned address, which a stopped container has too; '' for one we did not attach."""
        return str(((networks.get(self._network_name) or {}).get("IPAMConfig") or {}).get("IPv4Address") or "")


def _networks(row_or_details: Mapping[str, Any]) -> dict[str, Any]:
    networks: dict[str, Any] = row_or_details["NetworkSettings"]["Networks"]
    return networks


def _limits(config: Mapping[str, Any]) -> tuple[float | None, int | None]:
    cpus = config.get("NanoCpus", 0) / 1e9
    if not cpus and config.get("CpuQuota", 0) > 0:
        cpus = config["CpuQuota"] / (config.get("CpuPeriod") or 100_000)
    return cpus or None, config.get("Memory") or None


def _published(details: Mapping[str, Any]) -> int:
    """From what it was created with: the engine lists the ports of running containers alone."""
    bindings = (details["HostConfig"].get("PortBindings") or {}).get(f"{PORT}/tcp") or ()
    return next((int(binding["HostPort"]) for binding in bindings if binding.get("HostPort")), 0)


def _started_at(row: Mapping[str, Any]) -> datetime | None:
    """When the container of a list's row was started, or the nearest time to it that a list gives.

    For a container started in the last minute the list gives the second, and for one that waits to be started again
    the second of its end; for an older one, its creation, which is the same unless it has been started again.
    """
    if row["State"] == "created":
        return None
    recent = re.match(r"(?:Up|Restarting \(-?\d+\)) (\d+|Less than a) seconds?", row["Status"])
    if recent:
        return datetime.now(UTC) - timedelta(seconds=int(recent[1]) if recent[1].isdigit() else 0)
    return datetime.fromtimestamp(row["Created"], UTC)
