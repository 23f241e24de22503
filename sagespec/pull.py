"""Follows a branch: looks at the repository, has `decide` say what that means, and writes down what came of it.

`watch` polls in a thread beside its passes: a look ends with the tree of files that the next pass works on (`target`),
and a pass that has settled ends with what became of that commit (`ended`). Whatever goes wrong in a look, the target
stays. Killed at any line, the next run finds in the record, in the mirror and in the trees how far it came.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from sagespec.clock import Clock, RealClock
from sagespec.errors import SagespecError, SpecError
from sagespec.events import Event, EventKind, Report, silent
from sagespec.load.trees import At, read_at, write_at
from sagespec.reconcile.sources import Decision, Policy, decide
from sagespec.records.sources import SourceRecords
from sagespec.state.remote import Remote, RemoteState, Signed, Verification
from sagespec.state.source import AppliedCommit, Attempt, AttemptResult, CommitEnd, Held, Seen, SourceRecord

JITTER = 0.1


class Repository(Protocol):
    """A git repository elsewhere. Any method may raise WorldError, but for `head`, which says so."""

    def head(self) -> Remote: ...
    def fetch(self, commit: str) -> None: ...
    def descends(self, commit: str, of: str) -> bool: ...
    def tree(self, commit: str) -> Path: ...
    def has_tree(self, commit: str) -> bool: ...
    def sweep(self, *kept: str) -> None: ...


class Verifier(Protocol):
    """Who must have signed. WorldError where that cannot be known."""

    def fingerprint(self) -> str: ...
    def signed(self, commit: str, *, since: str, tag: str) -> Signed: ...


@dataclass(frozen=True)
class Target:
    """What passes work on. root: the folder of sagespec.yaml in the commit's tree."""

    commit: str
    root: Path


