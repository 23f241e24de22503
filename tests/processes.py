"""Several sagespecs at once on one engine and one store, each of which can be killed, suspended or left.

The test is the scheduler: it makes their passes (`Process.step`) and moves the time by which their tasks live
(`tests.fakes.SteppedClock`), so that five hours take seconds and an order of events is one that it chose. All of them
run in this one process, so to each other they are as on other machines, where a lease tells; `kill` makes a process
one of this machine that is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from sagespec.apply.absences import Absences
from sagespec.apply.failures import Failures
from sagespec.errors import SpecError, WorldError
from sagespec.events import Caller, Event, Outcome
from sagespec.passes import Run, Surroundings
from sagespec.reconcile.options import Options
from sagespec.records.holder import SKEW
from sagespec.records.lease import LEASE_SECONDS, Lease
from sagespec.records.leases import AtWork
from sagespec.records.lock import project_lock
from sagespec.state.desired import Desired
from sagespec.state.observed import ContainerState, Observed
from sagespec.state.revision import RollbackRequest, live_revision
from sagespec.verbs.rollback import rollback_target
from tests.fakes import FakeEngine, FakeRuntime, FakeStore, Faults, Killed, ProcessClock, SteppedClock
from tests.fakes.specs import PROJECT, desired_from
from tests.fakes.world import world_on
from tests.place import Place

MOST_PASSES = 60  # that any one step may need: more is an endless loop
Documents = list[Mapping[str, Any]]


class Process:
    """One sagespec: what `watch` does on each wake, or an `apply` that yields, without waiting for anything.

    documents: its specs; the list may be edited.
    """

    def __init__(
        self,
        place: Place,
        name: str,
        documents: Documents,
        *,
        options: Options | None = None,
        yields: bool = False,
        faults: Faults | None = None,
        absences: Absences | None = None,
    ) -> None:
        self.place, self.name, self.documents = place, name, documents
        self.faults = faults or Faults()
        self.time = time_of(place)
        self.clock = ProcessClock(self.time)
        self.events: list[Event] = []
        self.cancelled = threading.Event()
        self.scratch = place.folder / "scratch" / name
        self.scratch.mkdir(parents=True)
        self.world = world_on(
            FakeRuntime(PROJECT, place.engine, self.faults),
            FakeStore(place.objects, self.faults),
            place.folder,
            clock=self.clock,
            patience=place.patience,
            command=name,
            scratch=self.scratch,
            wait=self.clock.sleep,
        )
        self.run = Run(
            Surroundings(self._look, lambda: self.world, self._lock),
            Caller(self.events.append, self.cancelled),
            options or Options(),
            yields,
            Failures(is_patient=not yields, monotonic=self.clock.monotonic),
            absences or Absences(),
        )
        self.errors: list[WorldError] = []  # of passes that could not be made

    def __repr__(self) -> str:
        return f"Process({self.name})"

    def _look(self, at_work: AtWork) -> tuple[Desired, Observed]:
        return self.place.look(self.world, *self.documents, at_work=at_work)

    @contextmanager
    def _lock(self) -> Iterator[Lease]:
        with project_lock(self.world.records.store, PROJECT, command=self.name, clock=self.clock.now) as lock:
            yield lock

    @property
    def is_alive(self) -> bool:
        return not self.faults.is_killed

    def step(self, most: int = MOST_PASSES) -> list[Outcome]:
        """Make passes until none is due, or `most`; errors of the world end it."""
        ended: list[Outcome] = []
        try:
            for _ in range(most):
                if not self.is_alive or not self.run.is_due():
                    break
                ended += self.run.make_pass()
                self.time.rest()
            else:
                assert most < MOST_PASSES, f"{self.name} does not settle: {self.run.plan.text()}"
            if self.is_alive:
                self.run.tell()
        except WorldError as error:  # tried again by the next step, as `watch` does
            self.errors.append(error)
        except Killed:
            pass
        self.time.rest()
        if not self.is_alive:
            self.kill()
        return ended

    def kill(self, *, elsewhere: bool = False) -> None:
        """elsewhere: on another machine, so that its leases alone tell."""
        self.faults.kill()
        if not elsewhere:
            self.place.bury(self.name)

    def resume(self) -> None:
        """After `clock.is_suspended`: all that has slept too long wakes up at once."""
        self.clock.is_suspended = False
        self.time.rest()

    def leave(self) -> None:
        if self.is_alive:
            self.cancelled.set()
            with suppress(Killed):
                self.run.leave()
        if not self.is_alive:
            self.kill()

    @property
    def is_done(self) -> bool:
        """Whether it has nothing to do, and nobody has whom it leaves something to."""
        return not self.run.is_due() and not self.run.waits and not self.run.plan.running


def stepped_place(place: Place, *, at_least_seconds: float = 1.0) -> SteppedClock:
    """Let the place live by a clock that the test moves."""
    clock = SteppedClock(at_least=timedelta(seconds=at_least_seconds))
    place.engine = FakeEngine(clock)
    return clock


def ask_for_rollback(place: Place, documents: Documents) -> bool:
    """Somebody wants the endpoint as it was before; any run carries it out. False if it never was another."""
    records, manifests = place.world().records, place.look(place.world())[1].manifests
    (endpoint,) = desired_from(*documents, manifests=manifests).endpoints
    history = records.history(endpoint.name)
    live = live_revision(history)
    try:
        target = rollback_target(history, live, None) if live else None
    except SpecError:
        target = None
    if target is None:
        return False
    records.write_rollback(
        RollbackRequest(
            endpoint=endpoint.name,
            number=target.number,
            hash=target.hash,
            asked=target.asked,
            instead_of=endpoint.hash,
            after=history[-1].number,
            reason="it was worse",
            by="ada",
            at=time_of(place).now(),
        )
    )
    return True


def time_of(place: Place) -> SteppedClock:
    assert isinstance(place.engine.clock, SteppedClock)
    return place.engine.clock


def finish(place: Place, processes: list[Process], documents: Documents, *, within_seconds: float = 1000) -> Process:
    """Let a further process bring everything to its end, the others going on; all have left then."""
    clock = time_of(place)
    last = Process(place, f"last-{len(list((place.folder / 'scratch').iterdir()))}", documents)
    waited = 0.0
    while True:
        for process in (*processes, last):
            if process.is_alive:
                process.step()
            else:
                process.kill()  # it may have died in a task, where nobody buried it
        if all(process.is_done for process in (*processes, last) if process.is_alive):
            break
        assert waited < within_seconds, f"{last.run.plan.text()}\n{last.run.tasks.all}"
        clock.advance(5)
        waited += 5
    for process in processes:
        process.leave()
    clock.advance(LEASE_SECONDS + SKEW.total_seconds() + 1)
    assert last.run.make_pass() == ()  # as any `apply` does at least; it sweeps what the dead have left in the store
    last.leave()
    return last


def check_nothing_is_left(place: Place, processes: list[Process], *, endpoints: int) -> None:
    """Of jobs that have ended: no container, no volume, no lease, no file. Of models: no volume of a run that lives."""
    left = [str(c.launch.address) for c in place.engine.all.values() if c.launch.address.kind == "job"]
    assert left == []
    used = {mount.volume for c in place.engine.all.values() for mount in c.launch.mounts}
    filled_for_nothing = [volume for volume in place.engine.volumes if volume not in used]
    if all(process.is_alive for process in processes):
        assert filled_for_nothing == []
    assert all("_model_" in volume for volume in filled_for_nothing)  # each runtime sweeps what the dead have filled
    exited = [name for name, c in place.engine.all.items() if c.state is not ContainerState.RUNNING]
    assert exited == []
    assert len([a for a in place.addresses() if a.startswith("endpoint/")]) == endpoints
    assert [key for key in place.objects if "/active/" in key] == []
    assert [key for key in place.objects if key.endswith("attempts.json")] == []
    for process in processes:
        assert not process.is_alive or list(process.scratch.iterdir()) == [], process
