"""Starting a job's containers."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from sagespec.converge import converge
from sagespec.errors import WorldError
from sagespec.events import Caller, Event
from sagespec.records.lease import LeaseLost
from sagespec.run.attempts import Attempts
from sagespec.run.jobs import JobRun, job_run
from sagespec.run.patience import Patience
from sagespec.run.run import run_job
from sagespec.run.start import begin
from sagespec.run.stops import StopRequests, ask_to_stop
from sagespec.runtimes.protocol import CannotStart, NoRoom
from sagespec.state.addresses import job_address
from sagespec.state.observed import Capacity, NodeCapacity
from tests.fakes import TRAINS
from tests.place import Place


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


def test_a_host_is_told_of_the_processors_of_one_node_and_not_of_all(place: Place) -> None:
    place.engine.capacity = Capacity.of([NodeCapacity("n1", 4, 2**33), NodeCapacity("n2", 3.5, 2**33)])
    assert begin(Taken(place).run) is None
    (container,) = place.engine.all.values()
    assert container.launch.environment["SM_NUM_CPUS"] == "4"


def test_a_job_for_which_no_node_has_room_waits_and_holds_nothing_meanwhile(place: Place) -> None:
    place.patience = Patience(seconds=0, first_pause_seconds=0.01)
    is_full = {"job/model@1": True}

    def fail(text: str) -> Exception | None:
        """The second host finds no room at first."""
        if text.startswith("create ") and place.addresses() and is_full.pop("job/model@1", False):
            return NoRoom("no suitable node")
        return None

    seen: list[list[str]] = []

    def note(event: Event) -> None:
        if event.text == "no suitable node":
            seen.append(place.addresses())

    place.faults.fail = fail
    assert converge(place.run(place.world(), place.job(1, instances=2, retries=0), caller=Caller(note))).ok
    assert seen == [[]]


def test_a_job_that_waits_for_a_node_ends_when_its_max_wait_is_over_or_it_is_to_stop(place: Place) -> None:
    place.faults.fail = lambda text: NoRoom("no suitable node") if text.startswith("create ") else None
    limits = {"max_runtime": 1, "max_wait": 1}
    (outcome,) = place.converge(place.job(1, stopping=limits)).outcomes
    assert "MaxWaitTimeExceeded: waiting and running took longer than 1 s" in outcome.reason
    records = place.world().records
    threading.Timer(0.3, ask_to_stop, (records, job_address("model", 2), "ada on build-7", None)).start()
    (outcome,) = place.converge(place.job(2)).outcomes
    assert "Stopped: asked for by ada on build-7" in outcome.reason
    assert place.addresses() == []


class Taken:
    """A job that is to stop, and that another run has taken over: they collect it when its containers have stopped."""

    def __init__(self, place: Place) -> None:
        world = place.world()
        self.job = place.look(world, place.job(1))[0].jobs[0]
        self.jobs, self.caller = world.jobs, Caller(guard=self.guard)
        self.attempts = Attempts(world.records, self.job, world.clock)
        self.stop = StopRequests(world.records, self.job.address, None)
        self.is_lost = False

    @property
    def run(self) -> JobRun:
        return job_run(self.jobs, self.job, self.attempts, self.stop, self.caller)

    def lose(self) -> None:
        self.is_lost = True
        ask_to_stop(self.jobs.records, self.job.address, "ada on build-7", None)
        self.stop.refresh()

    def guard(self) -> None:
        if self.is_lost:
            raise LeaseLost("the lease of job/model@1 was lost")


def test_a_job_taken_over_while_it_is_prepared_keeps_its_containers_when_it_is_to_stop(place: Place) -> None:
    taken = Taken(place)
    place.faults.fail = lambda text: taken.lose() if text.endswith("attempts.json") else None
    with pytest.raises(LeaseLost):
        begin(taken.run)
    assert place.addresses() == ["job/model@1#0"]


def test_a_job_taken_over_while_it_waits_is_not_said_to_have_stopped(place: Place) -> None:
    taken = Taken(place)
    taken.lose()
    with pytest.raises(LeaseLost):
        run_job(taken.jobs, taken.job, taken.caller)
    assert taken.jobs.records.manifests([taken.job.address]) == {}


@pytest.mark.parametrize(
    ("fields", "content_type"),
    [
        ({"input_mode": "pipe"}, "text/csv"),
        ({"input_mode": "pipe", "content_type": "text/libsvm"}, "text/libsvm"),
        ({"input_mode": "file"}, None),  # the program sees the names itself
    ],
)
def test_an_algorithm_is_told_what_the_files_in_its_pipe_are_called(
    place: Place, fields: dict[str, str], content_type: str | None
) -> None:
    channel = {"source": str(place.folder / "train.csv")} | fields
    told = told_of_channel(place, place.job(1, channels={"train": channel}))
    assert told.get("ContentType") == content_type


def test_another_program_is_told_what_the_spec_says(place: Place) -> None:
    channel = {"source": str(place.folder / "train.csv"), "input_mode": "pipe"}
    assert "ContentType" not in told_of_channel(place, place.job(1, image="theirs:1", channels={"train": channel}))


def told_of_channel(place: Place, job: dict[str, Any]) -> dict[str, Any]:
    """What a host of the job reads of the channel train in its inputdataconfig.json."""
    place.engine.behave("job/model@1", replace(TRAINS, lasts=None))
    cancelled = threading.Event()
    threading.Timer(0.4, cancelled.set).start()
    place.converge(job, cancelled=cancelled)
    host = next(container for container in place.engine.all.values() if not container.launch.address.is_companion)
    told: dict[str, Any] = json.loads(host.files["input/config/inputdataconfig.json"])["train"]
    return told


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"_SUCCESS": "", ".a.csv.crc": "x"}, "names that begin with a dot or an underscore are no data"),
        ({"a.csv": "", "_b": "1"}, "its files are empty"),
    ],
)
def test_a_channel_in_which_no_algorithm_finds_a_row_is_refused(place: Place, files: dict[str, str], why: str) -> None:
    (place.folder / "data").mkdir()
    for name, text in files.items():
        (place.folder / "data" / name).write_text(text)
    (outcome,) = place.converge(place.job(1, channels={"train": str(place.folder / "data")})).outcomes
    said = outcome.reason.splitlines()
    assert said[0] == f"channel train: there are no data at {place.folder / 'data'}"
    assert said[1].split(maxsplit=1) == ["why", why]
