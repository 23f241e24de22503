"""A source and where it is used, as a `Pull`: a mirror below the state folder, signers, bounds for what a commit may
name."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sagespec.errors import SpecError
from sagespec.events import Report, silent
from sagespec.load.confined import Bounds, out_of_bounds, settings_out_of_bounds, unreadable
from sagespec.load.trees import placed, read_at
from sagespec.parts import Parts
from sagespec.pull import Pull
from sagespec.reconcile.sources import Policy
from sagespec.records.holder import who_is_here
from sagespec.records.sources import SourceRecords
from sagespec.repository.commands import FETCH_SECONDS, GitCommand, GitRefused, protocol_of
from sagespec.repository.mirror import Follow, Mirror
from sagespec.repository.signatures import Signers
from sagespec.secrets.secrets import Secrets
from sagespec.spec.runtimes import RuntimeChoice
from sagespec.spec.source import Source
from sagespec.state.remote import Signed
from sagespec.state.source import SourceRecord, source_command
from sagespec.verbs.approving import gate
from sagespec.verbs.plan import desired_of, load_specs
from sagespec.verbs.reporting import reporting
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

    def git_in(self, folder: Path, *words: str) -> str:
        """What git prints there: with the source's credentials, and no settings but ours."""
        return replace(self.mirror.git, at=folder)(*words, seconds=FETCH_SECONDS)[1].strip()

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

    @contextmanager
    def parts_now(self) -> Iterator[Callable[[], Parts | None]]:
        """Of the commit that was worked on last whenever it is asked for, None before the first: the same parts all
        the while, with their store open, which move on with the commits."""
        kept: list[Parts] = []

        def now() -> Parts | None:
            root = self.root_before()
            if root is not None and kept:
                kept[0].move_to(root)
            elif root is not None:
                kept.append(self.parts(root))
            return kept[0] if kept else None

        try:
            yield now
        finally:
            for parts in kept:
                parts.close()

    @contextmanager
    def told(self, pull: Pull, report: Report) -> Iterator[None]:
        """While the block lasts the forge is told what becomes of commits, and tells of pushes."""
        hook = self.source.webhook
        pushes = hearing(hook, lambda: self.secret(hook.secret.name), pull.nudge) if hook else nullcontext()
        with pushes, self.parts_now() as now, reporting(self.source, pull, now, self.secret, report):
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
