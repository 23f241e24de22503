"""How far a project has come with the branch that it follows, as the store keeps it: <project>/source.json.

`reconcile.sources` decides by it what to do with a commit, `pull` writes it, and whoever tells people of it (`source
status`, the forge) reads it. Fields that a later release adds have defaults, so that each reads the other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from sagespec.state.manifest import Record

SOURCE_FORMAT = 1


class AttemptResult(StrEnum):
    """How far a commit has come. Only WRONG and SUPERSEDED are final: what FAILED is tried again as ever."""

    APPLYING = "applying"
    APPLIED = "applied"
    FAILED = "failed"  # the world: an instance that never became healthy, a job that failed
    WRONG = "wrong"  # its specs: nothing of it was begun, and the commit before stays in force
    SUPERSEDED = "superseded"  # by a newer commit, before it was applied


class HeldReason(StrEnum):
    """Why a commit is not applied, though it is what the branch has."""

    BRANCH_GONE = "branch-gone"
    REWRITTEN = "rewritten"
    UNVERIFIED = "unverified"
    APPROVAL = "approval"


def source_command(words: str) -> str:
    """How a person calls `sagespec source`, where nothing tells which project is meant."""
    return f"sagespec source {words}"


class Seen(Record):
    """The newest commit that was fit to be applied: verified, and a descendant of the one before or accepted."""

    commit: str
    at: datetime


class Attempt(Record):
    """The newest commit that was begun, or found wrong. digest: of its plan, '' where none was made before.

    verified_by, signers: as of an applied one.
    """

    commit: str
    environment: str = ""
    digest: str = ""
    at: datetime
    result: AttemptResult
    reason: str = ""
    verified_by: str = ""
    signers: str = ""


class AppliedCommit(Record):
    """The newest commit of which everything was up to date. verified_by: whose signature it has, '' where none is asked
    for. signers: the fingerprint of the file of signers that it was verified with."""

    commit: str
    at: datetime
    verified_by: str = ""
    signers: str = ""


class Held(Record):
    """A commit that is not applied. text: what is wrong, and fix: what to do, for people."""

    reason: HeldReason
    commit: str
    since: datetime
    text: str = ""
    fix: str = ""
    digest: str = ""  # of the plan that waits for approval
    plan: tuple[str, ...] = ()  # its lines


class Approval(Record):
    """Somebody wants exactly this plan applied, once. used_for: the commit that it let in; '' for none yet."""

    digest: str
    by: str
    at: datetime
    used_for: str = ""

    def lets_in(self, digest: str, commit: str) -> bool:
        return self.digest == digest and self.used_for in ("", commit)


class Acceptance(Record):
    """Somebody wants this commit, though it is no descendant of the one before."""

    commit: str
    by: str
    at: datetime


class Unreported(Record):
    """That the forge does not show what became of commits: it is away, or refuses."""

    since: datetime
    why: str


class SourceRecord(Record):
    """in_force: the commit whose specs the passes work on: begun or applied, and not found wrong.

    reported: by commit, the last state that its forge was told. unreported: since when, and why, it takes none.
    """

    format: int = SOURCE_FORMAT
    url: str = ""
    branch: str = ""
    environment: str = ""
    seen: Seen | None = None
    in_force: str = ""
    attempted: Attempt | None = None
    applied: AppliedCommit | None = None
    held: Held | None = None
    approved: Approval | None = None
    accepted: Acceptance | None = None
    reported: Mapping[str, str] = Field(default_factory=dict)
    unreported: Unreported | None = None

    @property
    def working(self) -> str:
        """The commit in force; '' before the first."""
        begun = self.attempted
        if self.in_force or begun is None or begun.result is AttemptResult.WRONG:
            return self.in_force or (self.applied.commit if self.applied else "")
        return begun.commit


def unreported(record: SourceRecord, why: str, now: datetime) -> Unreported | None:
    """What is so from now on; it is so since it began. why: '' where the forge takes what it is told."""
    since = record.unreported.since if record.unreported else now
    return Unreported(since=since, why=why) if why else None


class CommitEnd(Record):
    """How one commit fared, a line of history: <project>/deploys/<number>.json."""

    number: int
    commit: str
    environment: str = ""
    digest: str = ""
    started_at: datetime
    ended_at: datetime
    result: AttemptResult
    reason: str = ""
    verified_by: str = ""
    by: str = ""
