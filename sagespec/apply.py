"""Carries a plan out: walks its graph, side by side where it may, and decides nothing.

Called by `converge`. One function an action; each is safe to repeat after a kill at any line. What an
action reports goes out as events, how it ended as an `Outcome`.
"""

from __future__ import annotations

import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

from sagespec.archive import unpack
from sagespec.contract import SERVE_GRACE_SECONDS, serving_environment
from sagespec.errors import InternalError, SagespecError, WorldError
from sagespec.events import Event, EventKind, Outcome, Report, Result
from sagespec.gateway import Gateway
from sagespec.manifest import Git, Manifest, Revision, RevisionStatus
from sagespec.plan import (
    Action,
    AwaitHealthy,
    DrainInstance,
    Plan,
    Reason,
    RecordRevision,
    RemoveContainer,
    RemoveInstance,
    RunJob,
    SetRoutes,
    StartGateway,
    StartInstance,
)
from sagespec.queue import Request, holders, needs_of, turns
from sagespec.records import Records
from sagespec.runtimes import Runtime
from sagespec.state import Address, Capacity, ContainerState, Launch, Program, Target
from sagespec.stores import open_store
from sagespec.train import Cancelled, Trainer

MAX_MODEL_BYTES = 64 * 2**30  # an unpacked model larger than this is taken for a bomb
PROBE_EVERY_SECONDS = 0.2
LOG_LINES_SHOWN = 15
CRASHES_ALLOWED = 2  # restarts by the engine while an instance is waited for, before it counts as failed
PARALLEL_ACTIONS = 8
SIGNALS_SEEN_EVERY_SECONDS = 0.5
OTHERS_SEEN_EVERY_SECONDS = 2.0
STOPS_SEEN_EVERY_SECONDS = 2.0


class Unhealthy(WorldError):
    """New instances did not become healthy: a verdict on what was asked, not a fault of the world."""


@dataclass(frozen=True)
class World:
    """What actions act on. `root` is the project's folder, `scratch` a folder for what may be lost."""

    runtime: Runtime
    gateway: Gateway
    records: Records
    trainer: Trainer
    root: Path
    scratch: Path
    git: Git | None = None


def apply(
    plan: Plan,
    world: World,
    report: Report,
    *,
    parallel_jobs: int = 2,
    capacity: Capacity | None = None,
    cancelled: threading.Event | None = None,
    guard: Callable[[], None] = lambda: None,
) -> tuple[Outcome, ...]:
    """Carry out every action of the plan; the outcomes in the order they ended.

    An action runs when all it waits for are done, a job also only when it is its turn (sagespec/queue.py); it is
    skipped when one of those was not done. capacity: of the engine, where a job states what it needs. Setting
    `cancelled` stops new actions and lets go of running jobs, which a later apply takes up. `guard` is
    called before each action, and again before a job's results go to the store; what it raises ends that action,
    and so all that wait for it.
    """
    cancelled = cancelled or threading.Event()
    waiting = list(plan.actions)
    running: dict[Future[Outcome], Action] = {}
    results: dict[str, Result] = {}
    outcomes: list[Outcome] = []
    queue = _Queue(plan, world, report, parallel_jobs=parallel_jobs, capacity=capacity)
    with (
        ThreadPoolExecutor(PARALLEL_ACTIONS + queue.most_at_once + 1, thread_name_prefix="apply") as pool,
        _cancelling(cancelled),  # inside: the pool waits for what runs
    ):
        while waiting or running:
            ready = [action for action in waiting if results.keys() >= set(action.after)]
            for action in queue.due(ready, running.values(), pool, begin_nothing=cancelled.is_set()):
                waiting.remove(action)
                outcome = _not_begun(action, results, cancelled)
                if outcome is None:
                    running[pool.submit(_carry_out, action, world, report, cancelled, guard)] = action
                    continue
                _settle(outcome, results, outcomes, report)
            if not running:
                if queue.is_held_up:  # by jobs that are not ours to follow
                    cancelled.wait(SIGNALS_SEEN_EVERY_SECONDS)
                continue
            # Not without end: a signal that another thread received is handled when this one wakes.
            for future in wait(running, SIGNALS_SEEN_EVERY_SECONDS, FIRST_COMPLETED).done:
                del running[future]
                _settle(future.result(), results, outcomes, report)
    return tuple(outcomes)


