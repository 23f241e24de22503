"""The lines of a service: of all its tasks, one after the other, wherever they ran.

A manager asks the node for them. It never ends a followed log, so that is done here, when the task has ended; and it
waits for ever for a node that is lost, so each answer has a time within which it must come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import requests
from docker.errors import DockerException, NotFound
from docker.types import CancellableStream

from sagespec.errors import WorldError
from sagespec.runtimes.docker.logs import Frame, asked_for, lines_of, read_frames
from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.reading import ENDED, Service, state_of
from sagespec.state.observed import ContainerState

ANSWER_SECONDS = 20.0
_LOOK_EVERY_SECONDS = 0.3
_LAST_FRAMES_SECONDS = 0.2  # after a task's end; what comes later is read once more

Look = Callable[[], Service | None]


def service_lines(cluster: Cluster, look: Look, *, follow: bool, tail: int | None) -> Iterator[tuple[bytes, str]]:
    """look: the service as it is now."""
    service = look()
    if service is None:
        return
    if not follow:
        yield from _lines_of_all(cluster, service, tail)
        return
    done = {str(task["ID"]) for task in service.placed[:-1]} if tail is not None else set()
    while service is not None:
        for task_id in [str(task["ID"]) for task in service.placed if task["ID"] not in done]:
            done.add(task_id)
            yield from _followed(cluster, look, task_id, tail)
            tail = None
        if service.state in (ContainerState.CREATED, ContainerState.EXITED):
            return
        threading.Event().wait(_LOOK_EVERY_SECONDS)
        service = look()


def _lines_of_all(cluster: Cluster, service: Service, tail: int | None) -> Iterator[tuple[bytes, str]]:
    kept: list[list[tuple[bytes, str]]] = []
    left = tail
    for task in reversed(service.placed):
        if left == 0:
            break
        if _is_lost(service, task["NodeID"]):
            raise WorldError(
                f"the log of {service.container_name} cannot be read: its node does not answer",
                fix="`docker node ls` shows the nodes; the log is there when the node is back",
            )
        lines = list(lines_of(partial(_frames, cluster, str(task["ID"])), follow=False, tail=left))
        lines = lines[-left:] if left else lines
        left = None if left is None else left - len(lines)
        kept.append(lines)
    for lines in reversed(kept):
        yield from lines


def _is_lost(service: Service, node_id: object) -> bool:
    return node_id in service.lost


def _frames(
    cluster: Cluster, task_id: str, *, follow: bool = False, tail: int | None = None, since: int = 0
) -> Iterator[Frame]:
    params = asked_for(follow=follow, tail=tail, since=since)
    try:
        with cluster.stream(f"/tasks/{task_id}/logs", timeout=ANSWER_SECONDS, **params) as response:
            yield from read_frames(response.iter_content(None))
    except NotFound:
        return  # forgotten, or removed
    except requests.Timeout as error:
        raise WorldError(
            f"the log cannot be read: the node has not answered for {ANSWER_SECONDS:g} s", fix="try again later"
        ) from error


def _followed(cluster: Cluster, look: Look, task_id: str, tail: int | None) -> Iterator[tuple[bytes, str]]:
    following = _Following(cluster, look, task_id)

    def ask(*, follow: bool = False, tail: int | None = None, since: int = 0) -> Iterator[Frame]:
        if not follow:
            return iter(()) if following.is_gone else _frames(cluster, task_id, tail=tail, since=since)
        return following.frames(tail)

    yield from lines_of(ask, follow=True, tail=tail)


class _Following:
    """A followed log of one task, and who looks meanwhile whether it has ended."""

    def __init__(self, cluster: Cluster, look: Look, task_id: str) -> None:
        self._cluster, self._look, self._task_id = cluster, look, task_id
        self._left = threading.Event()
        self.is_gone = False  # the task, or its node

    def frames(self, tail: int | None) -> Iterator[Frame]:
        if self._has_ended():  # else a manager would be asked for nothing
            if not self.is_gone:
                yield from _frames(self._cluster, self._task_id, tail=tail)
            return
        params = asked_for(follow=True, tail=tail, since=0)
        try:
            response = self._cluster.stream(f"/tasks/{self._task_id}/logs", timeout=None, **params)
        except NotFound:
            return
        watch = threading.Thread(target=self._end_with_task, args=(response,), daemon=True)
        watch.start()
        try:
            yield from read_frames(response.iter_content(None))
        except (requests.RequestException, DockerException, OSError, ValueError, AttributeError):
            if not self._left.is_set():  # the manager is away: what was printed meanwhile is read at the end
                watch.join()
        finally:
            self._left.set()
            response.close()

    def _end_with_task(self, response: Any) -> None:
        while not self._left.wait(_LOOK_EVERY_SECONDS):
            with suppress(WorldError, DockerException, requests.RequestException):
                if self._has_ended():
                    self._left.wait(_LAST_FRAMES_SECONDS)
                    self._left.set()
        with suppress(Exception):  # whoever reads may have closed it
            CancellableStream(None, response).close()

    def _has_ended(self) -> bool:
        service = self._look()
        task = next((task for task in service.placed if task["ID"] == self._task_id), None) if service else None
        self.is_gone = service is None or task is None or _is_lost(service, task["NodeID"])
        return self.is_gone or state_of(task or {}) in ENDED
