"""The logs of training jobs: from the containers while there are some, from the store afterwards.

One thread follows each host of a job, from the first time that somebody reads its log until its container has ended.
What is in the store then is the same log, so only what was not read yet is taken from there.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path

from sagespec.api.logs.spool import Spool
from sagespec.api.named import NamedJob
from sagespec.errors import WorldError
from sagespec.parts import Parts
from sagespec.private import NAME as PRIVATE
from sagespec.run.bars import shown
from sagespec.state.addresses import Address
from sagespec.state.manifest import Manifest
from sagespec.state.observed import Container
from sagespec.verbs.states import JobWord, Status

KEPT_SECONDS = 7 * 86400.0  # without being read, across starts of the control plane
ACTIVE = frozenset({JobWord.WAITING, JobWord.PREPARING, JobWord.RUNNING, JobWord.ENDED})
_ATTEMPT = re.compile(r"sagespec: attempt (\d+) begins")


class Books:
    """Every job's logs that somebody has read. folder: of the project."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._folder = parts.root / PRIVATE / "logs"
        self._logs: dict[tuple[str, int], HostLog] = {}
        self._lock = threading.Lock()
        self.ending = threading.Event()  # nobody waits for lines any longer
        _sweep(self._folder)

    def close(self) -> None:
        with self._lock:
            for log in self._logs.values():
                log.spool.close()
            self._logs.clear()

    def log(self, job: NamedJob, host: int) -> HostLog:
        """Of algo-<host>, as far as it has come."""
        key = (job.name, host)
        with self._lock:
            if key not in self._logs:
                self._logs[key] = HostLog(self._parts, job, host, self._folder / job.name / f"algo-{host}.log")
            log = self._logs[key]
        log.refresh()
        return log


class HostLog:
    """The log of one host of a job."""

    def __init__(self, parts: Parts, job: NamedJob, host: int, file: Path) -> None:
        self._parts, self._job, self._host = parts, job, host
        self.spool = Spool(file)
        self._lock = threading.Lock()
        self._follower: threading.Thread | None = None
        self._attempt_read = 0  # the last one whose container was read to its end
        self.is_whole = False  # nothing will be added

    @property
    def is_followed(self) -> bool:
        return self._follower is not None and self._follower.is_alive()

    def refresh(self) -> None:
        """Begin to follow it where it grows, or take the rest of it from the store."""
        if self.is_whole or self.is_followed:
            return
        with self._lock:
            if self.is_whole or self.is_followed:
                return
            attempt = self._attempt()
            if (container := self._container()) and attempt != self._attempt_read:
                self._follow(container, attempt)
            elif manifest := self._manifest():
                self._finish(manifest)
                self.is_whole = True

    def _container(self) -> Container | None:
        hosts = (c for c in self._parts.runtime.containers() if c.address.whole == self._job.address)
        at = self._host - 1  # algo-1 is instance 0
        return next((c for c in hosts if not c.address.is_companion and (c.address.instance or 0) == at), None)

    def _attempt(self) -> int:
        record = self._parts.records.attempts(self._job.address)
        return record.started.attempt if record and record.started else 1

    def _manifest(self) -> Manifest | None:
        return self._parts.records.manifests([self._job.address]).get(self._job.address)

    def _follow(self, container: Container, attempt: int) -> None:
        given = (container.name, attempt, self._already_read(attempt))
        self._follower = threading.Thread(target=self._read, args=given, name=f"api-log-{container.name}", daemon=True)
        self._follower.start()

    def _read(self, container_name: str, attempt: int, skip: int) -> None:
        with suppress(WorldError, OSError, ValueError):  # closed; or the next to ask begins where this one stopped
            lines = self._parts.runtime.timed_logs(container_name, follow=True)
            for at, line in islice(lines, skip, None):
                self.spool.add(int(at * 1000), shown(line))
            self._attempt_read = attempt

    def _already_read(self, attempt: int) -> int:
        """How many lines of an attempt are in the spool: those after the line of ours that begins it."""
        if attempt == 1:
            return len(self.spool)
        begun = self._lines_before(attempt)
        if begun is None:
            self.spool.add(int(time.time() * 1000), f"sagespec: attempt {attempt} begins")
            return 0
        return len(self.spool) - begun

    def _lines_before(self, attempt: int) -> int | None:
        """Up to the line that says that the attempt begins, with it; None when no line says so."""
        for line in self.spool.lines(0, len(self.spool)):
            if (found := _ATTEMPT.fullmatch(line.text)) and int(found[1]) == attempt:
                return line.number + 1
        return None

    def _finish(self, manifest: Manifest) -> None:
        """The rest, as the store has it. Times of lines are not kept there: between its start and its end they are
        spread evenly, if none are known."""
        artifact = manifest.artifacts.get(f"logs/algo-{self._host}")
        key = self._parts.records.job_key(self._job.address, artifact.key) if artifact else ""
        content = self._parts.store.read(key) if key else None
        if not content or not content[0]:
            return
        lines = content[0].decode(errors="replace").removesuffix("\n").split("\n")
        last = manifest.attempts[-1].number if manifest.attempts else 1
        begun = self._lines_before(last) if last > 1 else 0
        have = len(self.spool) - (begun or 0)
        started, ended = (int(at.timestamp() * 1000) for at in (manifest.started_at, manifest.ended_at))
        begin = self.spool.last_at if self.spool.last_at is not None else started
        for number, line in enumerate(lines[have:], start=1):
            at = begin + (ended - begin) * number // max(1, len(lines) - have)
            self.spool.add(at, line)


def _sweep(folder: Path) -> None:
    """Remove what nobody has read for long."""
    with suppress(OSError):
        for log in folder.iterdir():
            newest = max((file.stat().st_mtime for file in log.glob("*")), default=log.stat().st_mtime)
            if time.time() - newest > KEPT_SECONDS:
                shutil.rmtree(log, ignore_errors=True)


def is_active(status: Status, address: Address) -> bool:
    """Whether a job may still print something."""
    words: Mapping[Address, JobWord] = {job.address: job.state for job in status.jobs}
    return words.get(address) in ACTIVE
