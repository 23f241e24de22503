"""Carrying plans out, on an engine, gateway and store in memory that can be made to die at any effect."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sagespec.apply.apply import apply
from sagespec.converge import Converged, converge
from sagespec.errors import WorldError
from sagespec.events import Caller, Event, EventKind, Result
from sagespec.inputs.cache import Cache
from sagespec.inputs.delivery import Inputs
from sagespec.observe import observe
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.records.records import Records
from sagespec.run.jobs import Jobs
from sagespec.run.patience import Patience
from sagespec.run.stops import ask_to_stop
from sagespec.runtimes.protocol import CannotStart
from sagespec.state.addresses import job_address
from sagespec.state.desired import Desired
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import Capacity, Observed
from sagespec.state.programs import Image
from sagespec.state.revision import RevisionStatus
from sagespec.world import World
from tests.fakes import SERVES, TRAINS, Behaviour, FakeEngine, FakeGateway, FakeRuntime, FakeStore, Faults, Killed
from tests.fakes.specs import PROJECT, desired_from
from tests.simulation import START


@dataclass
class Place:
    """A project whose engine and store outlive each run on it."""

    folder: Path
    engine: FakeEngine = field(default_factory=FakeEngine)
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    events: list[Event] = field(default_factory=list)
    patience: Patience = field(default_factory=lambda: Patience(seconds=0))

    def __post_init__(self) -> None:
        (self.folder / "train.csv").write_text("1,2\n")

    def job(self, version: int, **more: Any) -> dict[str, Any]:
        channels = {"train": str(self.folder / "train.csv")}
        return {"kind": "TrainingJob", "name": "model", "version": version, "channels": channels, **more}

    def endpoint(self, **models: str) -> dict[str, Any]:
        variants = [{"name": name, "model": model} for name, model in models.items()]
        return {"kind": "Endpoint", "name": "answers", "variants": variants, "rollout": {"min_healthy": 0}}

    def world(self, runtime: FakeRuntime | None = None) -> World:
        runtime = runtime or FakeRuntime(PROJECT, self.engine, self.faults)
        records = Records(FakeStore(self.objects, self.faults), PROJECT)
        inputs = Inputs(runtime, self.folder, Cache(self.folder / "cache", 2**30), self.folder / "views")
        jobs = Jobs(runtime, records, inputs, {}, self.folder, self.folder, patience=self.patience)
        return World(runtime, FakeGateway(runtime, PROJECT), records, jobs, self.folder, self.folder)

    def look(self, world: World, *documents: Mapping[str, Any]) -> tuple[Desired, Observed]:
        jobs = [job_address("model", version) for version in range(1, 5)]
        manifests = world.records.manifests(jobs)
        desired = desired_from(*documents, manifests=manifests)
        return desired, observe(world.runtime, world.gateway, world.records, manifests, with_capacity=True)

    def converge(self, *documents: Mapping[str, Any], **options: Any) -> Converged:
        """One run of sagespec, from nothing in memory."""
        world = self.world(options.pop("runtime", None))
        caller = Caller(self.events.append, options.pop("cancelled", threading.Event()))
        return converge(lambda: self.look(world, *documents), world, Options(**options), caller)

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


def test_killed_before_any_effect_of_a_job_with_pipes_the_next_reaches_the_same_end(tmp_path: Path) -> None:
    def new_place() -> Place:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return Place(folder)

    def specs(place: Place) -> dict[str, Any]:
        return place.job(1, instances=2, input_mode="pipe")

    def check(place: Place) -> None:
        trained_before = place.world().records.manifests([job_address("model", 1)])
        result = place.converge(specs(place))
        assert result.ok, (result.failures, result.plan.text())
        assert (place.addresses(), place.engine.volumes) == ([], {})
        place.world().jobs.inputs.sweep(PROJECT)  # as each command does when it has the lock
        assert list((place.folder / "views").glob("*")) == []
        after = place.world().records.manifests([job_address("model", 1)])
        assert not trained_before or trained_before == after

    assert kill_at_every_effect(new_place, lambda place: place.converge(specs(place)), check) > 15


def test_a_feeder_that_ends_fails_the_job_though_its_host_ended_well(place: Place) -> None:
    place.engine.behave("job/model@1/feeder#0", Behaviour(exit_code=1, files={"output/ready": b""}, lines=("oh",)))
    result = place.converge(place.job(1, input_mode="pipe", retries=0))
    assert not result.ok
    manifest = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.status is JobStatus.FAILED
    assert manifest.reason.startswith("InternalServerError: job/model@1/feeder#0, which feeds the pipes, exited")
    assert manifest.reason.endswith("its last lines:\noh")
    assert place.addresses() == []


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
    outcomes = apply(reconcile(desired, observed, START), world, Caller(place.events.append, guard=guard))
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


def test_metrics_are_kept_as_series_also_by_a_run_that_takes_the_job_up_later(place: Place) -> None:
    metrics = [{"name": "loss", "regex": "loss=([0-9.]+)"}]
    specs = place.job(1, metrics=metrics, instances=2)
    saying = Behaviour(lines=("loss=0.9",), lasts=1.2, last_lines=("loss=0.1",), files=TRAINS.files)
    place.engine.behave("job/model@1#0", saying)
    place.engine.behave("job/model@1#1", replace(saying, lines=("loss=0.8",), lasts=0.9, last_lines=("loss=0.2",)))
    cancelled = threading.Event()
    threading.Timer(0.4, cancelled.set).start()
    assert place.converge(specs, cancelled=cancelled).cancelled
    time.sleep(1.2)  # ends unseen
    assert place.converge(specs).ok
    manifest = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.metrics == {"loss": 0.1}, "of all hosts' lines the last one counts"
    points = manifest.series["loss"]
    assert sorted(value for _, value in points[:2]) == [0.8, 0.9]
    assert [value for _, value in points[2:]] == [0.2, 0.1]
    assert [at for at, _ in points] == pytest.approx([0, 0, 0.9, 1.2], abs=0.2), "by when it was printed, not read"


def told_waits(place: Place) -> list[tuple[str, str]]:
    return [(event.about, event.text) for event in place.events if "waits for" in event.text]


def test_a_job_waits_until_the_engine_has_what_it_asks_for(place: Place) -> None:
    place.engine.behave("job/model@1", replace(TRAINS, lasts=0.7))
    specs = [place.job(version, resources={"cpus": 3}) for version in (1, 2)]
    assert place.converge(*specs).ok
    reason = "waits for 3 CPUs: 1 of 4 is free; job/model@1 has 3"
    assert told_waits(place) == [("job/model@2", reason)], "told once, not each time it is looked at"
    told = [(event.kind, event.about) for event in place.events if event.action == "run-job"]
    assert told.index((EventKind.FINISHED, "job/model@1")) < told.index((EventKind.STARTED, "job/model@2"))


def test_a_job_waits_for_one_that_runs_and_is_in_no_spec(place: Place) -> None:
    place.engine.behave("job/model@1", replace(TRAINS, lasts=1.5))
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    place.converge(place.job(1, resources={"memory": "6GiB"}), cancelled=cancelled)
    assert place.converge(place.job(2, resources={"memory": "4GiB"})).ok
    assert told_waits(place) == [
        ("job/model@2", "waits for 4 GiB of memory: 2 of 8 are free; job/model@1 has 6"),
    ]


def test_a_job_taken_up_needs_no_turn_and_counts_first(place: Place) -> None:
    place.engine.behave("job/model@2", replace(TRAINS, lasts=1.0))
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    specs = [place.job(version, resources={"cpus": 3}) for version in (1, 2)]
    place.converge(specs[1], cancelled=cancelled)
    assert place.converge(*specs).ok
    assert told_waits(place) == [("job/model@1", "waits for 3 CPUs: 1 of 4 is free; job/model@2 has 3")]


def test_max_wait_ends_a_job_that_still_waits(place: Place) -> None:
    place.patience = replace(place.patience, queue_seconds=0.2)
    place.engine.behave("job/model@1", replace(TRAINS, lasts=3.0))
    stopping = {"max_runtime": 1, "max_wait": 1}
    specs = [place.job(1, resources={"cpus": 3}), place.job(2, resources={"cpus": 3}, stopping=stopping)]
    result = place.converge(*specs)
    assert [(outcome.about, outcome.result) for outcome in result.outcomes] == [
        ("job/model@2", Result.FAILED),
        ("job/model@1", Result.DONE),
    ]
    manifest = place.world().records.manifests([job_address("model", 2)])[job_address("model", 2)]
    assert manifest.status is JobStatus.STOPPED
    assert manifest.reason.startswith("MaxWaitTimeExceeded")
    assert not any("job/model@2" in str(c.launch.address) for c in place.engine.all.values())


def test_whoever_waits_is_let_go_of_on_ctrl_c(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(lasts=None))
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    result = place.converge(*(place.job(version, resources={"cpus": 3}) for version in (1, 2)), cancelled=cancelled)
    assert result.cancelled
    assert [outcome.result for outcome in result.outcomes] == [Result.CANCELLED, Result.CANCELLED]


def test_each_container_of_a_job_has_gpus_of_its_own(place: Place) -> None:
    place.engine.capacity = Capacity(4, 2**33, ("GPU-a", "GPU-b", "GPU-c"))
    place.engine.behave("job/model@1", replace(TRAINS, lasts=0.6))
    place.engine.behave("job/model@2", replace(TRAINS, lasts=0.1))
    held: dict[str, tuple[str, ...]] = {}

    def note(event: Event) -> None:
        place.events.append(event)
        held.update({str(c.launch.address): c.gpus for c in place.engine.all.values()})

    world = place.world()
    specs = [place.job(1, instances=2, resources={"gpus": 1}), place.job(2, resources={"gpus": 2})]
    assert converge(lambda: place.look(world, *specs), world, Options(), Caller(note)).ok
    assert held["job/model@1#0"] == ("GPU-a",)
    assert held["job/model@1#1"] == ("GPU-b",)
    assert len(held["job/model@2#0"]) == 2
    assert told_waits(place) == [("job/model@2", "waits for 2 GPUs: 1 of 3 is free; job/model@1 has 2")]


def test_a_lock_lost_while_a_job_runs_keeps_its_model_out_of_the_store(place: Place) -> None:
    from sagespec.errors import WorldError

    world = place.world()
    desired, observed = place.look(world, place.job(1))

    def guard() -> None:
        if place.engine.all:  # others have taken over since it began
            raise WorldError("the lock was taken over")

    (outcome,) = apply(reconcile(desired, observed, START), world, Caller(place.events.append, guard=guard))
    assert "the lock was taken over" in outcome.reason
    assert place.objects == {}
    assert place.addresses() == ["job/model@1#0"], "whoever holds the lock next picks it up"
    assert place.converge(place.job(1)).ok


def test_an_exception_lets_go_of_a_running_job_instead_of_waiting_for_it(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(lasts=None))
    place.engine.behave("job/model@2", Behaviour(exit_code=1, lasts=0.5))
    world = place.world()
    desired, observed = place.look(world, place.job(1), place.job(2))

    def interrupted(event: Event) -> None:
        if event.kind is EventKind.FAILED:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(reconcile(desired, observed, START), world, Caller(interrupted))
    assert "job/model@1#0" in place.addresses()


def test_crashes_in_a_long_life_do_not_keep_an_instance_from_a_new_gateway(place: Place) -> None:
    specs = (place.job(1), place.endpoint(only="model@1"))
    assert place.converge(*specs).ok
    (instance,) = (c for c in place.engine.all.values() if c.launch.command == "serve" and c.launch.address.variant)
    started_at = instance.started_at
    instance.behaviour = replace(SERVES, restarts=5, healthy_after=1.0)
    instance.started_at = datetime.now(UTC)
    place.engine.tables.clear()
    result = place.converge(*specs)
    assert result.ok, result.failures
    assert started_at is not None
    assert place.world().gateway.answers("answers")  # type: ignore[attr-defined]


@pytest.mark.parametrize("state", ["exited", "gone"])
def test_endpoints_are_removed_though_their_gateway_is_dead(place: Place, state: str) -> None:
    assert place.converge(place.job(1), place.endpoint(only="model@1")).ok
    gateway = next(c for c in place.engine.all.values() if c.launch.address.kind == "gateway")
    place.engine.end(gateway, 1)
    if state == "gone":
        del place.engine.all[gateway.launch.name]
    result = place.converge(prune=True, allow_empty=True, destroy=True)
    assert result.ok, result.failures
    assert place.addresses() == []


def test_of_several_hosts_the_one_that_failed_is_named_not_those_stopped_after_it(place: Place) -> None:
    place.engine.behave("job/model@1#0", Behaviour(lasts=None))
    place.engine.behave("job/model@1#1", Behaviour(exit_code=1, lines=("no room on /dev/shm",)))
    place.converge(place.job(1, instances=2))
    manifest = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.exit_codes == {"algo-1": 143, "algo-2": 1}
    assert manifest.reason.startswith("AlgorithmError: algo-2 exited with code 1")
    assert "no room on /dev/shm" in manifest.reason


def test_a_host_that_vanishes_stops_the_others_and_all_are_begun_anew(place: Place) -> None:
    specs = place.job(1, instances=2)
    place.engine.behave("job/model@1", Behaviour(lasts=None))
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    place.converge(specs, cancelled=cancelled)
    _, second = sorted(place.engine.all)
    world = place.world()
    desired, observed = place.look(world, specs)
    plan = reconcile(desired, observed, START)
    del place.engine.all[second]
    place.engine.behave("job/model@1", TRAINS)
    place.faults.calls.clear()
    (outcome,) = apply(plan, world, Caller(place.events.append))
    assert outcome.result is Result.DONE
    order = [call.partition(" ")[0] for call in place.faults.calls if "remove" in call or "create" in call]
    assert order == ["remove", "remove", "create", "create", "remove", "remove"], "no second half beside an old first"
    first, last = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)].attempts
    assert first.reason.startswith("InternalServerError: the container of algo-2 was removed")
    assert last.reason == ""


class BrokenStreams(FakeRuntime):
    """Breaks off the first `breaks` logs that are followed, each one line further on."""

    breaks = 0

    def timed_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[float, str]]:
        self.breaks -= 1
        for number, line in enumerate(super().timed_logs(name, follow=follow, tail=tail)):
            if self.breaks >= 0 and number >= 2 - self.breaks:
                raise WorldError("the engine closed the connection")
            yield line


class DeadConnection(FakeRuntime):
    """Gives all lines of a log that is followed, and not its end."""

    def timed_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[float, str]]:
        yield from super().timed_logs(name, follow=follow, tail=tail)
        threading.Event().wait()


def test_a_log_without_an_end_costs_no_model(place: Place) -> None:
    place.patience = replace(place.patience, log_end_seconds=0.5)
    assert place.converge(place.job(1), runtime=DeadConnection(PROJECT, place.engine, place.faults)).ok
    assert place.objects[f"{PROJECT}/jobs/model/1/logs/algo-1.log"] == b"trained\n"
    assert "the log of algo-1 does not end; keeping what was read of it" in [e.text for e in place.events]


@pytest.mark.parametrize(("breaks", "kept"), [(2, "one two three"), (99, "")])
def test_a_broken_log_is_taken_up_again_and_costs_no_model(place: Place, breaks: int, kept: str) -> None:
    place.patience = replace(place.patience, log_pause_seconds=0)
    place.engine.behave("job/model@1", replace(TRAINS, lines=("one", "two", "three")))
    runtime = BrokenStreams(PROJECT, place.engine, place.faults)
    runtime.breaks = breaks
    assert place.converge(place.job(1), runtime=runtime).ok
    log = place.objects[f"{PROJECT}/jobs/model/1/logs/algo-1.log"].decode()
    assert log.split() == kept.split()
    assert [event.text for event in place.events if event.kind is EventKind.LOG] == kept.split()
    notes = [event.text for event in place.events if event.kind is EventKind.NOTE]
    assert notes == ([] if kept else ["its log is incomplete: the engine closed the connection"])


def test_a_retry_that_still_runs_is_not_swept_away_with_its_spec(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(exit_code=1))
    place.converge(place.job(1))
    place.engine.behave("job/model@1", Behaviour(lasts=None))
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    place.converge(place.job(1), cancelled=cancelled, retry=True)
    result = place.converge()
    assert result.outcomes == ()
    assert result.plan.notes == ("job/model@1 is live but in no spec: --prune removes it",)
    assert place.addresses() == ["job/model@1#0"]


def test_a_model_is_served_by_the_image_that_trained_it(place: Place) -> None:
    assert place.converge(place.job(1, image="acme/churn:1")).ok
    manifest = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)]
    trained_with = manifest.images["acme/churn:1"]
    assert place.converge(place.job(1, image="acme/churn:1"), place.endpoint(only="model@1")).ok
    programs = [c.launch.program for c in place.engine.all.values() if c.launch.command == "serve"]
    assert [program.digest for program in programs if isinstance(program, Image)] == [trained_with]
    assert not [event.text for event in place.events if "by now" in event.text]


def test_an_image_that_trained_a_model_and_is_gone_is_told(place: Place) -> None:
    assert place.converge(place.job(1, image="acme/churn:1")).ok
    manifest = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)]
    trained_with = manifest.images["acme/churn:1"].encode()
    place.objects |= {key: content.replace(trained_with, b"sha256:old") for key, content in place.objects.items()}
    assert place.converge(place.job(1, image="acme/churn:1"), place.endpoint(only="model@1")).ok
    (note,) = (event.text for event in place.events if event.kind is EventKind.NOTE)
    assert note.startswith("acme/churn:1 is sha256:")
    assert note.endswith("by now; sha256:old, which trained the model, is not to be had any more")


def manifest_of(place: Place, version: int = 1) -> Manifest:
    return place.world().records.manifests([job_address("model", version)])[job_address("model", version)]


def test_a_job_that_waits_is_stopped_without_its_turn(place: Place) -> None:
    place.engine.behave("job/model@1", replace(TRAINS, lasts=4.0))
    specs = [place.job(version, resources={"cpus": 3}) for version in (1, 2)]
    records = place.world().records
    threading.Timer(0.3, ask_to_stop, (records, job_address("model", 2), "ada on build-7", None)).start()
    result = place.converge(*specs)
    outcomes = {outcome.about: outcome for outcome in result.outcomes}
    assert outcomes["job/model@2"].reason.startswith("Stopped: asked for by ada on build-7")
    assert [outcome.about for outcome in result.outcomes] == ["job/model@2", "job/model@1"], "it did not wait for 1"
    assert manifest_of(place, 2).status is JobStatus.STOPPED
    assert not [key for key in place.objects if key.endswith(("stop.json", "attempts.json"))]


def test_max_wait_counts_while_a_job_waits_for_its_turn(place: Place) -> None:
    place.engine.behave("job/model@1", replace(TRAINS, lasts=5.0))
    limits = {"max_runtime": 1, "max_wait": 1}
    result = place.converge(place.job(1, resources={"cpus": 3}), place.job(2, resources={"cpus": 3}, stopping=limits))
    assert [outcome.about for outcome in result.outcomes] == ["job/model@2", "job/model@1"]
    assert manifest_of(place, 2).reason == "MaxWaitTimeExceeded: waiting and running took longer than 1 s"


def test_only_the_platforms_faults_are_tried_again(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(exit_code=137))
    place.engine.behave("job/model@2", Behaviour(exit_code=1))
    assert not place.converge(place.job(1, retries=1), place.job(2, retries=1)).ok
    assert [attempt.number for attempt in manifest_of(place).attempts] == [1, 2]
    assert manifest_of(place).reason.startswith("InternalServerError: algo-1 was ended from outside (SIGKILL)")
    assert [attempt.number for attempt in manifest_of(place, 2).attempts] == [1]
    assert f"{PROJECT}/jobs/model/1/logs/algo-1.1.log" in place.objects


def test_attempts_are_counted_on_after_any_kill(tmp_path: Path) -> None:
    """Killed before any effect, a job that the platform always ends is begun as often as it may be, and no oftener
    than there were kills beside."""

    def new_place() -> Place:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        place = Place(folder)
        place.engine.behave("job/model@1", Behaviour(exit_code=137))
        return place

    def run(place: Place) -> Converged:
        return place.converge(place.job(1, retries=2, checkpoints=True))

    def check(place: Place) -> None:
        run(place)
        assert len(manifest_of(place).attempts) == 3
        assert place.engine.all == {}

    assert kill_at_every_effect(new_place, run, check) > 15


def test_an_image_without_the_program_is_not_tried_again(place: Place) -> None:
    place.faults.fail = lambda text: CannotStart("no executable train") if text.startswith("start ") else None
    (outcome,) = place.converge(place.job(1, retries=5)).outcomes
    assert outcome.reason == "AlgorithmError: no executable train"
    assert len([call for call in place.faults.calls if call.startswith("start ")]) == 1
    assert place.addresses() == []


def test_a_job_that_the_engine_does_not_start_is_let_go_of_between_two_tries(place: Place) -> None:
    place.faults.fail = lambda text: WorldError("no room") if text.startswith("start ") else None
    cancelled = threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    place.converge(place.job(1, retries=2), cancelled=cancelled)
    assert len([call for call in place.faults.calls if call.startswith("start ")]) == 1
    assert place.addresses() == []


def test_a_job_that_is_stopped_and_whose_container_is_removed_ends_without_a_model(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(lasts=None))
    records = place.world().records
    threading.Timer(0.3, ask_to_stop, (records, job_address("model", 1), "ada on build-7", None)).start()

    def removed_in_the_grace(text: str) -> None:
        if text.startswith("stop "):
            place.engine.all.clear()

    place.faults.fail = removed_in_the_grace
    place.converge(place.job(1))
    manifest = manifest_of(place)
    assert (manifest.status, manifest.reason) == (JobStatus.STOPPED, "Stopped: asked for by ada on build-7")
    assert list(manifest.artifacts) == ["logs/algo-1"]


def test_time_is_counted_over_all_attempts(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(exit_code=137, lasts=0.6))
    place.converge(place.job(1, retries=9, stopping={"max_runtime": 1}))
    assert len(manifest_of(place).attempts) == 2
    assert manifest_of(place).status in (JobStatus.FAILED, JobStatus.STOPPED)
