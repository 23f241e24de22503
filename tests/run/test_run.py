"""One job from its inputs to its manifest, through kills, losses and further attempts."""

from __future__ import annotations

import io
import random
import resource
import tarfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagespec.apply.effects import carry_out
from sagespec.converge import Converged
from sagespec.errors import WorldError
from sagespec.events import Caller, EventKind
from sagespec.reconcile.reconcile import reconcile
from sagespec.records.lease import LeaseLost
from sagespec.run.run import run_job
from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from tests.fakes import TRAINS, Behaviour
from tests.fakes.clock import START
from tests.fakes.engine import Link
from tests.fakes.specs import PROJECT
from tests.place import Place, kill_at_every_effect, manifest_of


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


def test_a_store_that_fails_at_the_end_of_a_job_costs_no_training(place: Place) -> None:

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


def test_a_disk_that_is_full_while_a_model_is_packed_costs_no_training(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(files={"model/m.bin": random.Random(1).randbytes(3 << 20)}))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        first = place.converge(place.job(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "model.tar.gz" in first.failures[0].reason
    assert len(place.engine.all) == 1
    assert place.converge(place.job(1)).ok
    assert "model" in manifest_of(place).artifacts


def test_a_model_that_no_archive_may_hold_fails_the_job_but_is_kept(place: Place) -> None:
    files = {"model/m.bin": b"hours of work", "model/last": Link(b"/data/m"), "output/data/notes": b"1"}
    place.engine.behave("job/model@1", Behaviour(files=files))
    result = place.converge(place.job(1))
    assert not result.ok
    manifest = manifest_of(place)
    assert manifest.status is JobStatus.FAILED
    key = f"{PROJECT}/jobs/model/1/model.unfit.tar"
    assert manifest.reason == (
        "AlgorithmError: /opt/ml/model holds 'last', a link to '/data/m', which is not in /opt/ml/model; "
        "an archive may hold files and folders below its root, as SageMaker's hosting has it; "
        f"put the file itself there, or remove it; the folder is kept as it was, in the store: {key}"
    )
    with tarfile.open(fileobj=io.BytesIO(place.objects[key])) as kept:
        assert kept.extractfile("m.bin").read() == b"hours of work"  # type: ignore[union-attr]
    assert sorted(manifest.artifacts) == ["logs/algo-1", "model.unfit", "output"]
    assert place.engine.all == {}


def test_what_each_host_left_is_kept_of_a_model_that_does_not_fit(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(files={"model/../../etc/passwd": b"x"}))
    place.converge(place.job(1, instances=2))
    kept = [key.rpartition("/")[2] for key in place.objects if ".unfit" in key]
    assert kept == ["model.unfit.algo-1.tar", "model.unfit.algo-2.tar"]


def test_what_does_not_fit_into_the_output_is_left_out_with_a_note(place: Place) -> None:
    files = {**TRAINS.files, "output/data/latest": Link(b"gone"), "output/data/a\\b": b"1"}
    place.engine.behave("job/model@1", replace(TRAINS, files=files))
    assert place.converge(place.job(1)).ok
    manifest = manifest_of(place)
    assert manifest.status is JobStatus.COMPLETED
    assert sorted(manifest.artifacts) == ["logs/algo-1", "model", "output"]
    assert manifest.notes == (
        "left out of output.tar.gz: 'latest', a link to 'gone', which is not there",
        "output.tar.gz has names that not every system can have: 'a\\\\b'",
    )
    said = [event.text for event in place.events if event.kind is EventKind.NOTE]
    assert said == list(manifest.notes)


def test_a_lease_lost_while_a_job_runs_keeps_its_model_out_of_the_store(place: Place) -> None:

    world = place.world()
    desired, _ = place.look(world, place.job(1))

    def guard() -> None:
        if place.engine.all:  # others have taken over since it began
            raise LeaseLost("the lease was taken over")

    with pytest.raises(WorldError, match="the lease was taken over"):
        run_job(world.jobs, desired.jobs[0], Caller(place.events.append, guard=guard))
    assert place.objects == {}
    assert place.addresses() == ["job/model@1#0"], "whoever follows it next picks it up"
    assert place.converge(place.job(1)).ok


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
    for action in plan:
        carry_out(action, world, Caller(place.events.append))
    order = [call.partition(" ")[0] for call in place.faults.calls if "remove" in call or "create" in call]
    assert order == ["remove", "remove", "create", "create", "remove", "remove"], "no second half beside an old first"
    first, last = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)].attempts
    assert first.reason.startswith("InternalServerError: the container of algo-2 was removed")
    assert last.reason == ""


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


def test_time_is_counted_over_all_attempts(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(exit_code=137, lasts=0.6))
    place.converge(place.job(1, retries=9, stopping={"max_runtime": 1}))
    assert len(manifest_of(place).attempts) == 2
    assert manifest_of(place).status in (JobStatus.FAILED, JobStatus.STOPPED)
