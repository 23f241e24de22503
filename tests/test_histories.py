"""Whatever happens in whatever order to several runs on one project, in the end everything is as asked.

Hypothesis makes a history: passes of three runs, time, edits, kills, accidents, requests to stop, prunes, destroys and
roll-backs. The step is the pass, and an effect in it where a run is killed. tests/reconcile/test_properties.py has the
decisions alone, action by action.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.plan import Plan
from sagespec.reconcile.options import Options
from sagespec.run.stops import ask_to_stop
from sagespec.state.addresses import job_address
from sagespec.state.observed import Target
from tests.fakes import SERVES, TRAINS
from tests.fakes.specs import PROJECT
from tests.fakes.world import IN_MEMORY
from tests.place import Place
from tests.processes import Documents, Process, ask_for_rollback, check_nothing_is_left, finish, stepped_place, time_of

Happening = tuple[str, int]
RUNS = 3
DESTROY = Options(prune=True, allow_empty=True, destroy=True)
HAPPENINGS: Mapping[str, int] = {  # each with how many kinds of it there are
    "step": RUNS,
    "step again": RUNS,  # these two are what happens most
    "pass": RUNS,
    "time": 4,
    "time again": 4,
    "edit": 6,
    "kill": RUNS,
    "kill elsewhere": RUNS,
    "kill in a while": RUNS * 20,
    "leave": RUNS,
    "gone": 6,
    "exited": 6,
    "stop": 2,
    "prune": 1,
    "destroy": 1,
    "roll back": 1,
    "train again": 2,
}
ROLLOUTS: list[dict[str, Any]] = [
    {},
    {"strategy": "canary", "size": "50%", "wait": 20, "bake": 10},
    {"strategy": "linear", "size": "50%", "wait": 10, "bake": 0},
    {"strategy": "rolling", "size": "50%", "wait": 10, "bake": 20},
]
histories = st.lists(
    st.sampled_from(sorted(HAPPENINGS)).flatmap(
        lambda what: st.tuples(st.just(what), st.integers(0, HAPPENINGS[what] - 1))
    ),
    min_size=5,
    max_size=40,
)


class History:
    """A project, the runs on it, and how often each job may have been begun."""

    def __init__(self, place: Place, rollout: dict[str, Any]) -> None:
        self.place, self.rollout = place, rollout
        stepped_place(place)
        for version in (1, 2):
            self.give(version, b"a model\n")
        place.engine.behave("endpoint/answers", replace(SERVES, healthy_after=3.0))
        self.documents: Documents = [place.job(1), place.job(2), self.endpoint(0)]
        self.begun = 0
        self.all: list[Process] = []
        self.runs = [self.new() for _ in range(RUNS)]
        self.may_begin: Counter[str] = Counter({"job/model@1#0": 1, "job/model@2#0": 1})
        self.is_stopped = self.is_rolled_back = self.has_lost_an_instance = self.has_lost_a_manifest = False

    def new(self, documents: Documents | None = None, options: Options | None = None) -> Process:
        """Every second run is an `apply`, and leaves alone what others have given another spec."""
        self.begun += 1
        documents = self.documents if documents is None else documents
        self.all.append(
            Process(self.place, f"run-{self.begun}", documents, options=options, yields=self.begun % 2 == 0)
        )
        return self.all[-1]

    def endpoint(self, edit: int) -> dict[str, Any]:
        variants = [
            {"name": "a", "model": f"model@{1 + edit % 2}", "weight": 1 + edit},
            {"name": "b", "model": "model@1", "weight": 1, "environment": {"MODE": "x"} if edit == 3 else {}},
        ]
        rollout = self.place.endpoint()["rollout"] | self.rollout
        return self.place.endpoint() | {"variants": variants[: 1 if edit == 5 else 2], "rollout": rollout}

    def happen(self, what: str, which: int) -> None:
        run = self.runs[which % RUNS]
        match what.removesuffix(" again"):
            case "step":
                run.step()
            case "pass":
                run.step(most=1)
            case "time":
                time_of(self.place).advance((1, 5, 20, 130)[which])
            case "edit":
                self.documents[2:] = [self.endpoint(which)]
            case "kill":
                run.kill()
            case "kill elsewhere":
                run.kill(elsewhere=True)
            case "kill in a while":
                run.faults.kill_before = len(run.faults.calls) + 1 + which // RUNS
            case "leave":
                run.leave()
            case "gone" | "exited":
                self.befall(what, which)
            case "stop":
                self.stop(which + 1)
            case "prune":
                self.once(self.documents[:1], Options(prune=True))
            case "destroy":
                self.once([], DESTROY)
            case "roll back":
                self.is_rolled_back |= ask_for_rollback(self.place, self.documents)
            case "train again":
                self.lose_manifest(which + 1)
        for number, one in enumerate(self.runs):
            if not one.is_alive:
                one.kill()  # it may have died in a task, where nobody buried it
            if not one.is_alive or one.cancelled.is_set():
                self.runs[number] = self.new()

    def befall(self, what: str, which: int) -> None:
        """A container is lost, which may cost its job a further begin: once more at each retry."""
        names = sorted(self.place.engine.all)
        if not names:
            return
        name = names[which % len(names)]
        container = self.place.engine.all[name]
        self.may_begin[str(container.launch.address)] += 1
        self.has_lost_an_instance |= container.launch.address.kind == "endpoint"
        if what == "gone":
            self.place.world().runtime.remove(name)
        elif container.observed().state == "running":
            self.place.engine.end(container, 137)

    def lose_manifest(self, version: int) -> None:
        """A trained job has to be trained again, and gives another model then."""
        if self.place.objects.pop(f"{PROJECT}/jobs/model/{version}/manifest.json", None):
            self.may_begin[f"job/model@{version}#0"] += 1
            self.has_lost_a_manifest = True
            self.give(version, f"model {self.may_begin.total()}\n".encode())

    def give(self, version: int, model: bytes) -> None:
        """What the job's next training gives."""
        self.place.engine.behave(f"job/model@{version}", replace(TRAINS, lasts=30.0, files={"model/model.txt": model}))

    def stop(self, version: int) -> None:
        address = job_address("model", version)
        if address not in self.place.world().records.manifests([address]):
            ask_to_stop(self.place.world().records, address, "ada", None)
            self.is_stopped = True

    def once(self, documents: Documents, options: Options) -> None:
        """Another command, beside the others; whom it takes a job from begins it again."""
        for address in self.may_begin:
            self.may_begin[address] += 1
        other = self.new(list(documents), options)
        other.step()
        other.leave()

    def has_failed(self, plan: Plan) -> bool:
        """Whether revisions have failed as they may: an instance ended while it was waited for, or had its share."""
        may = ("exited with code 137 before it was healthy", "none of its instances was healthy")
        return self.has_lost_an_instance and all(any(text in p.what for text in may) for p in plan.refused)

    def check(self) -> None:
        for address in ("job/model@1#0", "job/model@2#0"):
            assert self.place.engine.starts[address] <= self.may_begin[address], address


