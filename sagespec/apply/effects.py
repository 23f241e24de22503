"""Which function carries out which action. A new kind of action is one more case here."""

from __future__ import annotations

from typing import assert_never

from sagespec.events import Caller
from sagespec.plan import (
    Action,
    AwaitHealthy,
    DrainInstance,
    RecordRevision,
    RemoveContainer,
    RemoveInstance,
    RunJob,
    SetRoutes,
    StartGateway,
    StartInstance,
)
from sagespec.run.run import run_job
from sagespec.serve.health import await_healthy, container_addresses
from sagespec.serve.leave import drain_instance, remove_instance
from sagespec.serve.revisions import record_revision
from sagespec.serve.start import start_instance
from sagespec.world import World


def carry_out(action: Action, world: World, caller: Caller) -> None:
    match action:
        case StartGateway():
            world.gateway.start(caller.report)
        case RunJob():
            run_job(world.jobs, action.job, caller)
        case RemoveContainer():
            world.runtime.remove(action.container)
        case StartInstance():
            start_instance(action, world, caller.report)
        case AwaitHealthy():
            await_healthy(action, world, caller.cancelled)
        case SetRoutes():
            world.gateway.set_route(action.about.name, action.route, container_addresses(world.runtime))
        case DrainInstance():
            drain_instance(action, world, caller)
        case RemoveInstance():
            remove_instance(action, world)
        case RecordRevision():
            record_revision(action, world)
        case _:
            assert_never(action)
