"""Opens the pull request that gives a new model to its variant as soon as its job has ended, where a loop runs.

What is proposed and how is `proposals`' alone, as for `sagespec bump --due --pr`; here is when. In a thread of its own,
as a forge that is slow or away is in nobody's way. What a killed loop has not proposed the next one does, as it starts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Self

from sagespec.errors import Problem, SagespecError, WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.forge.environment import pulls_of
from sagespec.forge.pulls import Pulls
from sagespec.forge.requests import Forge, settings_of
from sagespec.parts import Parts
from sagespec.passes import Run
from sagespec.plan import RunJob
from sagespec.repository.branches import url_of
from sagespec.verbs.due import retrains_of
from sagespec.verbs.proposals import Proposal, Proposed, Proposing, Result, propose
from sagespec.verbs.sourced import Sourced

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 600.0
LEAVE_SECONDS = 10.0
NOT_HERE = "no pull request is opened here for models that are trained"
ELSEWHERE = "run `sagespec bump --due --pr` where one can be, which opens it, too"


class Proposer:
    """how: where proposals go; WorldError where this loop cannot open any, with what to do for that. Both it and
    open_parts, of the project as it is then, are called in the thread. commit: that is in force, '' where none is."""

    def __init__(
        self,
        open_parts: Callable[[], Parts],
        how: Callable[[], Proposing],
        commit: Callable[[], str] = str,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self._open_parts, self._how, self._commit = open_parts, how, commit
        self._first_pause_seconds = first_pause_seconds
        self._report: Report = lambda _event: None
        self._told = set[str]()
        self._seen = ""
        self._woken, self._left = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="proposing", daemon=True)

    def heard(self, report: Report) -> Report:
        self._report = report

        def hear(event: Event) -> None:
            report(event)
            if event.kind is EventKind.FINISHED and event.action == RunJob.verb:
                self._woken.set()

        return hear

    def settled(self, _run: Run) -> None:
        """Passes have come as far as they can: another commit may ask for something else."""
        if (commit := self._commit()) != self._seen:
            self._seen = commit
            self._woken.set()

    def __enter__(self) -> Self:
        self._seen = self._commit()
        self._woken.set()
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._left.set()
        self._woken.set()
        self._thread.join(LEAVE_SECONDS)

    def _keep(self) -> None:
        pause: float | None = None
        while not self._left.is_set():
            self._woken.wait(pause)
            self._woken.clear()
            if self._left.is_set():
                return
            is_done = self._look()
            pause = None if is_done else min((pause or self._first_pause_seconds / 2) * 2, LONGEST_PAUSE_SECONDS)

    def _look(self) -> bool:
        """Propose what is to be; False where it is to be tried again."""
        try:
            with closing(self._open_parts()) as parts:
                if not any(retrain.assign for retrain in retrains_of(parts.load()).values()):
                    return True
                try:
                    how = self._how()
                except SagespecError as error:
                    self._tell(EventKind.NOTE, error.problems[0])
                    return True
                found = propose(parts, how)
        except SagespecError as error:
            self._tell(EventKind.FAILED, error.problems[0])
            return False
        except OSError as error:
            self._tell(EventKind.FAILED, Problem(str(error)))
            return False
        for one in found:
            self._tell_of(one)
        return all(one.problem is None for one in found)

    def _tell_of(self, one: Proposed) -> None:
        if one.problem:
            self._tell(EventKind.FAILED, one.problem)
        elif one.result in (Result.OPENED, Result.EDITED):
            text = f"the pull request is {one.result}: {one.title}: {one.url}"
            self._report(Event(EventKind.NOTE, "retraining", text))

    def _tell(self, kind: EventKind, problem: Problem) -> None:
        """Once each."""
        text = f"{problem.what}\n  fix  {problem.fix}" if problem.fix else problem.what
        if text not in self._told:
            self._told.add(text)
            self._report(Event(kind, "retraining", text, action="propose" if kind is EventKind.FAILED else ""))


def in_checkout(root: Path, body: Callable[[Proposal], str]) -> Proposing:
    """As `bump --due --pr` does in this checkout."""
    try:
        pulls = pulls_of(os.environ, url_of(root, "origin"))
    except WorldError as error:
        raise WorldError(f"{NOT_HERE}: {error.problems[0].what}", fix=ELSEWHERE) from None
    if pulls is None:
        token = "SAGESPEC_FORGE_TOKEN (or GITHUB_TOKEN, GITLAB_TOKEN)"  # noqa: S105  # their names
        fix = f"set {token} to one that may push and open pull requests, or {ELSEWHERE}"
        raise WorldError(f"{NOT_HERE}: the environment has no token of a forge", fix=fix)
    return Proposing(body, pulls, asks_to_train=False)


def of_source(sourced: Sourced, body: Callable[[Proposal], str], commit: str) -> Proposing:
    """commit: that is in force. Nothing is read of a newer one, which nobody has verified."""
    source = sourced.source
    if not commit:
        raise WorldError(f"{NOT_HERE}: no commit is in force", fix="wait until one is applied")
    if not (source.propose and source.report):
        fix = f"add propose: true to the source, with `report`, and credentials that may push; or {ELSEWHERE}"
        raise WorldError(f"{NOT_HERE}: the source does not say so", fix=fix)
    forge = Forge.of(source.report, source.url, name=source.name, environment=source.environment or "")
    token = sourced.secret(settings_of(source.report).token.name)
    pulls = Pulls(forge, token)
    return Proposing(body, pulls, source.branch, git=sourced.git_in, asks_to_train=False, only_at=commit)