@contextmanager
def _cancelling(cancelled: threading.Event) -> Iterator[None]:
    """Let what runs end soon when the block is left by an exception: Ctrl-C in a notebook, a reader gone."""
    try:
        yield
    except BaseException:
        cancelled.set()
        raise


class _Queue:
    """The jobs of one plan in the order in which they came to be ready. Why one waits is told when it changes."""

    def __init__(
        self, plan: Plan, world: World, report: Report, *, parallel_jobs: int, capacity: Capacity | None
    ) -> None:
        jobs = [action for action in plan.actions if isinstance(action, RunJob)]
        self._own = {action.about for action in jobs}
        self._world, self._report = world, report
        self._parallel_jobs, self._capacity = parallel_jobs, capacity
        self._came: dict[Address, int] = {}
        self._wanted: set[Address] = set()
        self._sweep: Future[set[Address]] | None = None
        self._swept_at = float("-inf")
        self._told: dict[Address, str] = {}
        self._others: tuple[Request, ...] = ()
        self._looked_at = float("-inf")
        self.most_at_once = parallel_jobs + sum(map(_is_adopted, jobs))
        self.is_held_up = False

    def due(
        self, ready: Iterable[Action], running: Iterable[Action], pool: ThreadPoolExecutor, *, begin_nothing: bool
    ) -> list[Action]:
        """Those of the ready actions that are to be begun now: all but the jobs whose turn it is not."""
        others = [action for action in ready if not isinstance(action, RunJob)]
        jobs = [action for action in ready if isinstance(action, RunJob)]
        self.is_held_up = False
        if begin_nothing:  # they are let go of, which needs no turn
            return [*others, *jobs]
        adopted = [action for action in jobs if _is_adopted(action)]
        waiting = [action for action in jobs if not _is_adopted(action)]
        for action in waiting:
            self._came.setdefault(action.about, len(self._came))
        waiting.sort(key=lambda action: self._came[action.about])
        following = [*(action for action in running if isinstance(action, RunJob)), *adopted]
        decided = turns(
            [Request(action.about, needs_of(action.job)) for action in waiting],
            [Request(action.about, needs_of(action.job)) for action in following],
            self._what_others_hold(waiting),
            capacity=self._capacity,
            parallel_jobs=self._parallel_jobs,
        )
        self._tell(decided.waiting)
        self.is_held_up = bool(decided.waiting)
        held_up = [action for action in waiting if action.about in decided.waiting]
        start = {*decided.start, *self._need_no_turn(held_up, pool)}
        return [*others, *adopted, *(action for action in waiting if action.about in start)]

    def _need_no_turn(self, waiting: Iterable[RunJob], pool: ThreadPoolExecutor) -> set[Address]:
        """Those that somebody asked to stop, or whose max_wait is over: to begin them is to end them. The store is
        asked now and then, beside all else that goes on."""
        over: set[Address] = set()
        if self._sweep and self._sweep.done():
            over, self._sweep = self._sweep.result(), None
        actions = [action for action in waiting if action.about not in over]
        if self._sweep is None and actions and time.monotonic() - self._swept_at >= STOPS_SEEN_EVERY_SECONDS:
            self._sweep, self._swept_at = pool.submit(self._look_for_stops, actions), time.monotonic()
        return over

    def _look_for_stops(self, waiting: Iterable[RunJob]) -> set[Address]:
        over = set()
        for action in waiting:
            with suppress(WorldError):  # a store that is away for a moment: the next look tells
                if action.about not in self._wanted:
                    self._world.trainer.want(action.job)
                    self._wanted.add(action.about)
                if self._world.trainer.is_over(action.job):
                    over.add(action.about)
        return over

    def _what_others_hold(self, waiting: Iterable[RunJob]) -> tuple[Request, ...]:
        """Jobs that run and are not of this plan, and the GPUs of endpoints. Looked at now and then while somebody
        waits who could be held up by them."""
        if self._capacity is None or not any(needs_of(action.job) for action in waiting):
            return ()
        if time.monotonic() - self._looked_at >= OTHERS_SEEN_EVERY_SECONDS:
            held = holders(self._world.runtime.containers())
            self._others = tuple(request for request in held if request.about not in self._own)
            self._looked_at = time.monotonic()
        return self._others

    def _tell(self, waiting: Mapping[Address, str]) -> None:
        for about, reason in waiting.items():
            if self._told.get(about) != reason:
                self._told[about] = reason
                self._report(Event(EventKind.PROGRESS, str(about), reason, action=RunJob.verb))


