"""Services and their tasks as our Containers. Pure.

A container is a service; each of its runs is a task, and the newest one of the newest start is what counts. A service
that was stopped has a task beside it that waits for a node, and never gets one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sagespec.runtimes.docker.files import BASE
from sagespec.runtimes.docker.launches import PORT
from sagespec.runtimes.swarm.names import (
    LABEL_CONTAINER,
    LABEL_MADE_FROM,
    LABEL_MAY_END,
    LABEL_NODE,
    LABEL_PART,
    LABEL_PUBLISHED,
    Part,
)
from sagespec.runtimes.swarm.services import is_stopped, start_of
from sagespec.state.labels import address_from_labels, resources_from_labels
from sagespec.state.observed import Container, ContainerState, Exit
from sagespec.state.owner import owner_from_labels

ENDED = frozenset({"complete", "failed", "shutdown", "rejected", "orphaned", "remove"})
_SIGTERM, _SIGKILL = 15, 9


@dataclass(frozen=True)
class Service:
    """One service of ours with its tasks, oldest first. lost: ids of nodes that are down. watched: whether nothing on
    its node has failed since it was started. hostnames: of nodes, by id. waits_in_vain: whether it has waited too long
    for the one node that it may run on."""

    raw: Mapping[str, Any]
    tasks: Sequence[Mapping[str, Any]]
    lost: frozenset[str] = frozenset()
    watched: bool = True
    hostnames: Mapping[str, str] = field(default_factory=dict)
    waits_in_vain: bool = False

    @property
    def id(self) -> str:
        return str(self.raw["ID"])

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    @property
    def spec(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.raw["Spec"]
        return spec

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.spec.get("Labels") or {}
        return labels

    @property
    def container_name(self) -> str:
        return self.labels.get(LABEL_CONTAINER, "")

    @property
    def part(self) -> Part:
        return self.labels.get(LABEL_PART, "job")  # type: ignore[return-value]  # written by us alone

    @property
    def node(self) -> str:
        return self.labels.get(LABEL_NODE, "")

    @property
    def container_id(self) -> str:
        """Of its run, as the engine of its node knows it; '' where it does not run."""
        newest = self.newest
        return _container_of(newest) if newest is not None and state_of(newest) == "running" else ""

    @property
    def is_stopped(self) -> bool:
        return is_stopped(self.spec)

    @property
    def start(self) -> int:
        return start_of(self.spec)

    @property
    def placed(self) -> Sequence[Mapping[str, Any]]:
        """The tasks that have, or had, a node: all runs that there have been, as far as the Swarm remembers."""
        return [task for task in self.tasks if task.get("NodeID")]

    @property
    def runs(self) -> Sequence[Mapping[str, Any]]:
        """The tasks of the newest start that have a node. Once it is stopped, without one that never began."""
        runs = [task for task in self.placed if (task["Spec"].get("ForceUpdate") or 0) == self.start]
        begun = [task for task in runs if _container_of(task)] if self.is_stopped else []
        return begun or runs

    @property
    def newest(self) -> Mapping[str, Any] | None:
        return self.runs[-1] if self.runs else None

    @property
    def image(self) -> str:
        """As nodes get it."""
        return str(self.spec["TaskTemplate"]["ContainerSpec"]["Image"])

    @property
    def entrypoint(self) -> tuple[str, ...]:
        """In place of the image's."""
        return tuple(self.spec["TaskTemplate"]["ContainerSpec"].get("Command") or ())

    @property
    def named_volumes(self) -> Mapping[str, str]:
        """Volumes by path below /opt/ml, of those that it is not alone with."""
        mounts = self.spec["TaskTemplate"]["ContainerSpec"].get("Mounts") or ()
        inside = f"{BASE}/"
        return {m["Target"].removeprefix(inside): m["Source"] for m in mounts if m["Target"].startswith(inside)}

    @property
    def job_networks(self) -> tuple[str, ...]:
        """The ids of the networks that its job has for itself."""
        networks = self.spec["TaskTemplate"].get("Networks") or ()
        return tuple(str(network["Target"]) for network in networks) if self.part == "job" else ()

    @property
    def published(self) -> int:
        return int(self.labels.get(LABEL_PUBLISHED) or 0)

    @property
    def waits_because(self) -> str:
        """Why its newest task has no node yet, as the Swarm says it; '' when it has one."""
        newest = self.tasks[-1] if self.tasks else None
        if newest is None or newest.get("NodeID"):
            return ""
        return str(newest["Status"].get("Err") or "")

    @property
    def state(self) -> ContainerState:
        if not self.start:
            return ContainerState.CREATED
        newest = self.newest
        is_over = newest is not None and (state_of(newest) in ENDED or self._is_lost(newest))
        is_over = is_over or (newest is None and (self.is_stopped or self.waits_in_vain))
        if self.part == "job" or self.is_stopped:
            return ContainerState.EXITED if is_over else ContainerState.RUNNING
        if self._is_off_its_node:
            return ContainerState.EXITED
        if newest is not None and state_of(newest) == "running" and not is_over:
            return ContainerState.RUNNING
        if is_over and self._may_end and state_of(newest or {}) == "complete":
            return ContainerState.EXITED
        return ContainerState.RESTARTING

    @property
    def has_ended(self) -> bool:
        return self.state is ContainerState.EXITED

    @property
    def _is_off_its_node(self) -> bool:
        """Whether it can run on one node alone, and that one is lost: the Swarm starts it nowhere else."""
        newest = self.newest
        return self.part == "pinned" and (self.waits_in_vain if newest is None else self._is_lost(newest))

    @property
    def _may_end(self) -> bool:
        return LABEL_MAY_END in self.labels

    @property
    def has_seen_end(self) -> bool:
        """Whether its exit code is that of its program, and not of what ended its engine."""
        newest = self.newest
        is_lost = newest is None or self._is_lost(newest)
        return not is_lost and bool(_container_of(newest or {})) and (self.part != "job" or self.watched)

    def _is_lost(self, task: Mapping[str, Any]) -> bool:
        """Whether it was running on a node that nobody hears of any more."""
        return task.get("NodeID") in self.lost and state_of(task) not in ENDED

    def container(self) -> Container | None:
        """None when its labels are damaged."""
        known = address_from_labels(self.labels)
        if known is None or not self.container_name:
            return None
        cpus, memory, gpus = resources_from_labels(self.labels)
        state = self.state
        ended = self._last_exit(state)
        return Container(
            name=self.container_name,
            address=known[0],
            hash=known[1],
            state=state,
            exit_code=ended.code if ended and state is ContainerState.EXITED else None,
            host=self.name,
            port=PORT,
            restarts=max(0, len(self.runs) - 1),
            started_at=self._started_at(state, ended),
            signals=self._signals() if state is ContainerState.EXITED else (),
            cpus=cpus,
            memory=memory,
            gpus=gpus,
            published=self.published,
            last_exit=ended,
            owner=owner_from_labels(self.labels),
            image=self.labels.get(LABEL_MADE_FROM, ""),
            node=self._node_name,
        )

    @property
    def _node_name(self) -> str:
        """Where it is, or was last; of a job that has yet to start, where it will be; '' before a node is chosen."""
        return self.hostnames.get(str((self.newest or {}).get("NodeID") or self.node), "")

    def _last_exit(self, state: ContainerState) -> Exit | None:
        over = [task for task in self.runs if state_of(task) in ENDED]
        if state is ContainerState.EXITED and self.newest is not None and self._is_lost(self.newest):
            return Exit(None, None, " ".join(filter(None, ("its node", self._node_name, "does not answer"))))
        if not over and state is ContainerState.EXITED and self.waits_because:
            return Exit(None, None, f"no node took it: {self.waits_because}")
        if not over:
            return None
        status = over[-1]["Status"]
        code = (status.get("ContainerStatus") or {}).get("ExitCode")
        has_run = bool(_container_of(over[-1]))
        counts = has_run and (self.part != "job" or self.watched)
        return Exit(code if counts else None, time_of(status["Timestamp"]), "" if has_run else status.get("Err") or "")

    def _started_at(self, state: ContainerState, ended: Exit | None) -> datetime | None:
        if self.newest is None:
            return None
        if state is ContainerState.RESTARTING and ended:
            return ended.at
        # Of one that has ended, the Swarm only keeps when: it was started soon after it was asked for.
        is_over = state_of(self.newest) in ENDED
        return time_of(self.newest["CreatedAt"] if is_over else self.newest["Status"]["Timestamp"])

    def _signals(self) -> tuple[int, ...]:
        """What the Swarm has sent it: it is told of no others."""
        if self.newest is None or state_of(self.newest) != "shutdown":
            return ()
        code = (self.newest["Status"].get("ContainerStatus") or {}).get("ExitCode")
        return (_SIGTERM, _SIGKILL) if code == 128 + _SIGKILL else (_SIGTERM,)


