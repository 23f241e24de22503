"""Waits until new instances are healthy, and records a revision as failed when they never are.

Called by `apply.effects` for an AwaitHealthy. The gateway probes; this only asks it. The wait itself changes nothing,
so several runs may wait for the same instances.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from sagespec.errors import Cancelled, WorldError
from sagespec.plan import AwaitHealthy
from sagespec.runtimes.protocol import Runtime
from sagespec.state.observed import Container, ContainerState, Probe, Target
from sagespec.state.revision import Revision, RevisionStatus
from sagespec.world import World

PROBE_EVERY_SECONDS = 0.2
LOOK_EVERY_SECONDS = 1.0  # at the containers themselves: each is a question to the engine
LOG_LINES_SHOWN = 15
CRASHES_ALLOWED = 2  # restarts by the engine while an instance is waited for, before it counts as failed


def container_addresses(runtime: Runtime) -> dict[str, tuple[str, int]]:
    return {container.name: (container.host, container.port) for container in runtime.containers() if container.host}


def admit(action: AwaitHealthy, world: World) -> None:
    """Let the gateway probe the new instances."""
    variant = action.endpoint.variant(action.variant)
    model = variant.model_name if variant else ""
    target = Target(action.variant, action.hash, 0.0, instances=action.containers, model=model)
    world.gateway.admit(action.about.name, target, container_addresses(world.runtime))


def await_healthy(action: AwaitHealthy, world: World, cancelled: threading.Event) -> str:
    """Wait until the gateway finds all new instances healthy, and for `min_healthy_seconds` without a break; ''.

    Or why that did not happen within `action.within_seconds`, or why a container gave up before. Cancelled when one of
    them is gone: whoever removed it had a reason, and a new look tells.
    """
    begun, healthy_since, looked = world.clock.monotonic(), None, float("-inf")
    restarts_before = {name: c.restarts for name in action.containers if (c := world.runtime.inspect(name))}
    while True:
        if cancelled.is_set():
            raise Cancelled("not waited for any longer; `sagespec apply` continues from here")
        now = world.clock.monotonic()
        probes = _probes(action, world)
        if all(name in probes and probes[name].healthy for name in action.containers):
            healthy_since = healthy_since or now
            if now - healthy_since >= action.min_healthy_seconds:
                return ""
        else:
            healthy_since = None
        if now - looked >= LOOK_EVERY_SECONDS or now - begun >= action.within_seconds:
            looked = now
            if reason := _why_given_up(action, world, restarts_before, seconds=now - begun):
                return reason
        world.clock.sleep(PROBE_EVERY_SECONDS, cancelled)


def _probes(action: AwaitHealthy, world: World) -> Mapping[str, Probe]:
    """None of them while the gateway does not answer: the next pass starts it again, with all it was given."""
    try:
        return world.gateway.probes(action.containers)
    except WorldError:
        return {}


def judge_health(action: AwaitHealthy, world: World, reason: str) -> None:
    """WorldError, after recording revision `action.revision` as failed, when there is a reason why it failed."""
    if reason:
        _record_failure(action, world, reason)
        raise WorldError(reason)


def _why_given_up(action: AwaitHealthy, world: World, restarts_before: Mapping[str, int], *, seconds: float) -> str:
    """Why waiting longer is useless, with the last lines the container said; '' while there is hope."""
    for name in action.containers:
        container = world.runtime.inspect(name)
        if container is None:  # it was removed: that says nothing about its health
            raise Cancelled(f"container {name} was removed before it was healthy; looking again")
        crashes = container.restarts - restarts_before.get(name, 0)  # it may have had some in a long life
        if container.state is ContainerState.EXITED or crashes >= CRASHES_ALLOWED:
            if why := world.runtime.why_not_run(name):
                return f"{container.address} could not run its program: {why}"
            how = _how_it_exited(container)
            return f"{container.address} exited{how} before it was healthy{_last_lines(name, world.runtime)}"
    if seconds < action.within_seconds:
        return ""
    probes = _probes(action, world)
    name = next((n for n in action.containers if n not in probes or not probes[n].healthy), action.containers[0])
    last_lines = _last_lines(name, world.runtime)
    return f"{action.about} did not answer /ping with 200 within {action.within_seconds:g} s{last_lines}"


def _how_it_exited(container: Container) -> str:
    """'with code 137 (out of memory)', as far as the engine knows; of one that was started again, the last time."""
    last = container.last_exit
    code = last.code if last else container.exit_code
    note = last.note if last else container.note
    return (f" with code {code}" if code is not None else "") + (f" ({note})" if note else "")


def _last_lines(name: str, runtime: Runtime) -> str:
    try:
        lines = list(runtime.logs(name, tail=LOG_LINES_SHOWN))
    except WorldError as error:  # its node may be away: the reason is still the reason
        return f"; {error.problems[0].what}"
    return "; its last lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else "; it printed nothing"


def _record_failure(action: AwaitHealthy, world: World, reason: str) -> None:
    if action.revision is None:
        return
    now = world.clock.now()
    world.records.write_revision(
        Revision(
            endpoint=action.endpoint.name,
            number=action.revision,
            hash=action.endpoint.hash,
            status=RevisionStatus.FAILED,
            asked=action.endpoint.record,
            reason=reason,
            git=world.git(),
            started_at=now,
            ended_at=now,
        )
    )
    world.records.forget_restart(action.about.whole)
    world.records.forget_retry(action.endpoint.name)
    world.records.forget_rollout(action.endpoint.name)