def _is_adopted(action: RunJob) -> bool:
    """Whether its containers run, or have run, since an earlier sagespec: it needs no turn."""
    return action.cause.reason is Reason.ADOPTED


def _not_begun(action: Action, results: Mapping[str, Result], cancelled: threading.Event) -> Outcome | None:
    """The outcome of an action that must not be begun; None when it may."""
    missing = [required for required in action.after if results[required] is not Result.DONE]
    if missing:
        return Outcome(action.id, str(action.about), action.verb, Result.SKIPPED, f"it waits for {missing[0]}")
    if cancelled.is_set():
        return Outcome(action.id, str(action.about), action.verb, Result.CANCELLED, "stopped on request")
    return None


def _settle(outcome: Outcome, results: dict[str, Result], outcomes: list[Outcome], report: Report) -> None:
    results[outcome.action_id] = outcome.result
    outcomes.append(outcome)
    kinds = {Result.DONE: EventKind.FINISHED, Result.FAILED: EventKind.FAILED}
    kind = kinds.get(outcome.result, EventKind.SKIPPED)
    report(Event(kind, outcome.about, outcome.reason, action=outcome.verb, at=datetime.now(UTC), done=outcome.seconds))


def _carry_out(
    action: Action, world: World, report: Report, cancelled: threading.Event, guard: Callable[[], None]
) -> Outcome:
    begun = time.monotonic()
    report(Event(EventKind.STARTED, str(action.about), str(action.cause), action=action.verb, at=datetime.now(UTC)))
    try:
        guard()
        _do(action, world, report, cancelled, guard)
        result, reason = Result.DONE, ""
    except Cancelled as stop:
        result, reason = Result.CANCELLED, str(stop)
    except SagespecError as error:
        result, reason = Result.FAILED, str(error)
    except OSError as error:
        result, reason = Result.FAILED, f"{error.strerror or error} ({error.filename or 'no file'})"
    except Exception as error:  # one action's bug must not take the others' outcomes with it
        place = traceback.extract_tb(error.__traceback__)[-1]
        bug = InternalError(
            f"{type(error).__name__}: {error} (at {Path(place.filename).name}:{place.lineno})",
            why="this is a bug in sagespec",
            fix="please report it with this message and the output of `sagespec doctor`",
        )
        result, reason = Result.FAILED, str(bug)
    return Outcome(action.id, str(action.about), action.verb, result, reason, time.monotonic() - begun)


