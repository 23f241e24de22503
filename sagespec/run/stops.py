"""Requests to stop a job: made by `sagespec stop`, kept in the store, seen by the process that follows the job.

The store is the one place that every sagespec process of a project sees, and where a request outlives its sender.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sagespec.clock import Clock
from sagespec.errors import WorldError
from sagespec.records.records import Records
from sagespec.state.addresses import Address
from sagespec.state.faults import Fault, FaultKind
from sagespec.state.manifest import Manifest, StopRequest

REFRESH_EVERY_SECONDS = 1.0


class StopAsked(Exception):
    """A job was asked to stop before it had started, or it is too late to start it."""


def ask_to_stop(records: Records, address: Address, by: str, manifest: Manifest | None) -> StopRequest:
    """The request to stop a job: a new one, or the pending one if there is one. manifest: the job's, if it has one."""
    present = StopRequests(records, address, manifest)
    present.refresh()
    at = datetime.now(UTC)
    if manifest:  # whose clock may differ
        at = max(at, manifest.ended_at + timedelta(milliseconds=1))
    request = present.request or StopRequest(by=by, at=at)
    records.write_stop_request(address, request)  # a pending one, too: an earlier sagespec wrote it in one place only
    return request


class StopRequests:
    """Whether a job was asked to stop. A request older than the job's last manifest has already been answered."""

    def __init__(self, records: Records, address: Address, manifest: Manifest | None) -> None:
        self.request: StopRequest | None = None
        self._records = records
        self._address = address
        self._manifest = manifest

    @property
    def fault(self) -> Fault | None:
        return Fault(FaultKind.STOPPED, f"asked for by {self.request.by}") if self.request else None

    def refresh(self) -> bool:
        """Ask the store again; whether there is a request."""
        request = self._records.stop_request(self._address)
        if request and (self._manifest is None or request.at > self._manifest.ended_at):
            self.request = request
        return self.request is not None

    @contextmanager
    def watched(self, clock: Clock) -> Iterator[None]:
        """Asks the store every second while the block runs, in a thread: it may be slow, or away for a while."""
        done = threading.Event()

        def keep_asking() -> None:
            while self.request is None and not clock.sleep(REFRESH_EVERY_SECONDS, done):
                try:
                    self.refresh()
                except WorldError:
                    continue

        threading.Thread(target=keep_asking, name=f"stop-{self._address}", daemon=True).start()
        try:
            yield
        finally:
            done.set()
