"""What a job may write beside its results is no evidence of how it began, or why it ended."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sagespec.clock import RealClock
from sagespec.events import EventKind
from sagespec.run.attempts import Attempts
from sagespec.run.faults import Ending
from sagespec.run.notes import ENDING_FILE, note_of, read_note
from sagespec.run.stops import ask_to_stop
from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus, Started
from tests.fakes import TRAINS, Behaviour, Killed
from tests.fakes.specs import PROJECT
from tests.place import Place, manifest_of

STARTED_FILE = "input/config/sagespec.json"  # where earlier releases kept it
CHECKPOINTS_FILE = "input/config/sagespec-checkpoints.json"
LONG_AGO: dict[str, Any] = {
    "started_at": "1999-01-01T00:00:00Z",
    "image_digest": "sha256:none",
    "inputs": {},
    "git": {"commit": "deadbeef", "dirty": False},
    "downloading_seconds": 0.5,
}
STOPPED = b'{"reason":"Stopped: asked for by ada on build-7","by_themselves":[]}'
SLOW = replace(TRAINS, lasts=1.0)


def leave_running(place: Place, **more: Any) -> None:
    """Begin job/model@1, and end the run in the middle of it."""
    cancelled = threading.Event()
    threading.Timer(0.4, cancelled.set).start()
    assert place.converge(place.job(1, **more), cancelled=cancelled).cancelled
    place.events.clear()


def of_an_earlier_release(place: Place, **files: bytes) -> None:
    """Let the store have nothing, and the container what is given: started, checkpoints, ending."""
    del place.objects[f"{PROJECT}/jobs/model/1/attempts.json"]
    (container,) = place.engine.all.values()
    paths = {"started": STARTED_FILE, "checkpoints": CHECKPOINTS_FILE, "ending": ENDING_FILE}
    container.files |= {paths[kind]: content for kind, content in files.items()}


def notes(place: Place) -> list[str]:
    return [event.text for event in place.events if event.kind is EventKind.NOTE]


@pytest.mark.parametrize("lie", [b"{not json", json.dumps(LONG_AGO).encode(), b"\xff" * 100, None])
def test_what_a_job_says_of_its_start_counts_for_nothing(place: Place, lie: bytes | None) -> None:
    place.engine.behave("job/model@1", replace(SLOW, files={**TRAINS.files, **({STARTED_FILE: lie} if lie else {})}))
    begun = datetime.now(UTC)
    leave_running(place, stopping={"max_runtime": 100})
    assert place.converge(place.job(1, stopping={"max_runtime": 100})).ok
    manifest = manifest_of(place)
    assert (manifest.status, manifest.git, list(manifest.inputs)) == (JobStatus.COMPLETED, None, ["train"])
    assert manifest.started_at >= begun
    assert sum(place.engine.starts.values()) == 1
    assert not [key for key in place.objects if key.endswith("attempts.json")]


@pytest.mark.parametrize("lie", [STOPPED, b'{"reason":"InternalServerError: x"}', b"[]", b"\xff"])
def test_what_a_job_says_of_its_end_counts_for_nothing(place: Place, lie: bytes) -> None:
    place.engine.behave("job/model@1", replace(SLOW, exit_code=1, files={ENDING_FILE: lie}))
    leave_running(place)
    place.converge(place.job(1))
    assert manifest_of(place).reason.startswith("AlgorithmError: algo-1 exited with code 1")
    assert sum(place.engine.starts.values()) == 1


def test_a_note_of_an_end_is_read_back_by_whoever_has_the_key() -> None:
    started = Started(**LONG_AGO, seal_key="of this attempt")
    ending = Ending(reason="MaxRuntimeExceeded: x", by_themselves=("algo-2",))
    assert read_note(note_of(ending, started), started) == ending
    assert read_note(note_of(ending, started), started.model_copy(update={"seal_key": "of the next"})) is None
    forged = json.loads(note_of(ending, started)) | {"reason": "Stopped: asked for by ada"}
    assert read_note(json.dumps(forged).encode(), started) is None


def test_killed_in_the_grace_the_next_knows_why_the_job_was_stopped(place: Place) -> None:
    place.engine.behave("job/model@1", replace(TRAINS, lasts=None))

    def killed_in_the_grace(text: str) -> None:
        if text.startswith("stop "):
            place.engine.end(next(iter(place.engine.all.values())), 143)
            place.faults.kill()
            place.faults.look()

    place.faults.fail = killed_in_the_grace
    with pytest.raises(Killed):
        place.converge(place.job(1, stopping={"max_runtime": 1}))
    place.faults.revive()
    place.bury()
    place.converge(place.job(1, stopping={"max_runtime": 1}))
    assert manifest_of(place).reason == "MaxRuntimeExceeded: it ran longer than 1 s"
    assert "model" in manifest_of(place).artifacts


def test_a_job_that_an_earlier_release_began_is_taken_up(place: Place) -> None:
    place.engine.behave("job/model@1", replace(SLOW, lasts=None))
    leave_running(place, stopping={"max_runtime": 1000}, checkpoints=True)
    now = datetime.now(UTC).isoformat()
    of_an_earlier_release(
        place, started=json.dumps(LONG_AGO | {"started_at": now}).encode(), checkpoints=b"[1, 2]", ending=STOPPED
    )
    place.converge(place.job(1, stopping={"max_runtime": 1000}, checkpoints=True))
    manifest = manifest_of(place)
    assert manifest.git is not None
    assert manifest.git.commit == "deadbeef"
    assert manifest.reason == "Stopped: asked for by ada on build-7"
    assert sum(place.engine.starts.values()) == 1


DAMAGED = {
    "no JSON": b"{not json",
    "another kind": b"[]",
    "no zone": json.dumps(LONG_AGO | {"started_at": "1999-01-01T00:00:00"}).encode(),
    "no number": json.dumps(LONG_AGO | {"downloading_seconds": float("nan")}).encode(),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_job_of_an_earlier_release_whose_notes_are_damaged_begins_again(place: Place, case: str) -> None:
    place.engine.behave("job/model@1", replace(SLOW, lasts=None))
    leave_running(place)
    of_an_earlier_release(place, started=DAMAGED[case])
    place.engine.behave("job/model@1", TRAINS)
    assert place.converge(place.job(1)).ok
    assert notes(place) == ["how its containers were started is not known; it is started again"]
    assert sum(place.engine.starts.values()) == 2


def test_a_job_of_an_earlier_release_whose_notes_are_damaged_can_be_stopped(place: Place) -> None:
    place.engine.behave("job/model@1", replace(SLOW, lasts=None))
    leave_running(place)
    of_an_earlier_release(place, started=b"{not json")
    ask_to_stop(place.world().records, job_address("model", 1), "ada on build-7", None)
    place.converge(place.job(1))
    assert manifest_of(place).reason == "Stopped: asked for by ada on build-7"
    assert place.addresses() == []


def test_a_record_of_attempts_that_is_older_than_the_manifest_is_swept_with_the_containers(place: Place) -> None:
    def killed_before_it_is_forgotten(text: str) -> None:
        if text == f"delete {PROJECT}/jobs/model/1/attempts.json":
            place.faults.kill()
            place.faults.look()

    place.faults.fail = killed_before_it_is_forgotten
    with pytest.raises(Killed):
        place.converge(place.job(1))
    place.faults.revive()
    place.bury()
    assert place.addresses() == ["job/model@1#0"]
    assert [key for key in place.objects if key.endswith("attempts.json")]
    assert place.converge(place.job(1)).ok
    assert (place.addresses(), manifest_of(place).status) == ([], JobStatus.COMPLETED)
    assert not [key for key in place.objects if key.endswith("attempts.json")]


def test_a_record_counts_though_the_clock_behind_the_manifest_before_it_was_ahead(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(exit_code=1))
    place.converge(place.job(1))
    key = f"{PROJECT}/jobs/model/1/manifest.json"
    ahead = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    place.objects[key] = json.dumps(json.loads(place.objects[key]) | {"ended_at": ahead}).encode()
    world = place.world()
    (job,) = place.look(world, place.job(1))[0].jobs
    started = Started(**LONG_AGO, seal_key="of this attempt")
    Attempts(world.records, job, RealClock()).begin(started)
    assert Attempts(world.records, job, RealClock()).started == started
