"""A repository in memory, and what happens to it: pushes, rewritten histories, outages. And a process that follows it.

The commits are numbered; each has specs of its own. What `pull` and the passes do with them is the real thing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from sagespec.errors import SpecError, WorldError
from sagespec.events import Event
from sagespec.pull import Pull, Repository, Verifier
from sagespec.reconcile.options import Options
from sagespec.reconcile.sources import Policy
from sagespec.records.sources import SourceRecords
from sagespec.state.remote import Remote, RemoteState, Signed
from sagespec.state.source import Acceptance, AttemptResult, SourceRecord
from tests.fakes import FakeStore, Faults, Killed
from tests.fakes.specs import PROJECT
from tests.place import Place
from tests.processes import Documents, Process, time_of


@dataclass(frozen=True)
class Commit:
    """weight: of the endpoint's variant, which tells commits apart. has_extra: whether there is a second endpoint.

    trains: whether there is a second job.
    """

    id: str
    parent: Commit | None
    weight: float
    is_signed: bool = True
    is_wrong: bool = False
    has_extra: bool = False
    trains: bool = False

    @property
    def line(self) -> list[Commit]:
        """The commit and all before it."""
        found: list[Commit] = []
        one: Commit | None = self
        while one:
            found.append(one)
            one = one.parent
        return found

    def documents(self, place: Place) -> Documents:
        variants = [{"name": "only", "model": "model@1", "weight": self.weight}]
        answers = place.endpoint() | {"variants": variants}
        extra = [answers | {"name": "extra"}] if self.has_extra else []
        more = [place.job(2)] if self.trains else []
        return [place.job(1), *more, answers, *extra]


class Copied(Repository, Verifier, Protocol):
    """What `pull` asks of a branch."""


class Branch:
    """head: None while the branch is gone. is_away: the repository does not answer."""

    def __init__(self) -> None:
        self.commits: dict[str, Commit] = {}
        self.head: Commit | None = None
        self.is_away = False
        self.signers, self.revoked = "sha256:1", set[str]()

    def commit(self, parent: Commit | None, **more: Any) -> Commit:
        number = len(self.commits) + 1
        weight = more.pop("weight", float(number))
        made = Commit("", parent, weight, **more)
        made = replace(made, id=self.id_of(made, number))
        self.commits[made.id] = made
        return made

    def id_of(self, commit: Commit, number: int) -> str:
        return f"{number:040x}"

    def copy(self, folder: Path, faults: Faults) -> Copied:
        return Copy(self, folder, faults)


@dataclass
class Copy:
    """What `pull` asks: a mirror of the branch, whose fetched commits and trees outlive a process."""

    branch: Branch
    folder: Path
    faults: Faults = field(default_factory=Faults)

    def head(self) -> Remote:
        self.faults.look()
        if self.branch.is_away:
            return Remote(RemoteState.UNREACHABLE, text="could not resolve host")
        if self.branch.head is None:
            return Remote(RemoteState.GONE, name="main")
        return Remote(RemoteState.FOUND, self.branch.head.id, "main")

    def fetch(self, commit: str) -> None:
        with self.faults.effect(f"fetch {commit}"):
            if self.branch.is_away:
                raise WorldError("could not resolve host")

    def descends(self, commit: str, of: str) -> bool:
        return of in [one.id for one in self.branch.commits[commit].line]

    def tree(self, commit: str) -> Path:
        if not self.has_tree(commit):
            with self.faults.effect(f"tree {commit}"):
                (self.folder / "trees" / commit).mkdir(parents=True)
        return self.folder / "trees" / commit

    def has_tree(self, commit: str) -> bool:
        return (self.folder / "trees" / commit).is_dir()

    def sweep(self, *kept: str) -> None: ...

    # -- as a verifier

    def fingerprint(self) -> str:
        return self.branch.signers

    def signed(self, commit: str, *, since: str, tag: str) -> Signed:
        is_signed = self.branch.commits[commit].is_signed and commit not in self.branch.revoked
        return Signed("ada", commit=commit) if is_signed else Signed(problem="is not signed", commit=commit)


class Follower:
    """One process of `watch --source`: looks, and passes at what is in force."""

    def __init__(self, place: Place, branch: Branch, name: str) -> None:
        """A branch says itself how it is copied: in memory, or by git."""
        self.place, self.branch = place, branch
        self.documents: Documents = []
        self.process = Process(place, name, self.documents, options=Options(prune=True))
        self.faults, self.events = self.process.faults, list[Event]()
        home = place.folder / "home"
        home.mkdir(exist_ok=True)
        copy = branch.copy(home, self.faults)
        self.pull = Pull(
            copy,
            lambda _root: SourceRecords(FakeStore(place.objects, self.faults), PROJECT),
            self._check,
            home,
            policy=Policy(follows_rewrites=False),
            verifier=copy,
            report=self.events.append,
            clock=time_of(place),
        )

    def _check(self, root: Path) -> None:
        if self.branch.commits[root.name].is_wrong:
            raise SpecError("endpoint/answers: weight is heavy, but must be a number")

    @property
    def is_alive(self) -> bool:
        return self.process.is_alive

    def step(self) -> None:
        """A look, passes, and what came of them. It may be killed at any effect."""
        try:
            self.pull.look()
            if self.pull.target is None:
                return
            commit = self.branch.commits[self.pull.target.commit]
            self.documents[:] = commit.documents(self.place)
            self.process.step()
            run = self.process.run
            if self.is_alive and not (run.plan.actions or run.waits or run.waits_for_others or run.plan.refused):
                self.pull.ended(commit.id, AttemptResult.APPLIED)
        except Killed:
            pass
        if not self.is_alive:
            self.process.kill()


class Walk:
    """What happens to a branch and to whoever follows it, by chance."""

    def __init__(self, place: Place, seed: int, branch: Branch | None = None) -> None:
        self.place, self.chance, self.branch = place, random.Random(seed), branch or Branch()
        self.begun, self.in_force = 0, ""
        self.follower = self.new()
        self.happenings: dict[Callable[[], object], int] = {
            self.push: 8,
            self.push_unsigned: 2,
            self.push_wrong: 2,
            self.push_by_force: 3,
            self.rewind: 2,
            self.delete: 1,
            self.restore: 2,
            self.go_away: 2,
            self.come_back: 4,
            self.accept: 3,
            self.kill: 2,
            self.kill_in_a_while: 3,
            self.wait: 6,
        }

    def new(self) -> Follower:
        self.begun += 1
        return Follower(self.place, self.branch, f"watch-{self.begun}")

    def step(self) -> None:
        (happening,) = self.chance.choices([*self.happenings], [*self.happenings.values()])
        happening()
        self.follower.step()
        if not self.follower.is_alive:
            self.follower = self.new()

    def push(self, **more: Any) -> None:
        if self.branch.head:
            self.branch.head = self.branch.commit(self.branch.head, has_extra=self.chance.random() < 0.5, **more)
        elif not self.branch.commits:
            self.branch.head = self.branch.commit(None, **more)

    def push_unsigned(self) -> None:
        self.push(is_signed=False)

    def push_wrong(self) -> None:
        self.push(is_wrong=True)

    def push_by_force(self) -> None:
        if self.branch.head:
            before = self.chance.choice(self.branch.head.line[:4])
            self.branch.head = self.branch.commit(before.parent or before)

    def rewind(self) -> None:
        if self.branch.head:
            self.branch.head = self.chance.choice(self.branch.head.line[:4])

    def delete(self) -> None:
        self.branch.head = None

    def restore(self) -> None:
        if self.branch.head is None and self.branch.commits:
            self.branch.head = self.chance.choice([*self.branch.commits.values()][-3:])

    def go_away(self) -> None:
        self.branch.is_away = True

    def come_back(self) -> None:
        self.branch.is_away = False

    def accept(self) -> None:
        """Somebody looks at what is held, and wants it."""
        held = self.record.held
        if held:
            acceptance = Acceptance(commit=held.commit, by="ada", at=time_of(self.place).now())
            SourceRecords(FakeStore(self.place.objects), PROJECT).change(
                lambda record: record.model_copy(update={"accepted": acceptance})
            )

    def kill(self) -> None:
        self.follower.process.kill()

    def kill_in_a_while(self) -> None:
        """Before or after one of the next effects: a commit that is applied has some thirty."""
        faults = self.follower.faults
        number = len(faults.calls) + self.chance.randint(1, 33)
        faults.kill_before, faults.kill_after = (number, 0) if self.chance.random() < 0.5 else (0, number)

    def wait(self) -> None:
        time_of(self.place).advance(self.chance.choice((1, 10, 130)))

    # -- what may be seen

    @property
    def record(self) -> SourceRecord:
        return SourceRecords(FakeStore(self.place.objects), PROJECT).read()

    def endpoints(self) -> set[str]:
        """Those that have a container."""
        launches = (container.launch for container in self.place.engine.all.values())
        return {launch.address.name for launch in launches if launch.address.kind == "endpoint"}

    def weights(self) -> set[float]:
        """What was ever tried, by the history of the endpoint."""
        history = self.place.world().records.history("answers")
        return {variant.weight for revision in history for variant in revision.asked.variants}

    def check(self) -> None:
        """Nothing is served that is not fit, and nothing is removed that a good commit has not left out."""
        fit = {commit.weight for commit in self.branch.commits.values() if commit.is_signed and not commit.is_wrong}
        assert self.weights() <= fit
        record, before = self.record, self.in_force
        self.in_force = record.working
        head = self.branch.head.id if self.branch.head else ""
        assert record.working in (before, head), "what is in force is left for the head alone"
        if record.applied:
            in_force = self.branch.commits[record.working]
            assert "answers" in self.endpoints()
            if self.branch.commits[record.applied.commit].has_extra and in_force.has_extra:
                assert "extra" in self.endpoints()

    def finish(self) -> None:
        """Let everything end: the repository answers, and nobody is killed any more."""
        self.branch.is_away = False
        self.follower.faults.kill_before = self.follower.faults.kill_after = 0
        for _ in range(200):
            self.follower.step()
            if not self.follower.is_alive:
                self.follower = self.new()
            time_of(self.place).advance(5)
            self.check()
            if self.is_over:
                return
        raise AssertionError(f"it does not end: {self.record}\n{self.follower.process.run.plan.text()}")

    @property
    def is_over(self) -> bool:
        """Whether the head is applied, or there is a reason why not."""
        record, head = self.record, self.branch.head
        if head is None:
            return (record.held is not None and record.held.reason == "branch-gone") or not self.branch.commits
        if record.applied and record.applied.commit == head.id == record.working:
            return record.held is None
        if record.held:
            return record.held.commit == head.id
        attempted = record.attempted
        return head.is_wrong and attempted is not None and (attempted.commit, attempted.result) == (head.id, "wrong")
