"""Following a job's containers: their logs, their ends, requests to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.events import EventKind
from sagespec.run.stops import ask_to_stop
from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Container
from tests.fakes import TRAINS, Behaviour, FakeRuntime
from tests.fakes.specs import PROJECT
from tests.place import Place, manifest_of


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
    assert [at for at, _ in points] == pytest.approx([0, 0, 0.9, 1.2], abs=0.4), "by when it was printed, not read"


def test_of_several_hosts_the_one_that_failed_is_named_not_those_stopped_after_it(place: Place) -> None:
    place.engine.behave("job/model@1#0", Behaviour(lasts=None))
    place.engine.behave("job/model@1#1", Behaviour(exit_code=1, lines=("no room on /dev/shm",)))
    place.converge(place.job(1, instances=2))
    manifest = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.exit_codes == {"algo-1": 143, "algo-2": 1}
    assert manifest.reason.startswith("AlgorithmError: algo-2 exited with code 1")
    assert "no room on /dev/shm" in manifest.reason


def test_of_a_progress_bar_what_is_seen_is_kept_and_shown(place: Place) -> None:
    lines = ("\rloss=2\rloss=1\r", "a form\x0cfeed and a line\u2028separator", "")
    place.engine.behave("job/model@1", replace(TRAINS, lines=lines))
    place.converge(place.job(1, metrics=[{"name": "loss", "regex": "^loss=([0-9]+)$"}]))
    seen = ["loss=1", *lines[1:]]
    assert place.objects[f"{PROJECT}/jobs/model/1/logs/algo-1.log"].decode() == "\n".join([*seen, ""])
    assert [event.text for event in place.events if event.kind is EventKind.LOG] == seen
    assert manifest_of(place).metrics == {"loss": 1}


class Looked(FakeRuntime):
    """Counts how many containers it is asked for at once."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.asked: list[int] = []

    def look(self, names: Collection[str]) -> Mapping[str, Container | None]:
        self.asked.append(len(names))
        return super().look(names)


def test_all_hosts_are_asked_for_at_once(place: Place) -> None:
    """An engine of many machines has one place that is asked: ten times a second for each host is too much for it."""
    runtime = Looked(PROJECT, place.engine, place.faults)
    assert place.converge(place.job(1, instances=3), runtime=runtime).ok
    assert set(runtime.asked) == {3}


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
