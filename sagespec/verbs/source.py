"""A project that is made from a branch of a repository: watched, or brought up to date once.

What the source says becomes a `Pull`, in `sourced`: a mirror below the state folder, signers, bounds for what a commit
may name. The passes are those of `watch` and `apply`; before each, the project moves to the tree of the commit that is
in force.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sagespec.converge import Converged
from sagespec.errors import Problem, SagespecError
from sagespec.events import Report
from sagespec.parts import Parts
from sagespec.passes import Run
from sagespec.pull import Pull
from sagespec.reconcile.options import Options
from sagespec.records.lock import PATIENCE_SECONDS
from sagespec.records.sources import SourceRecords
from sagespec.spec.source import Source
from sagespec.state.remote import RemoteState
from sagespec.state.source import AttemptResult, CommitEnd, SourceRecord
from sagespec.verbs import apply
from sagespec.verbs.plan import load_specs
from sagespec.verbs.proposals import Proposal, Proposing
from sagespec.verbs.proposing import of_source
from sagespec.verbs.sourced import Sourced
from sagespec.verbs.watch import watch
from sagespec.verbs.way import curl_to


class _Passes:
    """Keeps a project at the commit in force, and tells what became of it."""

    def __init__(self, parts: Parts, pull: Pull, sourced: Sourced) -> None:
        self.parts, self._pull, self._sourced = parts, pull, sourced
        self._commit = pull.target.commit if pull.target else ""
        self._told = ("", AttemptResult.APPLYING, "")

    def move(self) -> None:
        target = self._pull.target
        if target is not None:
            self.parts.move_to(target.root)
            self._commit = target.commit

    def record(self) -> SourceRecord:
        return self._pull.record

    def proposing(self, body: Callable[[Proposal], str]) -> Proposing:
        return of_source(self._sourced, body, self._pull.record.working)

    def polling(self, wake: Callable[[], object], cancelled: threading.Event) -> AbstractContextManager[None]:
        return self._pull.polling(wake, cancelled)

    def settled(self, run: Run) -> None:
        problems = Converged.of(run).problems
        if problems:
            self._tell(AttemptResult.FAILED, _first(problems))
        elif not (run.plan.actions or run.waits or run.waits_for_others):
            self._tell(AttemptResult.APPLIED)

    def ended(self, done: Converged) -> None:
        if done.ok:
            self._tell(AttemptResult.APPLIED)
        elif not done.cancelled and done.problems:
            self._tell(AttemptResult.FAILED, _first(done.problems))

    def _tell(self, result: AttemptResult, reason: str = "") -> None:
        """Once; where the store is away, when passes settle next."""
        told = (self._commit, result, reason)
        if told != self._told:
            with suppress(SagespecError, OSError):
                self._pull.ended(*told)
                self._told = told


def _first(problems: Sequence[Problem]) -> str:
    about = f"{problems[0].about}: " if problems[0].about else ""
    return about + problems[0].what.splitlines()[0]


def watch_source(
    sourced: Sourced,
    options: Options,
    *,
    report: Report,
    cancelled: threading.Event,
    every_seconds: float,
    body: Callable[[Proposal], str] | None = None,
) -> None:
    """Apply what the branch has, as it changes, and repair what serves, until cancelled. body: of the pull requests
    that it opens for models that are trained."""
    pull, mirror = sourced.pull(report), sourced.mirror
    with mirror.claimed(), sourced.told(pull, report):
        target = pull.wait_for_target(cancelled)
        if target is None:
            return
        with _opened(sourced, target.root) as parts:
            watch(
                parts,
                _with_prune(options, sourced.source),
                report=report,
                cancelled=cancelled,
                every_seconds=every_seconds,
                pulled=_Passes(parts, pull, sourced),
                body=body,
            )


@dataclass(frozen=True)
class Once:
    """How one look and its passes ended. done: None where there was nothing to work on. urls, curl: how the endpoints
    are called."""

    record: SourceRecord
    done: Converged | None = None
    problems: tuple[Problem, ...] = ()
    urls: Mapping[str, str] = field(default_factory=dict)
    curl: str = ""

    @property
    def ok(self) -> bool:
        return self.done is not None and self.done.ok and not self.problems


def apply_once(
    sourced: Sourced,
    options: Options,
    *,
    report: Report,
    cancelled: threading.Event,
    wait_for_lock_seconds: float = PATIENCE_SECONDS,
) -> Once:
    """Look at the branch once, and apply what it has; what serves is repaired where there is nothing new, too."""
    pull = sourced.pull(report)
    with sourced.mirror.claimed(), sourced.told(pull, report):
        pull.look()
        if pull.target is None:
            return Once(pull.record, problems=_why_not(pull) or (Problem("there is nothing to apply"),))
        with _opened(sourced, pull.target.root) as parts:
            passes = _Passes(parts, pull, sourced)
            done = apply.apply(
                parts,
                _with_prune(options, sourced.source),
                report=report,
                cancelled=cancelled,
                wait_for_lock_seconds=wait_for_lock_seconds,
            )
            passes.ended(done)
            urls = {
                item.address.name: f"{parts.gateway_url}/endpoints/{item.address.name}/invocations"
                for item in load_specs(parts).specs
                if item.address.kind == "endpoint"
            }
            return Once(pull.record, done, _why_not(pull), urls, curl_to(parts.settings.gateway))


def _why_not(pull: Pull) -> tuple[Problem, ...]:
    """Why what the branch has is not what is applied."""
    match pull.problem:
        case SagespecError() as error:
            return error.problems
        case OSError() as error:
            return (Problem(str(error)),)
    if pull.held is not None:
        return (Problem(f"{pull.held.text}; it is held", "source", fix=pull.held.fix),)
    if pull.remote.state is RemoteState.UNREACHABLE:
        return (Problem(f"the repository does not answer: {pull.remote.text}", "source"),)
    attempted = pull.record.attempted
    if attempted is not None and attempted.result is AttemptResult.WRONG and attempted.commit == pull.remote.commit:
        return (Problem(f"the specs of {attempted.commit[:12]} are wrong: {attempted.reason}", "source"),)
    return ()


@contextmanager
def _opened(sourced: Sourced, root: Path) -> Iterator[Parts]:
    parts = sourced.parts(root)
    try:
        yield parts
    finally:
        parts.close()


def _with_prune(options: Options, source: Source) -> Options:
    return replace(options, prune=options.prune or source.prune)


@dataclass(frozen=True)
class SourceState:
    """What the store knows of a branch that is followed. ends: the newest attempts, newest first."""

    record: SourceRecord
    ends: tuple[CommitEnd, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing keeps the branch's commit from being applied."""
        attempted = self.record.attempted
        ended_badly = attempted is not None and attempted.result in (AttemptResult.FAILED, AttemptResult.WRONG)
        return self.record.held is None and not ended_badly

    def as_json(self) -> dict[str, Any]:
        ends = [end.model_dump(mode="json") for end in self.ends]
        return {**self.record.model_dump(mode="json"), "ends": ends}


def source_state(records: SourceRecords, *, most: int = 10) -> SourceState:
    return SourceState(records.read(), records.ends(most))