@dataclass
class Pull:
    """open_records: of the project in a folder. check: SpecError where the specs in a folder are wrong, or name what
    they may not. folder: where it remembers what it worked on. path: of sagespec.yaml in a tree. source: the file of
    the source. by: who follows.

    check_settings: the same of where records are kept, before there is one. gate: why a good commit has to wait, if it
    has to. changed: called with each record that is written.
    """

    repository: Repository
    open_records: Callable[[Path], SourceRecords]
    check: Callable[[Path], object]
    folder: Path
    policy: Policy = field(default_factory=Policy)
    about: SourceRecord = field(default_factory=SourceRecord)  # url, branch and environment, for people
    path: str = "."
    source: str = ""
    by: str = ""
    verifier: Verifier | None = None
    report: Report = silent
    clock: Clock = field(default_factory=RealClock)
    check_settings: Callable[[Path], object] = lambda _root: None
    gate: Callable[[str, Path], Held | None] = lambda _commit, _root: None
    changed: Callable[[SourceRecord], object] = lambda _record: None

    def __post_init__(self) -> None:
        self.target: Target | None = None
        self.remote = Remote(RemoteState.UNREACHABLE)  # as of the last look
        self.record = SourceRecord()  # as of the last look
        self.held: Held | None = None  # as of the last look
        self.problem: SagespecError | OSError | None = None  # of the last look
        self._records: SourceRecords | None = None
        self._policy = replace(self.policy, retries_wrong=True)  # in the first look
        self._signed: dict[tuple[str, str, str, str], Signed] = {}
        self._told = ""
        self._at_work = threading.Lock()
        self._nudged = threading.Event()

    # -- looks

    def look(self) -> float:
        """Look at the repository once; after how many seconds to look again. What goes wrong is told, not raised."""
        with self._at_work:
            self.problem = None
            try:
                decision = self._looked()
            except (SagespecError, OSError) as error:
                self.problem = error
                self._tell(EventKind.FAILED, str(error))
                self._keep_up()
                return self.policy.interval_seconds
            return decision.look_again_seconds

    def nudge(self) -> None:
        """Have the next look made now."""
        self._nudged.set()

    def wait_for_target(self, cancelled: threading.Event) -> Target | None:
        """Look until there is something to work on; None when cancelled before."""
        while not cancelled.is_set():
            seconds = self.look()
            if self.target:
                return self.target
            self._pause(seconds, cancelled)
        return None

    @contextmanager
    def polling(self, wake: Callable[[], object], cancelled: threading.Event) -> Iterator[None]:
        """Look every so often, and wake whoever works on the target when it is another one."""
        left = threading.Event()

        def poll() -> None:
            seconds = self.policy.interval_seconds
            while not (left.is_set() or cancelled.is_set()):
                self._pause(seconds, cancelled, left)
                before = self.target
                seconds = self.policy.interval_seconds if left.is_set() or cancelled.is_set() else self.look()
                if self.target != before:
                    wake()

        thread = threading.Thread(target=poll, name="pull", daemon=True)
        thread.start()
        try:
            yield
        finally:
            left.set()
            self._nudged.set()
            thread.join(5.0)

    def _pause(self, seconds: float, *ends: threading.Event) -> None:
        pause = seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # many machines may ask one server
        end = self.clock.monotonic() + pause
        while (left := end - self.clock.monotonic()) > 0 and not any(one.is_set() for one in ends):
            if self._nudged.wait(min(left, 0.2)):
                break
        self._nudged.clear()

    def _looked(self) -> Decision:
        remote = self.remote = self._head()
        self._remember()
        record = self._read()
        decision, verification = self._decided(remote, record)
        if decision.takes and self._records is None:
            root = self._root(remote.commit)
            self.check_settings(root)
            self._records = self.open_records(root)
            self._note(remote.commit)
            record = self._read()
            decision, verification = self._decided(self.remote, record)
        if decision.takes:
            self._take(decision, verification)
        else:
            self._stay(decision, record, verification)
        self._policy = self.policy
        return decision

    def _head(self) -> Remote:
        found, before = self.repository.head(), self.remote
        if found.state is not RemoteState.UNREACHABLE:
            return found
        return replace(found, since=before.since or self.clock.now(), looks=before.looks + 1)

    def _remember(self) -> None:
        """Once, what an earlier run worked on: it tells where the record is, though the repository be away."""
        at = read_at(self.folder) if self._records is None else None
        if at and self.repository.has_tree(at.commit):
            self._records = self.open_records(self._root(at.commit))

    def _keep_up(self) -> None:
        """What an earlier run worked on is repaired, though nothing can be said of the branch: no signers, no disk."""
        if self.target is None and self._records is not None:
            with suppress(SagespecError, OSError):
                self._serve(self._read().working)

    def _note(self, commit: str) -> None:
        write_at(self.folder, At(commit, self.path, self.policy.environment, self.source))

    def _read(self) -> SourceRecord:
        self.record = self._records.read() if self._records else SourceRecord()
        return self.record

    def _decided(self, remote: Remote, record: SourceRecord) -> tuple[Decision, Verification | None]:
        verification = None
        if remote.state is RemoteState.FOUND:
            self.repository.fetch(remote.commit)
            before = record.seen.commit if record.seen else record.working
            descends = not before or self.repository.descends(remote.commit, before)
            remote = self.remote = replace(remote, descends=descends)
            verification = self._verified(remote, record)
        return decide(remote, record, verification, self.clock.now(), self._policy), verification

    def _verified(self, remote: Remote, record: SourceRecord) -> Verification | None:
        if self.verifier is None:
            return None
        signers, applied = self.verifier.fingerprint(), record.applied
        is_applied = applied is not None and applied.commit == remote.commit
        since = applied.commit if applied and not is_applied else ""
        new = self._asked(remote.commit, since, remote.name, signers)
        before = self._asked(applied.commit, "", "", signers) if applied and applied.signers != signers else None
        return Verification(new, new if is_applied and before else before, signers)

    def _asked(self, commit: str, since: str, tag: str, signers: str) -> Signed:
        key = (commit, since, tag, signers)
        if key not in self._signed:
            assert self.verifier is not None
            self._signed[key] = self.verifier.signed(commit, since=since, tag=tag)
        return self._signed[key]

    # -- what a look leads to

    def _take(self, decision: Decision, verification: Verification | None) -> None:
        commit, root, now = decision.serves, self._root(decision.serves), self.clock.now()
        self.held = None
        signed = verification.new.by if verification else ""
        attempt = Attempt(
            commit=commit,
            environment=self.policy.environment,
            at=now,
            result=AttemptResult.APPLYING,
            verified_by=signed,
            signers=verification.signers if verification else "",
        )
        try:
            self.check(root)
        except SpecError as wrong:
            self._found_wrong(attempt, wrong)
            return
        if (held := self.gate(commit, root)) is not None:
            self._stay(Decision(self.record.working, held=held), self.record, verification)
            return
        self._supersede(self._read(), commit, now)
        seen, used = Seen(commit=commit, at=now), self._used_approval(commit)
        self._write(seen=seen, attempted=attempt, in_force=commit, held=None, **used)
        self._serve(commit)
        by = f", signed by {signed}" if signed else ""
        self._tell(EventKind.NOTE, decision.note or f"{commit[:12]} of {self.remote.name}{by}: it is applied now")

    def _used_approval(self, commit: str) -> dict[str, Any]:
        """What was approved is so once: the same change may be meant today, and not when a later commit makes it."""
        held, approved = self.record.held, self.record.approved
        if not (held and approved and approved.digest == held.digest and approved.lets_in(held.digest, commit)):
            return {}
        return {"approved": approved.model_copy(update={"used_for": commit})}

    def _found_wrong(self, attempt: Attempt, wrong: SpecError) -> None:
        """R8: nothing of it is begun, and what was in force stays so."""
        problem = wrong.problems[0]
        reason = " ".join(filter(None, (str(problem.where or ""), problem.about, problem.what.splitlines()[0])))
        before = self.record.attempted
        is_known = before is not None and (before.commit, before.reason) == (attempt.commit, reason)
        attempt = attempt.model_copy(update={"result": AttemptResult.WRONG, "reason": reason})
        if not is_known:
            self._add_end(attempt, AttemptResult.WRONG, reason)
        self._write(
            seen=Seen(commit=attempt.commit, at=attempt.at),
            attempted=before if is_known else attempt,
            in_force=self.record.working,
            held=None,
        )
        self._serve(self.record.working)
        self._tell(EventKind.FAILED, f"the specs of {attempt.commit[:12]} are wrong, and are not applied:\n{wrong}")

    def _stay(self, decision: Decision, record: SourceRecord, verification: Verification | None) -> None:
        self.held = decision.held
        changes: dict[str, Any] = {"held": decision.held}
        if decision.serves != record.working:
            changes["in_force"] = decision.serves
        applied = record.applied
        if applied and verification and verification.applied and verification.applied.is_good:
            changes["applied"] = applied.model_copy(update={"signers": verification.signers})
        if self._records is not None:
            self._write(**changes)
        self._serve(decision.serves)
        if decision.held:
            stays = f"{decision.serves[:12]} stays in force" if decision.serves else "nothing is applied"
            fix = f"\n  fix  {decision.held.fix}" if decision.held.fix else ""
            self._tell(EventKind.HELD, f"{decision.held.text}; {stays}{fix}")
        elif record.held:
            self._tell(EventKind.NOTE, f"{record.held.text}: that is over")
        elif decision.note:
            self._tell(EventKind.NOTE, decision.note)
        elif self.remote.state is RemoteState.FOUND:
            self._told = ""  # an outage that comes again is told again

    def _serve(self, commit: str) -> None:
        if not commit or (self.target and self.target.commit == commit):
            return
        root = self._root(commit)
        self._note(commit)
        self._records = self.open_records(root)  # the commit may name another store
        self.target = Target(commit, root)
        self.repository.sweep(commit, self.record.applied.commit if self.record.applied else "")

    def _root(self, commit: str) -> Path:
        return self.repository.tree(commit) / self.path

    # -- what became of a commit

    def ended(self, commit: str, result: AttemptResult, reason: str = "") -> None:
        """A pass has settled on it: APPLIED, or FAILED. What is not in force any more was superseded."""
        if self._records is None:
            return
        record = self._records.read()
        attempt, applied = record.attempted, record.applied
        if record.working != commit:
            return
        is_own = attempt is not None and attempt.commit == commit
        if attempt is None or not is_own:  # a wrong one came after it
            attempt = Attempt(commit=commit, at=self.clock.now(), result=AttemptResult.APPLYING)
        changes: dict[str, Any] = {}
        if is_own and (attempt.result, attempt.reason) != (result, reason):
            changes["attempted"] = attempt.model_copy(update={"result": result, "reason": reason})
        is_new = result is AttemptResult.APPLIED and (applied is None or applied.commit != commit)
        if is_new:
            now, by = self.clock.now(), attempt.verified_by
            changes["applied"] = AppliedCommit(commit=commit, at=now, verified_by=by, signers=attempt.signers)
        if is_new or (is_own and attempt.result is not result):
            self._add_end(attempt, result, reason)
        if changes:
            self._write(as_of=record, **changes)

    def _supersede(self, record: SourceRecord, commit: str, now: datetime) -> None:
        before, applied = record.working, record.applied.commit if record.applied else ""
        attempt = record.attempted
        if before in ("", applied, commit) or (attempt and attempt.result is AttemptResult.FAILED):
            return
        is_own = attempt is not None and attempt.commit == before
        told = attempt if attempt and is_own else Attempt(commit=before, at=now, result=AttemptResult.APPLYING)
        self._add_end(told, AttemptResult.SUPERSEDED, f"{commit[:12]} came before it was applied")

    def _add_end(self, attempt: Attempt, result: AttemptResult, reason: str) -> None:
        assert self._records is not None
        self._records.add_end(
            CommitEnd(
                number=0,
                commit=attempt.commit,
                environment=attempt.environment,
                digest=attempt.digest,
                started_at=attempt.at,
                ended_at=self.clock.now(),
                result=result,
                reason=reason,
                verified_by=attempt.verified_by,
                by=self.by,
            )
        )

    def _write(self, *, as_of: SourceRecord | None = None, **changes: Any) -> None:
        """as_of: what is known of the commit in force; nothing is written where a look has found another since."""
        assert self._records is not None
        about = {name: getattr(self.about, name) for name in ("url", "branch", "environment")}

        def changed(record: SourceRecord) -> SourceRecord:
            if as_of and (record.working, record.attempted) != (as_of.working, as_of.attempted):
                return record
            return record.model_copy(update={**about, **changes})

        self.record = self._records.change(changed)
        with suppress(SagespecError, OSError):  # a forge or hook that is told is not what is followed
            self.changed(self.record)

    def _tell(self, kind: EventKind, text: str) -> None:
        """Once, as long as nothing else is to be told."""
        if text != self._told:
            self._told = text
            self.report(
                Event(kind, "source", text, action="pull" if kind is EventKind.FAILED else "", at=self.clock.now())
            )
