"""A project that is made from a branch of a repository: watched, or brought up to date once.

What the source says becomes a `Pull`: a mirror below the state folder, signers, bounds for what a commit may name. The
passes are those of `watch` and `apply`; before each, the project moves to the tree of the commit that is in force.
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sagespec.converge import Converged
from sagespec.errors import Problem, SagespecError, SpecError
from sagespec.events import Report, silent
from sagespec.load.confined import Bounds, out_of_bounds, settings_out_of_bounds, unreadable
from sagespec.load.trees import placed, read_at
from sagespec.parts import Parts
from sagespec.passes import Run
from sagespec.pull import Pull
from sagespec.reconcile.options import Options
from sagespec.reconcile.sources import Policy
from sagespec.records.holder import who_is_here
from sagespec.records.lock import PATIENCE_SECONDS
from sagespec.records.sources import SourceRecords
from sagespec.repository.commands import GitCommand, GitRefused, protocol_of
from sagespec.repository.mirror import Follow, Mirror
from sagespec.repository.signatures import Signers
from sagespec.secrets.secrets import Secrets
from sagespec.spec.runtimes import RuntimeChoice
from sagespec.spec.source import Source
from sagespec.state.remote import RemoteState, Signed
from sagespec.state.source import AttemptResult, CommitEnd, SourceRecord, source_command
from sagespec.verbs import apply
from sagespec.verbs.approving import gate
from sagespec.verbs.plan import desired_of, load_specs
from sagespec.verbs.reporting import reporting
from sagespec.verbs.watch import watch
from sagespec.verbs.way import curl_to
from sagespec.webhook import hearing


@dataclass(frozen=True)
class Sourced:
    """A source, and where it is used. base: the folder that its relative paths start at. home: of the state."""

    source: Source
    base: Path
    home: Path
    runtime: RuntimeChoice | None = None
    file: Path | None = None

    @classmethod
    def at(
        cls,
        source: Source,
        base: Path,
        *,
        state_dir: Path | None = None,
        runtime: RuntimeChoice | None = None,
        file: Path | None = None,
    ) -> Sourced:
        """state_dir: in place of the source's own, or of the usual one. file: of the source, if it has one."""
        if state_dir is None and source.state_dir is not None:
            state_dir = base / source.state_dir
        return cls(source, base, (state_dir or usual_state_dir(source.name)).absolute(), runtime, file)

    def command(self, words: str) -> str:
        """How a person calls `sagespec source` about it: words stands for the rest."""
        if self.file is None:
            return f"sagespec -C {shlex.quote(str(self.home))} source {words}"
        usual = Sourced.at(self.source, self.base).home
        elsewhere = "" if self.home == usual else f" --state-dir {shlex.quote(str(self.home))}"
        return f"{source_command(words)} --source {shlex.quote(str(self.file.absolute()))}{elsewhere}"

    def parts(self, root: Path) -> Parts:
        secrets = {name: placed(secret, self.base) for name, secret in self.source.secrets.items()}
        environment = self.source.environment or ""
        return Parts(root, (), self.runtime, state_dir=self.home, environment=environment, secrets=secrets)

    def records(self, root: Path) -> SourceRecords:
        parts = self.parts(root)
        return SourceRecords(parts.store, parts.settings.name)

    @property
    def mirror(self) -> Mirror:
        source, url = self.source, self.source.url
        if protocol_of(url) == "file" and "://" not in url:
            url = str(self.base / url)
        key = source.credentials.ssh_key
        git = GitCommand(
            url,
            token=self._token,
            askpass=self.home / "askpass",
            ssh_key=str(self.base / key) if key else "",
        )
        return Mirror(git, self.home, Follow(source.branch, source.tag or ""))

    def _token(self) -> str:
        name = self.source.credentials.secret
        return self.secret(name) if name else ""

    def secret(self, name: str) -> str:
        """As it is now."""
        return self._secrets.open(name)

    @cached_property
    def _secrets(self) -> Secrets:
        """One for all who ask: pushes that anybody may send run no command and ask no AWS each."""
        return Secrets(self.source.secrets, self.base, bytes)

    def parts_before(self) -> Parts | None:
        """Of the commit that was worked on last, if there is one."""
        root = self.root_before()
        return self.parts(root) if root else None

    @contextmanager
    def told(self, pull: Pull, report: Report) -> Iterator[None]:
        """While the block lasts the forge is told what becomes of commits, and tells of pushes."""
        hook = self.source.webhook
        pushes = hearing(hook, lambda: self.secret(hook.secret.name), pull.nudge) if hook else nullcontext()
        with pushes, reporting(self.source, pull, self.parts_before, self.secret, report):
            yield

    def pull(self, report: Report = silent) -> Pull:
        source, mirror = self.source, self.mirror
        environment = source.environment or ""
        return Pull(
            mirror,
            self.records,
            self.check,
            self.home,
            policy=Policy(source.follows_rewrites, source.interval, environment, command=self.command),
            about=SourceRecord(url=source.url, branch=source.tag or source.branch, environment=environment),
            path=source.path,
            source=str(self.file.absolute()) if self.file else "",
            by=who_is_here(),
            verifier=self._verifier(mirror),
            report=report,
            check_settings=self.check_settings,
            gate=gate(self.parts, source.approve.asks, prune=source.prune, command=self.command),
        )

    def _verifier(self, mirror: Mirror) -> _Verifier | None:
        verify = self.source.verify
        if verify is None:
            return None
        merges = self.base / verify.merge_signers if verify.merge_signers else None
        return _Verifier(mirror, Signers(self.base / verify.signers, merges, verify.mode))

    def check(self, root: Path) -> None:
        """SpecError where the specs in a tree are wrong, or name what a commit may not."""
        bounds = self._bounds(root)
        if problems := unreadable(root, bounds):
            raise SpecError(problems)
        parts = self.parts(root)
        loaded = load_specs(parts)
        if problems := out_of_bounds(loaded, bounds):
            raise SpecError(problems)
        if (before := self._name_before()) not in ("", parts.settings.name):
            raise SpecError(
                f"the project is now called {parts.settings.name}; it was {before}",
                why="its containers and records carry its name",
                fix="restore the name; another project is another source, with a state folder of its own",
            )
        desired_of(parts, loaded, check_paths=True)

    def check_settings(self, root: Path) -> None:
        """The same of sagespec.yaml alone, which says where the record of all else is kept."""
        if problems := settings_out_of_bounds(root, self._bounds(root)):
            raise SpecError(problems)

    def _bounds(self, root: Path) -> Bounds:
        return Bounds(self.source, _top(root, self.source.path), self.home)

    def _name_before(self) -> str:
        root = self.root_before()
        return self.parts(root).settings.name if root else ""

    def records_before(self) -> SourceRecords:
        """SpecError before anything was applied here."""
        root = self.root_before()
        if root is None:
            raise SpecError(
                f"nothing of {self.source.name} was applied from {self.home}",
                fix="see what `sagespec sync --source` says, or name its folder with --state-dir",
            )
        return self.records(root)

    def root_before(self) -> Path | None:
        """The folder of sagespec.yaml that was worked on last."""
        at = read_at(self.home)
        root = at.root_in(self.home) if at else None
        return root if root and root.is_dir() else None


