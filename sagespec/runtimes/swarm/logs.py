"""The lines of a service: of all its tasks, one after the other, wherever they ran.

A manager asks the node for them. It never ends a followed log, so that is done here, when the task has ended; and it
waits for ever for a node that is lost, so each answer has a time within which it must come. A followed log that breaks
off, as with a manager that is started again, is asked for once more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import requests
from docker.errors import DockerException, NotFound
from docker.types import CancellableStream

from sagespec.errors import WorldError
from sagespec.runtimes.docker.logs import Frame, Past, asked_for, lines_of, read_frames
from sagespec.runtimes.swarm.cluster import CALL_SECONDS, PATIENCE_SECONDS, Cluster
from sagespec.runtimes.swarm.reading import ENDED, Service, state_of
from sagespec.state.observed import ContainerState

ANSWER_SECONDS = 20.0
LOOK_EVERY_SECONDS = 0.3
_LAST_FRAMES_SECONDS = 0.2  # after a task's end; what comes later is read once more
_AGAIN_SECONDS = 1.0  # after a followed log has broken off
_HELD_SECONDS = 10.0  # a followed log that was open so long has not broken off at once

Look = Callable[[], Service | None]


def service_lines(
    cluster: Cluster, service: Service, look: Look, *, follow: bool, tail: int | None
) -> Iterator[tuple[bytes, str]]:
    """look: the service as it is now."""
    if not follow:
        yield from _lines_of_all(cluster, service, tail)
        return
    now: Service | None = service
    done = {str(task["ID"]) for task in service.placed[:-1]} if tail is not None else set()
    while now is not None:
        for task_id in [str(task["ID"]) for task in now.placed if task["ID"] not in done]:
            done.add(task_id)
            yield from _followed(cluster, look, task_id, tail)
            tail = None
        if now.state in (ContainerState.CREATED, ContainerState.EXITED):
            return
        threading.Event().wait(LOOK_EVERY_SECONDS)
        now = look()


def _lines_of_all(cluster: Cluster, service: Service, tail: int | None) -> Iterator[tuple[bytes, str]]:
    """Of runs whose lines cannot be read, a line that says so; WorldError when there is nothing else."""
    kept: list[list[tuple[bytes, str]]] = []
    failure: WorldError | None = None
    left, has_read = tail, False
    for task in reversed(service.placed):
        if left == 0:
            break
        try:
            lines = list(_lines_of(cluster, service, task, left))
        except WorldError as error:
            failure = failure or error
            kept.append([(_time_of(task), f"({error.problems[0].what})")])
            continue
        has_read = True
        lines = lines[-left:] if left else lines
        left = None if left is None else left - len(lines)
        kept.append(lines)
    if failure and not has_read:
        raise failure
    for lines in reversed(kept):
        yield from lines


def _lines_of(
    cluster: Cluster, service: Service, task: Mapping[str, Any], tail: int | None
) -> Iterator[tuple[bytes, str]]:
    if _is_lost(service, task["NodeID"]):
        node = service.hostnames.get(str(task["NodeID"])) or task["NodeID"]
        raise WorldError(
            f"the log of {service.container_name} on {node} cannot be read: its node does not answer",
            fix="`docker node ls` shows the nodes; the log is there when the node is back",
        )
    return lines_of(partial(_frames, cluster, str(task["ID"])), follow=False, tail=tail)


def _time_of(task: Mapping[str, Any]) -> bytes:
    return str(task["Status"]["Timestamp"]).encode()


def _is_lost(service: Service, node_id: object) -> bool:
    return node_id in service.lost


def _frames(
    cluster: Cluster, task_id: str, *, follow: bool = False, tail: int | None = None, since: int = 0
) -> Iterator[Frame]:
    params = asked_for(follow=follow, tail=tail, since=since)
    try:
        response = cluster.stream(f"/tasks/{task_id}/logs", timeout=ANSWER_SECONDS, **params)
    except NotFound:
        return  # forgotten, or removed
    except requests.Timeout as error:
        raise _silent() from error
    with response:
        try:
            yield from read_frames(response.iter_content(None))
        except (requests.Timeout, requests.ConnectionError) as error:  # in a body, the second is raised for both
            raise _silent() from error


def _silent() -> WorldError:
    return WorldError(
        f"the log cannot be read: the node has not answered for {ANSWER_SECONDS:g} s", fix="try again later"
    )


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
        self._left = threading.Event()  # nobody reads any more
        self._ended = threading.Event()
        self._response: Any = None
        self.is_gone = False  # the task, or its node

    def frames(self, tail: int | None) -> Iterator[Frame]:
        if self._has_ended():  # else a manager would be asked for nothing
            if not self.is_gone:
                yield from _frames(self._cluster, self._task_id, tail=tail)
            return
        threading.Thread(target=self._end_with_task, daemon=True).start()
        past, breaks_since = Past(tail), 0.0
        try:
            while True:
                began, was = time.monotonic(), past.since
                try:
                    yield from map(past.add, past.new_among(self._stream(past, tail)))
                    failure = WorldError("the log breaks off before its program ends", fix="try again in a while")
                except WorldError as error:
                    failure = error
                if self._ended.is_set() or self._has_ended():
                    return
                now = time.monotonic()
                if now - began > _HELD_SECONDS or past.since != was:
                    breaks_since = 0.0
                breaks_since = breaks_since or now
                if now - breaks_since > PATIENCE_SECONDS:
                    raise failure
                self._ended.wait(_AGAIN_SECONDS)
        finally:
            self._left.set()
            self._close()

    def _stream(self, past: Past, tail: int | None) -> Iterator[Frame]:
        """What comes until it breaks off, or is closed because the task has ended."""
        params = asked_for(follow=True, tail=tail if past.is_empty else None, since=past.since)
        try:
            # To read it takes as long as the program is silent.
            self._response = self._cluster.stream(
                f"/tasks/{self._task_id}/logs", timeout=(CALL_SECONDS, None), **params
            )
        except NotFound:
            return
        try:
            if self._ended.is_set():  # before there was anything to close
                return
            yield from read_frames(self._response.iter_content(None))
        except (requests.RequestException, DockerException, OSError, ValueError, AttributeError) as error:
            raise WorldError(f"the log breaks off: {error}", fix="try again in a while") from error
        finally:
            self._response.close()

    def _end_with_task(self) -> None:
        while not self._left.wait(LOOK_EVERY_SECONDS):
            with suppress(WorldError, DockerException, requests.RequestException):
                if self._has_ended():
                    self._left.wait(_LAST_FRAMES_SECONDS)
                    self._ended.set()
                    self._close()
                    return

    def _close(self) -> None:
        with suppress(Exception):  # whoever reads may have closed it
            CancellableStream(None, self._response).close()

    def _has_ended(self) -> bool:
        service = self._look()
        task = next((task for task in service.placed if task["ID"] == self._task_id), None) if service else None
        self.is_gone = service is None or task is None or _is_lost(service, task["NodeID"])
        return self.is_gone or state_of(task or {}) in ENDED
