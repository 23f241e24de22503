"""Requests to stop a job: made by `sagespec stop`, kept in the store, seen by whoever carries the job out.

The store is the one place that every sagespec of a project sees, and where the request outlives whoever made it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sagespec.errors import WorldError
from sagespec.records.records import Records
from sagespec.state.addresses import Address
from sagespec.state.manifest import Manifest, StopRequest

LOOK_EVERY_SECONDS = 1.0


class StopAsked(Exception):
    """A job is to end that has not started yet."""


def ask_to_stop(records: Records, address: Address, by: str, manifest: Manifest | None) -> StopRequest:
    """The request to stop a job: a new one, or the one that is under way. manifest: of the job, if it has one."""
    present = Stop(records, address, manifest)
    if present.look() and present.request:
        return present.request
    at = datetime.now(UTC)
    if manifest:  # by another clock
        at = max(at, manifest.ended_at + timedelta(milliseconds=1))
    request = StopRequest(by=by, at=at)
    records.write_stop_request(address, request)
    return request


class Stop:
    """Whether a job is to be stopped. A request from before its last manifest was answered by that."""

    def __init__(self, records: Records, address: Address, manifest: Manifest | None) -> None:
        self.request: StopRequest | None = None
        self._records = records
        self._address = address
        self._manifest = manifest

    @property
    def reason(self) -> str:
        return f"Stopped: asked for by {self.request.by}" if self.request else ""

    def look(self) -> bool:
        request = self._records.stop_request(self._address)
        if request and (self._manifest is None or request.at > self._manifest.ended_at):
            self.request = request
        return self.request is not None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Looks again and again while the block runs, in a thread: the store may be slow, or away for a while."""
        done = threading.Event()

        def look_again() -> None:
            while self.request is None and not done.wait(LOOK_EVERY_SECONDS):
                try:
                    self.look()
                except WorldError:
                    continue

        threading.Thread(target=look_again, name=f"stop-{self._address}", daemon=True).start()
        try:
            yield
        finally:
            done.set()
