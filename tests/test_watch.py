"""What wakes a pass, what does not end the watch, and what it does while no pass gets through."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sagespec.apply.failures import Failures
from sagespec.errors import WorldError
from sagespec.events import Caller, Event, EventKind
from sagespec.passes import Run
from sagespec.records.leases import AtWork
from sagespec.serve.repair import Repair
from sagespec.standby import Standby
from sagespec.state.desired import Desired
from sagespec.state.observed import ContainerState, Observed
from sagespec.stores.protocol import StoreAway
from sagespec.watch import ENGINE, FILES, REQUEST, watch, with_what_came
from tests.fakes import TRAINS, FakeRuntime
from tests.fakes.engine import FakeContainer
from tests.fakes.specs import PROJECT
from tests.place import Place

AWAY = StoreAway("s3://acme/models: http://127.0.0.1:9 does not answer")


@dataclass
class Watched:
    """A project that serves, watched in a thread. refuse: what a store does that is away: raises, or hangs."""

    place: Place
    specs: Path
    events: list[Event] = field(default_factory=list)
    refuse: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.specs.mkdir()
        documents = self.place.job(1), self.place.endpoint(only="model@1")
        assert self.place.converge(*documents).ok
        self.world = self.place.world()
        caller = Caller(self.events.append)
        self.cancelled = caller.cancelled
        run = self.place.run(self.world, *documents, caller=caller)
        repair = Repair(lambda: self.world.runtime, lambda: self.world.gateway, self.events.append)
        self.standby = Standby(repair, self.events.append)

        def look(at_work: AtWork) -> tuple[Desired, Observed]:
            self.refuse()
            return run.around.look(at_work)

        around = self.standby.around(replace(run.around, look=look))
        self.run = Run(around, caller, yields=False, failures=Failures(is_patient=True))

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(
            target=watch, args=(self.run, self.standby, self.world.runtime, [self.specs]), kwargs={"every_seconds": 0.2}
        )
        thread.start()
        try:
            yield
        finally:
            self.cancelled.set()
            thread.join(20)
            assert not thread.is_alive()

    @property
    def instance(self) -> FakeContainer:
        return next(c for c in self.place.engine.all.values() if c.launch.address.variant)

    @property
    def starts(self) -> list[str]:
        """How the instance came to run: made anew, or started as it is."""
        name = self.instance.launch.name
        return [call for call in self.place.faults.calls if call in (f"create {name}", f"start {name}")]

    def kill(self) -> None:
        self.place.engine.end(self.instance, 137)

    def is_up(self) -> bool:
        return self.instance.state is ContainerState.RUNNING

    def told(self, kind: EventKind) -> list[str]:
        return [event.text for event in self.events if event.kind is kind]


@pytest.fixture
def watched(place: Place, tmp_path: Path) -> Watched:
    return Watched(place, tmp_path / "specs")


def until(claim: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_a_disk_that_refuses_is_told_and_the_next_pass_comes(place: Place, tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    looks, events = 0, list[Event]()
    world = place.world()
    caller = Caller(events.append)
    run = place.run(world, caller=caller)
    look = run.around.look

    def failing(at_work: AtWork) -> tuple[Desired, Observed]:
        nonlocal looks
        looks += 1
        if looks == 1:
            (specs / "spec.yaml").write_text("")  # somebody edits: no need to wait
            raise OSError(28, "No space left on device", "/project/.sagespec")
        caller.cancelled.set()
        return look(at_work)

    standby = Standby(Repair(lambda: world.runtime, lambda: world.gateway, events.append), events.append)
    watching = Run(replace(run.around, look=failing), caller, yields=False, failures=Failures(is_patient=True))
    watch(watching, standby, world.runtime, [specs], every_seconds=60)
    assert looks == 2
    (told,) = (event for event in events if event.kind is EventKind.FAILED)
    assert "No space left on device" in told.text


def test_while_the_store_is_away_what_dies_is_started_again_and_both_are_told_once(watched: Watched) -> None:
    answers = iter(range(100))

    def refuse() -> None:
        raise StoreAway(f"s3://acme/models/{next(answers)}: http://127.0.0.1:9 does not answer")

    before = len(watched.starts)
    watched.refuse = refuse
    with watched.running():
        watched.kill()
        until(watched.is_up)
        (watched.specs / "a.yaml").write_text("")  # a pass at once
        until(lambda: next(answers) > 2)
        assert watched.told(EventKind.FAILED) == ["s3://acme/models/0: http://127.0.0.1:9 does not answer"]
        watched.refuse = lambda: None
        (watched.specs / "a.yaml").write_text(" ")
        until(lambda: bool(watched.told(EventKind.SETTLED)))
    assert [text for text in watched.told(EventKind.NOTE) if text.startswith("the store is back after ")]
    assert watched.told(EventKind.NOTE)[0] == "it exited with code 137; it is started again"
    assert len(watched.told(EventKind.NOTE)) == 2
    assert watched.starts[before:] == [f"start {watched.instance.launch.name}"], "as it was, and once"


def test_a_pass_that_hangs_in_the_store_keeps_nobody_from_repairs(watched: Watched) -> None:
    answers = threading.Event()

    def hang() -> None:
        answers.wait(20)

    watched.refuse = hang
    before = len(watched.starts)
    with watched.running():
        watched.kill()
        until(watched.is_up)
        assert watched.told(EventKind.FAILED) == []
        answers.set()
        until(lambda: bool(watched.place.addresses()))
    assert watched.starts[before:] == [f"start {watched.instance.launch.name}"]


def test_the_passes_repair_while_the_store_answers(watched: Watched) -> None:
    before = len(watched.starts)
    with watched.running():
        watched.kill()
        until(watched.is_up)
    name = watched.instance.launch.name
    assert watched.starts[before:] == [f"create {name}", f"start {name}"]
    assert watched.told(EventKind.NOTE) == []


def test_another_reason_is_told_as_well(watched: Watched) -> None:
    reasons = [AWAY, WorldError("the engine does not answer"), AWAY, AWAY]
    passes = 0

    def refuse() -> None:
        nonlocal passes
        passes += 1
        raise reasons[min(passes, len(reasons)) - 1]

    watched.refuse = refuse
    watched.kill()
    with watched.running():
        for number in range(1, len(reasons)):
            until(lambda number=number: passes >= number)  # type: ignore[misc]
            (watched.specs / "a.yaml").write_text(str(number))  # else the next one waits for a while
    assert watched.told(EventKind.FAILED) == [AWAY.problems[0].what, "the engine does not answer"]


class Silent(FakeRuntime):
    """An engine whose events tell nothing."""

    @contextmanager
    def events(self) -> Iterator[Iterator[str]]:
        left = threading.Event()
        try:
            yield (str(left.wait()) for _ in range(1))
        finally:
            left.set()


class SlowToOpen(FakeRuntime):
    """An engine whose stream of events takes its time to open."""

    def __init__(self, place: Place) -> None:
        super().__init__(PROJECT, place.engine)
        self.opening, self.may_open, self.closed = threading.Event(), threading.Event(), threading.Event()

    @contextmanager
    def events(self) -> Iterator[Iterator[str]]:
        self.opening.set()
        assert self.may_open.wait(20)
        try:
            yield iter(["a-container"])
        finally:
            self.closed.set()


@contextmanager
def watching(
    place: Place,
    specs: Path,
    failures: Failures,
    *documents: dict[str, object],
    wakes: queue.SimpleQueue[str] | None = None,
    runtime: FakeRuntime | None = None,
) -> Iterator[Run]:
    """Woken by a file, a request or a task, since the engine is silent and the timer is far."""
    specs.mkdir()
    world = place.world()
    run = place.run(world, *documents, caller=Caller(place.events.append))
    run = Run(run.around, run.caller, yields=False, failures=failures)
    standby = Standby(Repair(lambda: world.runtime, lambda: world.gateway, place.events.append), place.events.append)
    runtime = runtime or Silent(PROJECT, place.engine)
    thread = threading.Thread(
        target=watch, args=(run, standby, runtime, [specs]), kwargs={"every_seconds": 600, "wakes": wakes}
    )
    thread.start()
    try:
        yield run
    finally:
        run.caller.cancelled.set()
        thread.join(20)
        assert not thread.is_alive()


def test_the_end_of_a_task_wakes_a_pass(place: Place, tmp_path: Path) -> None:
    place.engine.behave("job/model@1", replace(TRAINS, lasts=0.5))
    documents = place.job(1), place.endpoint(only="model@1")
    with watching(place, tmp_path / "specs", Failures(is_patient=True), *documents) as run:
        until(lambda: any("endpoint" in about for about in place.addresses()))
        until(lambda: not run.waits)
        settled = ["everything is up to date (woken by task)"]
        until(lambda: [e.text for e in place.events if e.kind is EventKind.SETTLED][-1:] == settled)


def test_what_failed_waits_for_its_pause_and_an_edit_ends_that(place: Place, tmp_path: Path) -> None:
    assert place.converge(place.job(1)).ok
    failures = Failures(is_patient=True, monotonic=lambda: 0.0)  # no pause ever ends by itself
    place.faults.fail = lambda text: WorldError("no room") if text.startswith("create") and "answers" in text else None
    documents = place.job(1), place.endpoint(only="model@1")
    with watching(place, tmp_path / "specs", failures, *documents) as run:
        until(lambda: "no room" in str([event.text for event in place.events if event.kind is EventKind.FAILED]))
        place.faults.fail = lambda _text: None
        run.woken.set()
        until(lambda: not run.woken.is_set())
        assert not any("endpoint" in about for about in place.addresses()), "its pause is not over"
        (tmp_path / "specs" / "spec.yaml").write_text("")
        until(lambda: any("endpoint" in about for about in place.addresses()))
    ends = [e.kind for e in place.events if e.action == "start-instance"]
    assert [kind for kind in ends if kind in (EventKind.FAILED, EventKind.FINISHED)] == [
        EventKind.FAILED,
        EventKind.FINISHED,
    ]


def test_what_is_refused_is_told_once(place: Place, tmp_path: Path) -> None:
    assert place.converge(place.job(1)).ok
    edited = place.job(1) | {"hyperparameters": {"num_round": 41}}
    unserved = place.endpoint(only="model@1")
    with watching(place, tmp_path / "specs", Failures(is_patient=True), edited, unserved) as run:
        until(lambda: [e.text for e in place.events if e.kind is EventKind.SETTLED] != [])
        (tmp_path / "specs" / "a.yaml").write_text("")
        until(lambda: not run.waits)
    told = [e.text for e in place.events if e.kind is EventKind.NOTE and e.text.startswith("refused: ")]
    assert [text.partition(" is ")[0] for text in told] == ["refused: hyperparameters.num_round"]


def test_a_request_wakes_a_pass_and_ends_the_pause_of_what_failed(place: Place, tmp_path: Path) -> None:
    assert place.converge(place.job(1)).ok
    failures = Failures(is_patient=True, monotonic=lambda: 0.0)
    place.faults.fail = lambda text: WorldError("no room") if text.startswith("create") and "answers" in text else None
    wakes: queue.SimpleQueue[str] = queue.SimpleQueue()
    documents = place.job(1), place.endpoint(only="model@1")
    with watching(place, tmp_path / "specs", failures, *documents, wakes=wakes):
        until(lambda: "no room" in str([event.text for event in place.events if event.kind is EventKind.FAILED]))
        place.faults.fail = lambda _text: None
        wakes.put(REQUEST)
        until(lambda: any("endpoint" in about for about in place.addresses()))


@pytest.mark.parametrize(
    ("came", "cause"), [([], REQUEST), ([REQUEST, REQUEST, ENGINE], REQUEST), ([REQUEST, FILES, REQUEST], FILES)]
)
def test_what_somebody_may_still_be_writing_is_waited_for(came: list[str], cause: str) -> None:
    wakes: queue.SimpleQueue[str] = queue.SimpleQueue()
    for one in came:
        wakes.put(one)
    assert with_what_came(wakes) == cause
    assert wakes.empty()


def test_a_stream_of_events_that_is_still_being_opened_at_the_end_is_closed_once_it_is_open(
    place: Place, tmp_path: Path
) -> None:
    slow = SlowToOpen(place)
    with watching(place, tmp_path / "specs", Failures(is_patient=True), runtime=slow):
        assert slow.opening.wait(20)
    assert not slow.closed.is_set(), "the end waits for nobody"
    slow.may_open.set()
    assert slow.closed.wait(20)