def _do(action: Action, world: World, report: Report, cancelled: threading.Event, guard: Callable[[], None]) -> None:
    match action:
        case StartGateway():
            world.gateway.start(report)
        case RunJob():
            world.trainer.run(action.job, report, cancelled, guard)
        case RemoveContainer():
            world.runtime.remove(action.container)
        case StartInstance():
            start_instance(action, world, report)
        case AwaitHealthy():
            await_healthy(action, world, cancelled)
        case SetRoutes():
            world.gateway.set_route(action.about.name, action.route, _addresses(world.runtime))
        case DrainInstance():
            drain_instance(action, world, report, cancelled)
        case RemoveInstance():
            remove_instance(action, world)
        case RecordRevision():
            record_revision(action, world)
        case _:
            assert_never(action)


def _addresses(runtime: Runtime) -> dict[str, tuple[str, int]]:
    return {container.name: (container.host, container.port) for container in runtime.containers() if container.host}


# -- serving ---------------------------------------------------------------------------------------


def start_instance(action: StartInstance, world: World, report: Report) -> None:
    """Start one serving container with its own copy of the model under /opt/ml/model.

    The order matters: a container is started only when its model is in it whole, so one that is found
    created and not started is known to be unfinished, and is made again.
    """
    variant = action.variant

    def tell(text: str) -> None:
        report(Event(EventKind.PROGRESS, str(action.about), text, action=action.verb))

    manifest = _manifest_of(action, world)
    program = _trained_with(variant.program, manifest)
    digest = world.runtime.prepare(program, tell)
    if program.digest and digest != program.digest:
        text = f"{program} is {digest} by now; {program.digest}, which trained the model, is not to be had any more"
        report(Event(EventKind.NOTE, str(action.about), text, action=action.verb))
    world.runtime.remove(action.container)
    launch = Launch(
        name=action.container,
        address=action.about,
        hash=variant.hash,
        program=program,
        command="serve",
        environment=serving_environment(variant.environment, variant.cpus),
        cpus=variant.cpus,
        memory=variant.memory,
        gpus=variant.gpus,
        keep_running=True,
    )
    world.runtime.create([launch])
    with tempfile.TemporaryDirectory(dir=world.scratch) as folder:
        archive, model = Path(folder, "model.tar.gz"), Path(folder, "model")
        fetch_model(action, world, manifest, archive)
        model.mkdir()
        unpack(archive, model, max_bytes=MAX_MODEL_BYTES)
        world.runtime.put(action.container, "model", model)
    world.runtime.start(action.container)


def _manifest_of(action: StartInstance, world: World) -> Manifest | None:
    job = action.variant.model.job
    return world.records.manifests([job]).get(job) if job else None


def _trained_with(program: Program, manifest: Manifest | None) -> Program:
    """The program with the digest of the image that trained the model, where it is an image of the user's: a tag may
    have moved on since, and the model is served by what it was trained with."""
    digest = manifest.images.get(str(program), "") if manifest and program.image else ""
    return replace(program, digest=digest)


def fetch_model(action: StartInstance, world: World, manifest: Manifest | None, archive: Path) -> None:
    """The variant's model.tar.gz to `archive`, checked against the manifest's checksum where there is one."""
    model = action.variant.model
    if model.job is None:
        folder, _, name = model.uri.rpartition("/")
        source = open_store(folder or ".", root=world.root, create=False)
        source.download(name, archive)
        return
    if manifest is None or "model" not in manifest.artifacts:
        raise WorldError(f"{model.job} has no model in {world.records.store.uri}", fix=f"train {model.job} again")
    artifact = manifest.artifacts["model"]
    world.records.store.download(world.records.job_key(model.job, artifact.key), archive, sha256=artifact.sha256)