def usual_state_dir(name: str) -> Path:
    above = os.environ.get("XDG_STATE_HOME", "")
    return (Path(above) if above.startswith("/") else Path.home() / ".local" / "state") / "sagespec" / name


def _top(root: Path, path: str) -> Path:
    """The tree's own folder."""
    return root.parents[len(Path(path).parts) - 1] if Path(path).parts else root


@dataclass(frozen=True)
class _Verifier:
    mirror: Mirror
    signers: Signers

    def fingerprint(self) -> str:
        return self.signers.fingerprint()

    def signed(self, commit: str, *, since: str, tag: str) -> Signed:
        try:
            return self.signers.signed(self.mirror.here, commit, since=since, tag=tag)
        except GitRefused as error:
            return Signed(problem=f"has signatures that cannot be checked: {error.said or error}", commit=commit)


class _Passes:
    """Keeps a project at the commit in force, and tells what became of it."""

    def __init__(self, parts: Parts, pull: Pull) -> None:
        self.parts, self._pull = parts, pull
        self._commit = pull.target.commit if pull.target else ""
        self._told = ("", AttemptResult.APPLYING, "")

    def move(self) -> None:
        target = self._pull.target
        if target is not None:
            self.parts.move_to(target.root)
            self._commit = target.commit

    def record(self) -> SourceRecord:
        return self._pull.record

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
    sourced: Sourced, options: Options, *, report: Report, cancelled: threading.Event, every_seconds: float
) -> None:
    """Apply what the branch has, as it changes, and repair what serves, until cancelled."""
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
                pulled=_Passes(parts, pull),
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
            passes = _Passes(parts, pull)
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
