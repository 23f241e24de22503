"""What to do with a commit of the branch that a project follows: R1 to R10 of docs/pull.md, in one pure function.

`pull` looks at the repository, has `decide` say what that means, and writes down what comes of it. Nothing here removes
anything: a repository that does not answer, a branch that is gone and a commit that is not to be trusted all leave in
force what was there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sagespec.display import second_text
from sagespec.state.remote import Remote, RemoteState, Signed, Verification
from sagespec.state.source import AttemptResult, Held, HeldReason, SourceRecord, source_command

LONGEST_PAUSE_SECONDS = 600.0  # between looks at a repository that does not answer
TOLD_AFTER_LOOKS = 3


@dataclass(frozen=True)
class Policy:
    """What the source says. follows_rewrites: whether a commit that does not follow the last one is applied, too.

    retries_wrong: whether one whose specs were wrong is looked at once more: this sagespec may know more. command: how
    a person calls `sagespec source` about it.
    """

    follows_rewrites: bool = True
    interval_seconds: float = 60.0
    environment: str = ""
    retries_wrong: bool = False
    command: Callable[[str], str] = source_command


@dataclass(frozen=True)
class Decision:
    """serves: the commit whose specs are in force, '' for none yet. takes: whether it is a new one, to be begun.

    held: why what the repository has is not applied. note: for people, told when it changes. look_again_seconds: until
    the next look at the repository.
    """

    serves: str
    takes: bool = False
    held: Held | None = None
    note: str = ""
    look_again_seconds: float = 60.0


def decide(
    remote: Remote, record: SourceRecord, verification: Verification | None, now: datetime, policy: Policy = Policy()
) -> Decision:
    """verification: None where no signatures are asked for, or where there is no commit to look at."""
    stays = Decision(record.working, held=record.held, look_again_seconds=policy.interval_seconds)
    match remote.state:
        case RemoteState.UNREACHABLE:
            return _unreachable(remote, stays, policy)
        case RemoteState.GONE:
            text = f"the repository has no {remote.name}" + (" any more" if record.working else "")
            fix = "push it again, or name another in the source"
            held = _held(record, HeldReason.BRANCH_GONE, record.working, now, text=text, fix=fix)
            return _with(stays, held)
        case RemoteState.FOUND:
            return _found(remote, record, verification, now, policy)


def _unreachable(remote: Remote, stays: Decision, policy: Policy) -> Decision:
    """R2: what is in force stays so, and is repaired; the repository is asked less and less often."""
    pause = min(policy.interval_seconds * 2 ** min(max(remote.looks - 1, 0), 16), LONGEST_PAUSE_SECONDS)
    pause = max(pause, policy.interval_seconds)
    since = f" since {second_text(remote.since)}" if remote.since else ""
    is_told = remote.looks >= TOLD_AFTER_LOOKS
    note = f"the repository does not answer{since}: {remote.text}" if is_told else ""
    return Decision(stays.serves, held=stays.held, note=note, look_again_seconds=pause)


def _found(
    remote: Remote, record: SourceRecord, verification: Verification | None, now: datetime, policy: Policy
) -> Decision:
    serves, signed = record.working, verification.new if verification else Signed()
    stays = Decision(serves, look_again_seconds=policy.interval_seconds)
    if _is_known(remote.commit, record, policy):
        if signed.is_good:
            return _with(stays, _not_trusted_now(record, verification, now))
        # R7: whoever signed it is no signer any more. What it has made stays; what it has only begun ends.
        trusted = record.applied.commit if record.applied else ""
        return _with(Decision(trusted, look_again_seconds=policy.interval_seconds), _unverified(record, signed, now))
    is_accepted = record.accepted is not None and record.accepted.commit == remote.commit
    if not (remote.descends or policy.follows_rewrites or is_accepted):
        return _with(stays, _rewritten(remote, record, now, policy))
    if not signed.is_good:
        return _with(stays, _unverified(record, signed, now))
    note = "" if remote.descends or is_accepted else f"the history was rewritten: {_short(remote.commit)} is followed"
    return Decision(remote.commit, takes=True, note=note, look_again_seconds=policy.interval_seconds)


def _is_known(commit: str, record: SourceRecord, policy: Policy) -> bool:
    """R1, R8: whether it is in force, or was found wrong, in this environment. Each commit is taken once."""
    begun = record.attempted
    if begun is not None and begun.commit == commit:
        if begun.environment != policy.environment:
            return False
        if begun.result is AttemptResult.WRONG and commit != record.working:
            return not policy.retries_wrong
    return record.working == commit


def _not_trusted_now(record: SourceRecord, verification: Verification | None, now: datetime) -> Held | None:
    """R7: the signers have changed, and the commit in force is not by one of them."""
    applied = verification.applied if verification else None
    is_in_force = record.applied is not None and record.applied.commit == record.working
    if applied is None or applied.is_good or not is_in_force:
        return None
    return _unverified(record, applied, now)


def _unverified(record: SourceRecord, signed: Signed, now: datetime) -> Held:
    fix = "have it signed by one of the signers, and push; or add its signer to the file that `verify` names"
    text = f"{_short(signed.commit)} {signed.problem}"
    return _held(record, HeldReason.UNVERIFIED, signed.commit, now, text=text, fix=fix)


def _rewritten(remote: Remote, record: SourceRecord, now: datetime, policy: Policy) -> Held:
    before = record.seen.commit if record.seen else record.working
    text = f"the history was rewritten: {_short(remote.commit)} does not follow {_short(before)}"
    fix = f"if that is meant: {policy.command(f'accept {remote.commit}')}"
    return _held(record, HeldReason.REWRITTEN, remote.commit, now, text=text, fix=fix)


def _held(record: SourceRecord, reason: HeldReason, commit: str, now: datetime, *, text: str, fix: str) -> Held:
    """Since when it is so: as long as it is for the same reason, of the same commit."""
    before = record.held
    is_same = before is not None and (before.reason, before.commit) == (reason, commit)
    return Held(reason=reason, commit=commit, since=before.since if before and is_same else now, text=text, fix=fix)


def _with(decision: Decision, held: Held | None) -> Decision:
    return Decision(decision.serves, held=held, look_again_seconds=decision.look_again_seconds)


def _short(commit: str) -> str:
    return commit[:12]
