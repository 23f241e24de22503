"""Whose fault the end of a job is: the algorithm's, the input's, or the platform's. Decided on values alone.

`collect` asks once all hosts have ended. Only the platform's faults are worth another attempt, as in SageMaker's
RetryStrategy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel

from sagespec.contract import FAILURE_REASON_LENGTH
from sagespec.state.faults import OUT_OF_MEMORY, Fault, FaultKind
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Container

FROM_OUTSIDE = {137: "SIGKILL", 143: "SIGTERM"}  # process 1 of a container cannot send itself the first
SIGNALS = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}
UNKNOWN_CODE = 255  # what Docker reports for a container that ended while it was not watching


class EndSeen(StrEnum):
    """How we found out that a host had ended."""

    WATCHED = "watched"  # we saw it running, then ended
    UNWATCHED = "unwatched"  # it had already ended when first polled: nobody was following it
    AWAY = "away"  # it ended while the engine did not answer


@dataclass(frozen=True)
class HostEnd:
    """How one host ended. container: None if it vanished. failure: the content of its output/failure. unrun: why its
    program never ran."""

    host: str
    container: Container | None
    seen: EndSeen
    failure: str = ""
    last_lines: Sequence[str] = ()
    unrun: str = ""

    @property
    def exit_code(self) -> int:
        return (self.container.exit_code or 0) if self.container else 0


class Ending(BaseModel):
    """Why we stopped a job's hosts, kept in its containers so that whoever follows it next reaches the same verdict.

    reason: the text of the stop's fault, or of the feeders'; '' if a host had ended in a way that made the others
    useless. The field is the same in every release, so an upgrade in the grace period loses no verdict.
    by_themselves: the hosts that had already ended on their own.
    """

    reason: str = ""
    by_themselves: tuple[str, ...] = ()

    @property
    def fault(self) -> Fault | None:
        return (Fault.read(self.reason) or Fault(FaultKind.OTHER, self.reason)) if self.reason else None


@dataclass(frozen=True)
class Verdict:
    """is_platforms: whether another attempt may succeed."""

    status: JobStatus
    fault: Fault | None = None
    is_platforms: bool = False

    @property
    def reason(self) -> str:
        """As the manifest says it; '' when the job completed."""
        return str(self.fault or "")


def judge(ends: Sequence[HostEnd], ending: Ending | None) -> Verdict:
    """The verdict on hosts that have all ended. Hosts that we stopped are not asked why they ended.

    When one host is lost, the others may fail in ways of their own, so the platform's fault is looked for first.
    Of several failures a ClientError says most, and so does a host that ran out of memory: the others miss it.
    """
    if ending and ending.fault:
        kind = ending.fault.kind
        status = JobStatus.STOPPED if kind.is_stop else JobStatus.FAILED
        return Verdict(status, ending.fault, is_platforms=kind is FaultKind.INTERNAL)
    own = [end for end in ends if ending is None or end.host in ending.by_themselves]
    if reason := next(filter(None, map(_platforms_fault, own)), ""):
        return Verdict(JobStatus.FAILED, Fault(FaultKind.INTERNAL, reason), is_platforms=True)
    failures = [_failure(end) for end in own if end.exit_code]
    if not failures:
        return Verdict(JobStatus.COMPLETED)
    return Verdict(JobStatus.FAILED, next(filter(_says_most, failures), failures[0]))


def _says_most(failure: Fault) -> bool:
    return failure.kind is FaultKind.CLIENT or failure.reason.startswith(f"{OUT_OF_MEMORY}:")


def _platforms_fault(end: HostEnd) -> str:
    """What the platform did to this host; '' when its end is its own."""
    if end.container is None:
        return f"the container of {end.host} was removed, or the engine has lost it"
    if end.container.is_lost:
        return _how_lost(end.host, end.container)
    if end.seen is EndSeen.AWAY:
        return f"{end.host} ended while the engine did not answer"
    if end.container.note:  # out of memory
        return ""
    codes = [128 + number for number in end.container.signals] + [end.exit_code]
    if sent := next((FROM_OUTSIDE[code] for code in codes if code in FROM_OUTSIDE), ""):
        hint = "; the kernel does that when memory runs short" if sent == "SIGKILL" else ""
        return f"{end.host} was ended from outside ({sent}), and not by sagespec{hint}"
    if end.exit_code == UNKNOWN_CODE and end.seen is EndSeen.UNWATCHED:
        return f"{end.host} ended with its engine or machine"
    return ""


def _how_lost(host: str, container: Container) -> str:
    """Nobody can say how it ended, but perhaps with what."""
    note = container.last_exit.note if container.last_exit else ""
    if note:
        return f"{host} was lost: {note}"
    return f"{host} ended with its engine or machine" + (f" ({container.node})" if container.node else "")


def _failure(end: HostEnd) -> Fault:
    """What SageMaker calls the FailureReason: the first 1,024 characters of output/failure, or the exit code with
    the last lines. What the engine knows comes first, since a program that ran out of memory seldom knows it."""
    note = _note_of(end.container)
    if text := end.failure.strip():
        fault = Fault.read(text)
        if not fault or fault.kind.is_stop:
            fault = Fault(FaultKind.ALGORITHM, text)
    elif end.unrun:
        fault = Fault(FaultKind.ALGORITHM, f"{end.host} could not run its program: {end.unrun}")
    else:
        said = "\n".join(end.last_lines)
        reason = f"{end.host} {exit_text(end.exit_code)}" + (f"; its last lines:\n{said}" if said else "")
        fault = Fault(FaultKind.ALGORITHM, reason)
    if note and fault.kind is FaultKind.OTHER:
        first, line_end, rest = fault.reason.partition("\n")
        fault = Fault(FaultKind.OTHER, f"{first} ({note}){line_end}{rest}")
    elif note:
        fault = Fault(fault.kind, f"{note}; {fault.reason}")
    return Fault(fault.kind, _shortened(fault.reason)) if end.failure.strip() else fault


def _note_of(container: Container | None) -> str:
    """What the engine says of the end, with the limit where memory ran out."""
    note = container.note if container else ""
    if container is None or note != OUT_OF_MEMORY:
        return note
    if container.memory:
        return f"{OUT_OF_MEMORY}: the limit is {container.memory >> 20} MiB"
    return f"{OUT_OF_MEMORY}: it has no limit of its own, so the engine has too little"


def _shortened(text: str) -> str:
    return text if len(text) <= FAILURE_REASON_LENGTH else text[: FAILURE_REASON_LENGTH - 1] + "…"


def exit_text(code: int) -> str:
    """
    >>> exit_text(3), exit_text(139)
    ('exited with code 3', 'exited with code 139 (SIGSEGV)')
    """
    name = SIGNALS.get(code - 128, "")
    return f"exited with code {code} ({name})" if name else f"exited with code {code}"