@contextmanager
def new_place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        yield Place(Path(folder))


def served_by(place: Place, target: Target) -> set[bytes | None]:
    return {place.world().runtime.read(name, "model/model.txt") for name in target.instances}


def stored_model(place: Place, name: str) -> bytes:
    archive = place.objects[f"{PROJECT}/jobs/{name.replace('@', '/')}/model.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile("model.txt")
        assert file
        return file.read()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(history=histories, rollout=st.sampled_from(ROLLOUTS))
def test_any_history_of_several_runs_ends_as_asked(history: list[Happening], rollout: dict[str, Any]) -> None:
    with new_place() as place:
        told = History(place, rollout)
        for what, which in history:
            told.happen(what, which)
            told.check()
        last = finish(place, told.runs, told.documents)
        told.check()
        plan = last.run.plan
        assert not plan.actions
        assert not plan.refused or told.is_stopped or told.has_failed(plan), plan.refused
        asked = told.documents[2]["variants"]
        if not plan.refused and not told.is_rolled_back:
            route = last.world.gateway.observe(last.world.runtime.containers()).routes["answers"]
            assert {t.variant: t.weight for t in route.targets} == {v["name"]: v.get("weight", 1) for v in asked}
            assert last.world.gateway.answers("answers")  # type: ignore[attr-defined]  # the fake's own
            assert {target.variant: served_by(place, target) for target in route.targets} == {
                v["name"]: {stored_model(place, v["model"])} for v in asked
            }
            check_nothing_is_left(place, told.all, endpoints=len(asked))