def await_healthy(action: AwaitHealthy, world: World, cancelled: threading.Event) -> None:
    """Wait until the gateway finds all new instances healthy, and for `min_healthy` seconds without a break.

    Raises Unhealthy, after recording revision `action.revision` as failed, when that does not happen
    within `action.within` seconds or a container gives up before.
    """
    target = Target(action.variant, action.hash, 0.0, instances=action.containers)
    world.gateway.admit(action.about.name, target, _addresses(world.runtime))
    begun, healthy_since = time.monotonic(), None
    restarts_before = {name: c.restarts for name in action.containers if (c := world.runtime.inspect(name))}
    while True:
        if cancelled.is_set():
            raise Cancelled("stopped while waiting; `sagespec apply` goes on from here")
        now = time.monotonic()
        probes = world.gateway.probes(action.containers)
        if all(name in probes and probes[name].healthy for name in action.containers):
            healthy_since = healthy_since or now
            if now - healthy_since >= action.min_healthy:
                return
        else:
            healthy_since = None
        reason = _why_given_up(action, world, restarts_before, seconds=now - begun)
        if reason:
            _record_failure(action, world, reason)
            raise Unhealthy(reason)
        time.sleep(PROBE_EVERY_SECONDS)


def _why_given_up(action: AwaitHealthy, world: World, restarts_before: Mapping[str, int], *, seconds: float) -> str:
    """Why waiting longer is useless, with the last lines the container said; '' while there is hope."""
    for name in action.containers:
        container = world.runtime.inspect(name)
        if container is None:  # no verdict on what was asked: somebody removed it
            raise WorldError(f"container {name} was removed while it was waited for", fix="apply again")
        crashes = container.restarts - restarts_before.get(name, 0)  # it may have had some in a long life
        if container.state is ContainerState.EXITED or crashes >= CRASHES_ALLOWED:
            code = "" if container.exit_code is None else f" with code {container.exit_code}"
            return f"{container.address} exited{code} before it was healthy{_last_lines(name, world.runtime)}"
    if seconds < action.within:
        return ""
    probes = world.gateway.probes(action.containers)
    name = next((n for n in action.containers if n not in probes or not probes[n].healthy), action.containers[0])
    return f"{action.about} did not answer /ping with 200 within {action.within:g} s{_last_lines(name, world.runtime)}"


def _last_lines(name: str, runtime: Runtime) -> str:
    lines = list(runtime.logs(name, tail=LOG_LINES_SHOWN))
    return "; its last lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else "; it printed nothing"


def _record_failure(action: AwaitHealthy, world: World, reason: str) -> None:
    if action.revision is None:
        return
    now = datetime.now(UTC)
    world.records.write_revision(
        Revision(
            endpoint=action.endpoint.name,
            number=action.revision,
            hash=action.endpoint.hash,
            status=RevisionStatus.FAILED,
            asked=dict(action.endpoint.asked),
            reason=reason,
            git=world.git,
            started_at=now,
            ended_at=now,
        )
    )


def drain_instance(action: DrainInstance, world: World, report: Report, cancelled: threading.Event) -> None:
    """Wait until the gateway counts no request in flight to this container; past the limit it goes on anyway,
    and says how many were cut."""
    deadline = time.monotonic() + action.within
    while True:
        probe = world.gateway.probes([action.container]).get(action.container)
        if probe is None or probe.active_requests == 0:
            return
        if time.monotonic() > deadline:
            text = f"{probe.active_requests} requests still ran after {action.within:g} s and are cut"
            report(Event(EventKind.NOTE, str(action.about), text, action=action.verb))
            return
        if cancelled.wait(PROBE_EVERY_SECONDS):
            raise Cancelled("stopped while requests still run; `sagespec apply` goes on from here")


def remove_instance(action: RemoveInstance, world: World) -> None:
    """Forgotten by the gateway first, so that it never probes or routes to an address someone else may get."""
    world.gateway.forget(action.about.name, action.container)
    world.runtime.stop(action.container, grace_seconds=SERVE_GRACE_SECONDS)
    world.runtime.remove(action.container)


def record_revision(action: RecordRevision, world: World) -> None:
    world.records.write_revision(
        Revision(
            endpoint=action.about.name,
            number=action.number,
            hash=action.endpoint_hash,
            status=action.status,
            asked=action.asked,
            git=world.git,
            started_at=action.started_at,
            ended_at=datetime.now(UTC),
        )
    )
