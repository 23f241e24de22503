"""What carrying out each action means. A new kind of action is one more case here.

Every effect is safe to repeat, and safe to be killed in. What takes its time is done without the project's lock, and
changes nothing there that another run could stumble over: it only reads (a model, an image, what the gateway sees),
holds a lease of its own (a job, an import), or has marked what it works on (an instance that is being stopped).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never

from sagespec.causes import Reason
from sagespec.errors import InternalError
from sagespec.events import Caller, Outcome, Result
from sagespec.plan import (
    Action,
    AwaitHealthy,
    AwaitNotebook,
    CopyModel,
    DrainInstance,
    ImportModel,
    Plan,
    RecordProgress,
    RecordRevision,
    RemoveContainer,
    RemoveInstance,
    RunJob,
    SetDoors,
    SetRoutes,
    StartGateway,
    StartInstance,
    StartNotebook,
)
from sagespec.records.copies import copy_job
from sagespec.records.lease import Lease, LeaseLost, LeaseSeized
from sagespec.records.leases import FollowedElsewhere
from sagespec.run.imports import bring
from sagespec.run.run import run_job
from sagespec.serve.health import admit, await_healthy, judge_health
from sagespec.serve.leave import begin_to_leave, drain_instance, end_leaving
from sagespec.serve.notebooks import NOTEBOOK_GRACE_SECONDS, await_notebook, prepare_notebook, start_notebook
from sagespec.serve.revisions import record_progress, record_revision
from sagespec.serve.routes import set_route
from sagespec.serve.start import fetch, start_instance
from sagespec.state.manifest import Manifest
from sagespec.traffic.tallying import count_all
from sagespec.world import World


def _nothing(_value: Any = None) -> None:
    """For a part that an effect does not have."""


@dataclass(frozen=True)
class Effect:
    """begin, then meanwhile with what that returned, then end with what that returned.

    begin and end run under the project's lock, and take seconds; meanwhile runs without it, and may take hours. Its
    caller's `cancelled` is set when the plan no longer asks for the action. discard: clears up after a meanwhile whose
    result is not wanted any more.
    """

    end: Callable[[Any], None] = _nothing
    begin: Callable[[], Any] = _nothing
    meanwhile: Callable[[Any, Caller], Any] | None = None
    discard: Callable[[Any], None] = _nothing


def effect_of(action: Action, world: World, caller: Caller) -> Effect:
    match action:
        case StartGateway():
            return Effect(
                meanwhile=lambda _, caller: world.gateway.prepare(caller.report),
                end=lambda _: _start_gateway(action, world, caller),
            )
        case SetDoors():
            return Effect(lambda _: world.gateway.set_doors(action.doors))
        case RunJob():
            return Effect(
                begin=lambda: world.leases.follow(action.about, caller.report),
                meanwhile=partial(_train, action, world),
            )
        case CopyModel():
            return Effect(
                meanwhile=lambda _, caller: _copy_model(action, world, caller),
                end=world.records.write_manifest,
            )
        case ImportModel():
            return _import(action, world)
        case RemoveContainer():
            return Effect(lambda _: _remove_container(action, world))
        case StartInstance():
            return Effect(
                meanwhile=lambda _, caller: fetch(action, world, caller),
                end=lambda fetched: start_instance(action, world, fetched),
                discard=lambda fetched: fetched.discard(),
            )
        case AwaitHealthy():
            return Effect(
                begin=lambda: admit(action, world),
                meanwhile=lambda _, caller: await_healthy(action, world, caller.cancelled),
                end=lambda reason: judge_health(action, world, reason),
            )
        case SetRoutes():
            return Effect(lambda _: set_route(action, world))
        case DrainInstance():
            return Effect(meanwhile=lambda _, caller: drain_instance(action, world, caller))
        case RemoveInstance():
            return Effect(
                begin=lambda: begin_to_leave(action, world),
                meanwhile=lambda stop, _caller: stop(),
                end=lambda _: end_leaving(action, world),
            )
        case StartNotebook():
            return Effect(
                meanwhile=lambda _, caller: prepare_notebook(action, world, caller),
                end=lambda _: start_notebook(action, world),
            )
        case AwaitNotebook():
            return Effect(meanwhile=lambda _, caller: await_notebook(action, world, caller))
        case RecordProgress():
            return Effect(lambda _: record_progress(action, world))
        case RecordRevision():
            return Effect(lambda _: record_revision(action, world))
        case _:
            assert_never(action)


def carry_out(action: Action, world: World, caller: Caller) -> None:
    """All of an action's effect, one part after the other."""
    effect = effect_of(action, world, caller)
    value = effect.begin()
    effect.end(effect.meanwhile(value, caller) if effect.meanwhile else None)


def forget_restarts(plan: Plan, ended: Iterable[Outcome], world: World) -> None:
    """Restarts that have just failed at a start are asked for no longer: they would keep all else from being done."""
    failed = {outcome.action_id for outcome in ended if outcome.result is Result.FAILED}
    starts = (action for action in plan if isinstance(action, StartGateway | StartInstance))
    for about in {a.about.whole for a in starts if a.id in failed and a.cause.reason is Reason.RESTARTED}:
        world.records.forget_restart(about)


def _train(action: RunJob, world: World, lease: Lease, caller: Caller) -> None:
    with lease:
        guarded = Caller(caller.report, caller.cancelled, lease.check_now)
        try:
            run_job(world.jobs, action.job, guarded)
        except LeaseSeized:
            raise
        except LeaseLost as lost:  # the job continues, so it has not failed
            raise FollowedElsewhere(lost.problems[0].what) from lost


def _import(action: ImportModel, world: World) -> Effect:
    return Effect(
        meanwhile=lambda _, caller: bring(action.job, action.archive, world.jobs, caller),
        end=lambda brought: brought.record(),
        discard=lambda brought: brought.discard(),
    )


def _copy_model(action: CopyModel, world: World, caller: Caller) -> Manifest:
    source = world.models_from()
    if source is None or action.manifest is None:
        raise InternalError(f"{action.id} was planned without asking where the model is")
    return copy_job(
        action.manifest,
        source,
        world.records,
        scratch=world.scratch,
        at=world.clock.now(),
        caller=caller,
        verb=action.verb,
    )


def _start_gateway(action: StartGateway, world: World, caller: Caller) -> None:
    count_all(world.records, world.gateway)
    world.gateway.start(caller.report, restart=action.restart, doors=action.doors)
    world.records.forget_restart(action.about)  # one that was dead has got its restart, too


def _remove_container(action: RemoveContainer, world: World) -> None:
    if action.about.kind == "job":
        world.leases.seize(action.about.whole)
        world.records.sweep(action.about.whole)
    if action.about.kind == "notebook":
        world.runtime.stop(action.container, grace_seconds=NOTEBOOK_GRACE_SECONDS)
    world.runtime.remove(action.container)