def _container_of(task: Mapping[str, Any]) -> str:
    return str(((task.get("Status") or {}).get("ContainerStatus") or {}).get("ContainerID") or "")


def state_of(task: Mapping[str, Any]) -> str:
    return str((task.get("Status") or {}).get("State", ""))


def is_in_doubt(task: Mapping[str, Any]) -> bool:
    """Whether its node may be lost: it is said to run there, and the Swarm wants it to run no more."""
    return (
        bool(task.get("NodeID"))
        and state_of(task) not in ENDED
        and task.get("DesiredState") not in ("running", "ready")
    )


def by_service(tasks: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Oldest first."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for task in sorted(tasks, key=lambda task: str(task["CreatedAt"])):
        found.setdefault(str(task["ServiceID"]), []).append(task)
    return found


def has_watched(main: Mapping[str, Any], courier: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a courier has run beside it all the time: what ends an engine or its machine ends both. One that is to
    run no more is on a node that nobody hears of, or ended with it."""
    return any(
        state_of(task) == "running"
        and task.get("DesiredState") == "running"
        and task.get("NodeID") == main.get("NodeID")
        and task["CreatedAt"] < main["CreatedAt"]
        for task in courier
    )


def time_of(text: str) -> datetime:
    """
    >>> time_of("2026-12-01T14:20:15.123456789Z").isoformat()
    '2026-12-01T14:20:15.123456+00:00'
    """
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")
