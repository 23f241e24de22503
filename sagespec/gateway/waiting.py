"""Waiting until Envoy has started, or has taken what it was given."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sagespec.errors import WorldError
from sagespec.state.observed import Container, ContainerState

START_SECONDS = 30.0
LOAD_SECONDS = 15.0  # a new pool counts once each of its instances was probed, which may take PING_SECONDS
POLL_SECONDS = 0.02


class Rejected(Exception):
    """Envoy will not have a document."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path, self.message = path, message


def await_restarted(listens: Callable[[], bool | None], inspect: Callable[[], Container | None]) -> bool:
    """Whether it listens; waits while it does not answer and was started a moment ago, by its engine after a crash.
    Whoever replaces it then makes callers wait for a second start."""
    give_up_at = time.monotonic() + START_SECONDS
    while (found := listens()) is None and time.monotonic() < give_up_at and _has_just_started(inspect()):
        time.sleep(POLL_SECONDS)
    return bool(found)


def _has_just_started(container: Container | None) -> bool:
    if container is None or container.state is ContainerState.EXITED or container.started_at is None:
        return False
    return timedelta() <= datetime.now(UTC) - container.started_at < timedelta(seconds=START_SECONDS)


def await_loaded(is_so: Callable[[], bool], complaint: str) -> None:
    give_up_at = time.monotonic() + LOAD_SECONDS
    while not is_so():
        if time.monotonic() > give_up_at:
            raise WorldError(
                f"the gateway {complaint} within {LOAD_SECONDS:g} s",
                why="the machine may be overloaded, or /opt/ml/gateway in its container cannot be written",
                fix="see sagespec logs gateway; apply again",
            )
        time.sleep(POLL_SECONDS)
