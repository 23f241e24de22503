"""What is true of each commit of a followed branch, in a forge's words. Pure.

Every end of a commit is shown, the bad ones first of all: specs that were wrong, an apply that failed, a commit that
came too late or that nobody may apply yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sagespec.state.source import AttemptResult, CommitEnd, Held, HeldReason, SourceRecord
from sagespec.state.suspension import PROJECT, Suspension

LONGEST_TEXT = 140  # GitHub refuses more
MOST_KEPT = 20  # commits of which it is remembered what the forge was told


class CommitState(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True)
class CommitStatus:
    """text: one line, for people. is_begun: whether it was deployed, or is being."""

    commit: str
    state: CommitState
    text: str
    is_begun: bool = True

    @property
    def key(self) -> str:
        """What is told once: a state that ends, and of one that lasts, why it does."""
        return self.state.value if self.state is not CommitState.PENDING else f"pending: {self.text}"


_RESULTS = {
    AttemptResult.APPLYING: (CommitState.PENDING, "is being applied"),
    AttemptResult.APPLIED: (CommitState.SUCCESS, "everything is up to date"),
    AttemptResult.FAILED: (CommitState.FAILURE, "failed"),
    AttemptResult.WRONG: (CommitState.FAILURE, "its specs are wrong"),
    AttemptResult.SUPERSEDED: (CommitState.ERROR, "not applied"),
}


def statuses(
    record: SourceRecord, deploys: Iterable[CommitEnd] = (), suspensions: Sequence[Suspension] = ()
) -> tuple[CommitStatus, ...]:
    """One for each commit that is known, what is known best of it. deploys: the newest attempts, in any order."""
    found = {deploy.commit: _status(deploy.commit, deploy.result, deploy.reason) for deploy in _oldest_first(deploys)}
    if attempt := record.attempted:
        status = _status(attempt.commit, attempt.result, attempt.reason)
        whole = next((one for one in suspensions if one.about == PROJECT), None)
        if attempt.result is AttemptResult.APPLYING and whole:
            status = CommitStatus(attempt.commit, CommitState.PENDING, shortened(f"waits: {whole.text}"))
        found[attempt.commit] = status
    if record.held and record.held.commit and record.held.reason is not HeldReason.BRANCH_GONE:
        found[record.held.commit] = _held(record.held)
    return tuple(found.values())


def untold(found: Iterable[CommitStatus], reported: Mapping[str, str]) -> tuple[CommitStatus, ...]:
    """Those that the forge was not told, or was told otherwise."""
    return tuple(status for status in found if reported.get(status.commit) != status.key)


def with_told(reported: Mapping[str, str], status: CommitStatus) -> dict[str, str]:
    """What the forge was told by now: of the newest commits alone."""
    others = {commit: key for commit, key in reported.items() if commit != status.commit}
    kept = list(others.items())[-(MOST_KEPT - 1) :]
    return {**dict(kept), status.commit: status.key}


def shortened(text: str) -> str:
    """One line that a forge takes."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"


def _oldest_first(deploys: Iterable[CommitEnd]) -> list[CommitEnd]:
    return sorted(deploys, key=lambda deploy: deploy.number)


def _status(commit: str, result: AttemptResult, reason: str) -> CommitStatus:
    state, words = _RESULTS[result]
    is_begun = result is not AttemptResult.WRONG
    return CommitStatus(commit, state, shortened(f"{words}: {reason}" if reason else words), is_begun)


def _held(held: Held) -> CommitStatus:
    if held.reason is HeldReason.APPROVAL:
        return CommitStatus(held.commit, CommitState.PENDING, shortened(held.text), is_begun=False)
    return CommitStatus(held.commit, CommitState.ERROR, shortened(f"{held.reason}: {held.text}"), is_begun=False)
