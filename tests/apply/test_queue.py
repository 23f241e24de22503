"""Jobs that wait for their turn."""

from __future__ import annotations

import threading
from dataclasses import replace

from sagespec.converge import converge
from sagespec.events import Caller, Event, EventKind, Result
from sagespec.run.stops import ask_to_stop
from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Capacity
from tests.fakes import TRAINS, Behaviour
from tests.place import Place, manifest_of


def test_no_more_jobs_run_at_once_than_the_project_allows(place: Place) -> None:
    for version in range(1, 5):
        place.engine.behave(f"job/model@{version}", replace(TRAINS, lasts=0.3))
    assert place.converge(*(place.job(version) for version in range(1, 5))).ok
    assert place.engine.most_training == 2


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
    assert converge(place.run(world, *specs, caller=Caller(note))).ok
    assert held["job/model@1#0"] == ("GPU-a",)
    assert held["job/model@1#1"] == ("GPU-b",)
    assert len(held["job/model@2#0"]) == 2
    assert told_waits(place) == [("job/model@2", "waits for 2 GPUs: 1 of 3 is free; job/model@1 has 2")]


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
    assert not [key for key in place.objects if "/stops/" in key or key.endswith("attempts.json")]


def test_max_wait_counts_while_a_job_waits_for_its_turn(place: Place) -> None:
    place.engine.behave("job/model@1", replace(TRAINS, lasts=5.0))
    limits = {"max_runtime": 1, "max_wait": 1}
    result = place.converge(place.job(1, resources={"cpus": 3}), place.job(2, resources={"cpus": 3}, stopping=limits))
    assert [outcome.about for outcome in result.outcomes] == ["job/model@2", "job/model@1"]
    assert manifest_of(place, 2).reason == "MaxWaitTimeExceeded: waiting and running took longer than 1 s"
