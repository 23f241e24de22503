"""Whose fault the end of a job is: the algorithm's, the input's, or the platform's. Decided on values alone.

`collect` asks once all hosts have ended. The prefixes are those of SageMaker's FailureReason (AlgorithmError,
ClientError, InternalServerError); only the last is worth another attempt, as in SageMaker's RetryStrategy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel

from sagespec.contract import FAILURE_REASON_LENGTH
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Container

FROM_OUTSIDE = {137: "SIGKILL", 143: "SIGTERM"}  # process 1 of a container cannot send itself the first
_FAULT = re.compile(r"\w+Error: ")  # begins a FailureReason
UNKNOWN_CODE = 255  # what Docker says of a container that ended while it was not looking


class EndSeen(StrEnum):
    """How we came to know that a host had ended."""

    WATCHED = "watched"  # it ran, and then it did not
    UNWATCHED = "unwatched"  # it had ended when it was looked at first: nobody followed it
    AWAY = "away"  # it ended while the engine did not answer


@dataclass(frozen=True)
class HostEnd:
    """How one host ended. container: None when it vanished. failure: what its output/failure says."""

    host: str
    container: Container | None
    seen: EndSeen
    failure: str = ""
    last_lines: Sequence[str] = ()

    @property
    def exit_code(self) -> int:
        return (self.container.exit_code or 0) if self.container else 0


class Ending(BaseModel):
    """Why we stopped a job's hosts, kept in its containers so that whoever comes next judges as we would have.

    reason: of the stop, or a FailureReason where the feeders failed; '' when one host's end was it. by_themselves: the
    hosts that had ended before.
    """

    reason: str = ""
    by_themselves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """is_platforms: whether another attempt may end better."""

    status: JobStatus
    reason: str = ""
    is_platforms: bool = False


def judge(ends: Sequence[HostEnd], ending: Ending | None) -> Verdict:
    """The verdict on hosts that have all ended. Hosts that we stopped are not asked why they ended.

    The loss of one host lets the others fail in ways of their own, so the platform's fault is looked for first.
    Of several failures a ClientError tells most.
    """
    if ending and ending.reason:
        is_fault = bool(_FAULT.match(ending.reason))
        is_platforms = ending.reason.startswith("InternalServerError")
        return Verdict(JobStatus.FAILED if is_fault else JobStatus.STOPPED, ending.reason, is_platforms)
    own = [end for end in ends if ending is None or end.host in ending.by_themselves]
    fault = next((fault for end in own if (fault := _platforms_fault(end))), "")
    if fault:
        return Verdict(JobStatus.FAILED, f"InternalServerError: {fault}", is_platforms=True)
    reasons = [_failure(end) for end in own if end.exit_code]
    if not reasons:
        return Verdict(JobStatus.COMPLETED)
    reason = next((reason for reason in reasons if reason.startswith("ClientError")), reasons[0])
    return Verdict(JobStatus.FAILED, reason)


def _platforms_fault(end: HostEnd) -> str:
    """What the platform did to this host; '' when its end is its own."""
    if end.container is None:
        return f"the container of {end.host} was removed, or the engine has lost it"
    if end.seen is EndSeen.AWAY:
        return f"{end.host} ended while the engine did not answer"
    if end.container.note:  # out of memory
        return ""
    codes = [128 + number for number in end.container.signals] + [end.exit_code]
    if sent := next((FROM_OUTSIDE[code] for code in codes if code in FROM_OUTSIDE), ""):
        return f"{end.host} was ended from outside ({sent}), and not by sagespec"
    if end.exit_code == UNKNOWN_CODE and end.seen is EndSeen.UNWATCHED:
        return f"{end.host} ended with its engine or machine"
    return ""


def _failure(end: HostEnd) -> str:
    """What SageMaker calls the FailureReason: the first 1,024 characters of output/failure, or the exit code with
    the last lines."""
    if text := end.failure.strip()[:FAILURE_REASON_LENGTH]:
        return text if _FAULT.match(text) else f"AlgorithmError: {text}"
    note = f" ({end.container.note})" if end.container and end.container.note else ""
    reason = f"AlgorithmError: {end.host} exited with code {end.exit_code}{note}"
    said = "\n".join(end.last_lines)
    return f"{reason}; its last lines:\n{said}" if said else reason
