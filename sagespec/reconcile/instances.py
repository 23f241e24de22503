"""Which instances an endpoint should have, which of them start, and why.

Called by `endpoints` with the goal. An instance is known by its variant, number and hash, so one that exists is found
and not started twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from sagespec.plan import AwaitHealthy, Cause, Reason, StartInstance
from sagespec.reconcile.causes import changed_by_update, replace_changes
from sagespec.reconcile.given import Given
from sagespec.reconcile.goals import Goal
from sagespec.spec.document import Update
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredEndpoint, DesiredVariant
from sagespec.state.hashes import same_hash
from sagespec.state.labels import container_name
from sagespec.state.observed import Container, ContainerState

# A running instance that does not answer /ping is given this long since its start before it is replaced. One that
# has requests in flight is not replaced: it may be busy with them, and they would be lost.
UNHEALTHY_GRACE = timedelta(seconds=30)


@dataclass(frozen=True)
class Instance:
    """One wanted instance. start: why it must be started; proven: it has traffic already."""

    address: Address
    container: str
    hash: str
    variant: DesiredVariant
    start: Cause | None
    proven: bool


def wanted_instances(goal: Goal, given: Given) -> tuple[Instance, ...]:
    endpoint = goal.endpoint
    route = given.observed.gateway.routes.get(endpoint.name)
    containers = {container.name: container for container in given.observed.containers_of(endpoint.address)}
    result = []
    for variant in endpoint.variants:
        hash_text = _live_hash(variant, containers.values())
        target = route.target(variant.name, hash_text) if route else None
        for index in range(variant.instances):
            address = Address("endpoint", endpoint.name, variant=variant.name, instance=index)
            name = container_name(given.project_name, address, hash_text)
            container = containers.get(name)
            in_route = target is not None and name in target.instances
            start = _why_start(variant, goal.before, container, in_route, given)
            result.append(Instance(address, name, hash_text, variant, start, proven=in_route and start is None))
    return tuple(result)


def _live_hash(variant: DesiredVariant, containers: Iterable[Container]) -> str:
    """The variant's hash as its containers carry it: if none has it, one of another format counts as the same."""
    hashes = sorted(container.hash for container in containers if container.address.variant == variant.name)
    if variant.hash in hashes:
        return variant.hash
    return next((hash_text for hash_text in hashes if same_hash(variant.hash, hash_text)), variant.hash)


def _why_start(
    variant: DesiredVariant,
    before: DesiredEndpoint | None,
    container: Container | None,
    in_route: bool,
    given: Given,
) -> Cause | None:
    """Why this instance must be started, or None if it is fine."""
    if container is None:
        return _why_new(variant, before, in_route)
    if container.state is ContainerState.CREATED:
        return Cause(Reason.ADOPTED, note="an earlier run was interrupted before starting it")
    if container.name in given.observed.leaving:
        return Cause(Reason.DRIFT, note="it is being stopped")
    if container.state is ContainerState.EXITED:
        return Cause(Reason.DRIFT, note=f"it exited with code {container.exit_code}")
    probe = given.observed.gateway.probes.get(container.name)
    silent = in_route and probe is not None and not probe.healthy and not probe.active_requests
    if silent and container.started_at and given.now - container.started_at > UNHEALTHY_GRACE:
        return Cause(Reason.DRIFT, note="it does not answer /ping")
    return None


def _why_new(variant: DesiredVariant, before: DesiredEndpoint | None, in_route: bool) -> Cause:
    old = before.variant(variant.name) if before else None
    if old is None:
        return Cause(Reason.NEW, note=f"new variant serving {variant.model.text}" if before else "")
    if not same_hash(variant.hash, old.hash):
        return Cause(Reason.CHANGED, replace_changes(old, variant))
    scaled = changed_by_update(old, variant, Update.SCALE)
    if scaled and not in_route:
        return Cause(Reason.CHANGED, scaled)
    return Cause(Reason.DRIFT, note="its container is gone")


def start_action(instance: Instance, given: Given) -> StartInstance:
    assert instance.start is not None
    job = instance.variant.job
    after = given.gateway_ids
    if job and not given.is_trained(job):
        after += given.runs_of(job)
    return StartInstance(
        about=instance.address,
        cause=instance.start,
        after=after,
        container=instance.container,
        variant=replace(instance.variant, hash=instance.hash),  # another format's, where its siblings carry that
    )


def await_actions(
    goal: Goal,
    instances: tuple[Instance, ...],
    starts: tuple[StartInstance, ...],
    given: Given,
) -> tuple[AwaitHealthy, ...]:
    """One wait for each variant that has instances without traffic."""
    started = {action.container: action.id for action in starts}
    result = []
    for variant in goal.endpoint.variants:
        new = [i for i in instances if i.variant.name == variant.name and not i.proven]
        if not new:
            continue
        result.append(
            AwaitHealthy(
                about=Address("endpoint", goal.endpoint.name, variant=variant.name),
                cause=Cause(Reason.FOLLOWS, note=_before_traffic(len(new))),
                after=(*given.gateway_ids, *(started[i.container] for i in new if i.container in started)),
                variant=variant.name,
                hash=new[0].hash,
                containers=tuple(i.container for i in new),
                within_seconds=goal.endpoint.healthy_within_seconds,
                min_healthy_seconds=goal.endpoint.min_healthy_seconds,
                endpoint=goal.endpoint,
                revision=goal.next_number if goal.pending else None,
            )
        )
    return tuple(result)


def _before_traffic(count: int) -> str:
    if count == 1:
        return "1 new instance must be healthy before it gets traffic"
    return f"{count} new instances must be healthy before they get traffic"
