"""Carrying plans out, on an engine, gateway and store in memory that can be made to die at any effect."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sagespec.apply import World, apply
from sagespec.converge import Converged, converge
from sagespec.events import Event, EventKind, Result
from sagespec.manifest import JobStatus, RevisionStatus
from sagespec.observe import observe
from sagespec.reconcile import Options, reconcile
from sagespec.records import Records
from sagespec.state import Desired, Observed, job_address
from sagespec.train import Trainer
from tests.fakes import Behaviour, FakeEngine, FakeGateway, FakeRuntime, FakeStore, Faults, Killed
from tests.simulation import PROJECT, START, desired_from


@dataclass
class Place:
    """A project whose engine and store outlive each run on it."""

    folder: Path
    engine: FakeEngine = field(default_factory=FakeEngine)
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "train.csv").write_text("1,2\n")

    def job(self, version: int, **more: Any) -> dict[str, Any]:
        channels = {"train": str(self.folder / "train.csv")}
        return {"kind": "TrainingJob", "name": "model", "version": version, "channels": channels, **more}

    def endpoint(self, **models: str) -> dict[str, Any]:
        variants = [{"name": name, "model": model} for name, model in models.items()]
        return {"kind": "Endpoint", "name": "answers", "variants": variants, "rollout": {"min_healthy": 0}}

    def world(self) -> World:
        runtime = FakeRuntime(PROJECT, self.engine, self.faults)
        records = Records(FakeStore(self.objects, self.faults), PROJECT)
        trainer = Trainer(runtime, records, {}, self.folder, self.folder)
        return World(runtime, FakeGateway(runtime, PROJECT), records, trainer, self.folder, self.folder)

    def look(self, world: World, *documents: Mapping[str, Any]) -> tuple[Desired, Observed]:
        jobs = [job_address("model", version) for version in range(1, 5)]
        manifests = world.records.manifests(jobs)
        desired = desired_from(*documents, manifests=manifests)
        return desired, observe(world.runtime, world.gateway, world.records, manifests)

    def converge(self, *documents: Mapping[str, Any], **options: Any) -> Converged:
        """One run of sagespec, from nothing in memory."""
        world = self.world()
        cancelled = options.pop("cancelled", None)
        return converge(
            lambda: self.look(world, *documents), world, self.events.append, Options(**options), cancelled=cancelled
        )

    def addresses(self) -> list[str]:
        return sorted(str(c.launch.address) for c in self.engine.all.values())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def kill_at_every_effect(
    new_place: Callable[[], Place], run: Callable[[Place], object], check: Callable[[Place], None]
) -> int:
    """Let `run` die before its n-th effect, for every n there is, each time in a new place, and then check."""
    number = 1
    while True:
        place = new_place()
        place.faults.kill_before = number
        try:
            run(place)
        except Killed:
            place.faults.revive()
            check(place)
            number += 1
        else:
            return number


def test_killed_before_any_effect_of_a_first_apply_the_next_reaches_the_same_end(tmp_path: Path) -> None:
    def new_place() -> Place:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return Place(folder)

    def specs(place: Place) -> list[dict[str, Any]]:
        return [place.job(1), place.endpoint(only="model@1")]

    def check(place: Place) -> None:
        trained_before = place.world().records.manifests([job_address("model", 1)])
        result = place.converge(*specs(place))
        assert result.ok, (result.failures, result.plan.text())
        assert place.addresses() == ["endpoint/answers/only#0", "gateway"]
        world = place.world()
        assert world.gateway.answers("answers")  # type: ignore[attr-defined]  # the fake's own
        after = world.records.manifests([job_address("model", 1)])
        assert not trained_before or trained_before == after

    effects = kill_at_every_effect(new_place, lambda place: place.converge(*specs(place)), check)
    assert effects > 15


def test_killed_before_any_effect_of_a_rollout_it_goes_on_serving(tmp_path: Path) -> None:
    def new_place() -> Place:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        place = Place(folder)
        assert place.converge(place.job(1), place.job(2), place.endpoint(only="model@1")).ok
        place.faults.revive()
        return place

    def rollout(place: Place) -> Converged:
        return place.converge(place.job(1), place.job(2), place.endpoint(only="model@2"))

    def check(place: Place) -> None:
        assert place.world().gateway.answers("answers")  # type: ignore[attr-defined]
        assert rollout(place).ok
        assert place.world().gateway.answers("answers")  # type: ignore[attr-defined]
        assert place.addresses() == ["endpoint/answers/only#0", "gateway"]
        statuses = [revision.status for revision in place.world().records.history("answers")]
        assert statuses == [RevisionStatus.LIVE, RevisionStatus.LIVE]

    assert kill_at_every_effect(new_place, rollout, check) > 8


def test_an_instance_that_exits_fails_its_revision_with_its_last_words(place: Place) -> None:
    assert place.converge(place.job(1), place.job(2), place.endpoint(only="model@1")).ok
    place.engine.behave("endpoint/answers", Behaviour(lasts=0.0, exit_code=3, lines=("no such file: model",)))
    result = place.converge(place.job(1), place.job(2), place.endpoint(only="model@2"))
    assert not result.ok
    live, failed = place.world().records.history("answers")
    assert (live.status, failed.status) == (RevisionStatus.LIVE, RevisionStatus.FAILED)
    assert "exited with code 3" in failed.reason
    assert "no such file: model" in failed.reason
    assert place.addresses() == ["endpoint/answers/only#0", "gateway"]
    assert place.converge(place.job(1), place.job(2), place.endpoint(only="model@2")).outcomes == ()


def test_what_waits_for_a_failed_action_is_skipped_and_the_rest_is_done(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(exit_code=1, lines=("boom",)))
    result = place.converge(place.job(1), place.job(2), place.endpoint(only="model@1"))
    by_id = {outcome.action_id: outcome for outcome in result.outcomes}
    assert by_id["run-job job/model@1"].result is Result.FAILED
    assert by_id["run-job job/model@2"].result is Result.DONE
    assert by_id["set-routes endpoint/answers"].result is Result.SKIPPED
    assert "boom" in by_id["run-job job/model@1"].reason


def test_a_store_that_fails_at_the_end_of_a_job_costs_no_training(place: Place) -> None:
    from sagespec.errors import WorldError

    place.faults.fail = lambda text: WorldError("the disk is full") if "model.tar.gz" in text else None
    first = place.converge(place.job(1))
    assert "the disk is full" in first.failures[0].reason
    (kept,) = place.engine.all.values()
    place.faults.fail = lambda _text: None
    assert place.converge(place.job(1)).ok
    manifest = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.status is JobStatus.COMPLETED
    assert kept.started_at is not None
    assert manifest.started_at <= kept.started_at
    assert place.engine.all == {}


def test_a_model_that_no_archive_may_hold_fails_the_job_instead_of_blocking_it(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(files={"model/../../etc/passwd": b"x"}))
    result = place.converge(place.job(1))
    assert not result.ok
    manifest = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.status is JobStatus.FAILED
    assert place.engine.all == {}
    assert place.converge(place.job(1)).outcomes == ()


def test_cancelling_begins_nothing_new_and_leaves_a_running_job(place: Place) -> None:
    cancelled = threading.Event()
    place.engine.behave("job/model@1", Behaviour(lasts=None))
    timer = threading.Timer(0.5, cancelled.set)
    timer.start()
    result = place.converge(place.job(1), place.endpoint(only="model@1"), cancelled=cancelled)
    timer.join()
    assert result.cancelled
    assert {outcome.result for outcome in result.outcomes} <= {Result.CANCELLED, Result.SKIPPED, Result.DONE}
    assert "job/model@1#0" in place.addresses()


def test_a_lost_lock_ends_every_action_before_it_begins(place: Place) -> None:
    from sagespec.errors import WorldError

    def guard() -> None:
        raise WorldError("the lock was taken over")

    world = place.world()
    desired, observed = place.look(world, place.job(1))
    outcomes = apply(reconcile(desired, observed, START), world, place.events.append, guard=guard)
    assert [outcome.result for outcome in outcomes] == [Result.FAILED]
    assert place.engine.all == {}


def test_a_bug_in_one_action_is_an_outcome_and_the_others_go_on(place: Place) -> None:
    place.faults.fail = lambda text: ZeroDivisionError("oops") if "start" in text and "model_v1" in text else None
    result = place.converge(place.job(1), place.job(2))
    reasons = {outcome.about: outcome.reason for outcome in result.outcomes if outcome.result is Result.FAILED}
    assert "this is a bug in sagespec" in reasons["job/model@1"]
    assert "job/model@2" not in reasons


def test_no_more_jobs_run_at_once_than_the_project_allows(place: Place) -> None:
    result = place.converge(*(place.job(version) for version in range(1, 5)))
    assert result.ok
    running = most = 0
    for event in place.events:
        if event.action == "run-job" and event.kind in (EventKind.STARTED, EventKind.FINISHED):
            running += 1 if event.kind is EventKind.STARTED else -1
            most = max(most, running)
    assert most == 2
