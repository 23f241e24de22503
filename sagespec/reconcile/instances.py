"""Which instances an endpoint should have, which of them start, and why.

Called by `endpoints` with the goal. An instance is known by its variant, number and hash, so one that exists is found
and not started twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sagespec.causes import Cause, Reason
from sagespec.plan import AwaitHealthy, StartInstance
from sagespec.reconcile.causes import changed_by_update, how_it_ended, replace_changes, trained_again
from sagespec.reconcile.given import Given
from sagespec.reconcile.goals import Goal
from sagespec.spec.document import Update
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredEndpoint, DesiredVariant
from sagespec.state.hashes import model_of, same_hash
from sagespec.state.labels import container_name
from sagespec.state.observed import Container, ContainerState

# A running instance that does not answer /ping is given this long since its start before it is replaced, or as long as
# its endpoint lets it take to become healthy: it may still be loading its model. One that has requests in flight is not
# replaced: it may be busy with them, and they would be lost.
UNHEALTHY_GRACE = timedelta(seconds=30)


@dataclass(frozen=True)
class Instance:
    """One wanted instance. start: why it must be started; proven: it has traffic already. image: that of its variant's
    other instances, from which it is made; '' where there are none, or it is gone."""

    address: Address
    container: str
    hash: str
    variant: DesiredVariant
    start: Cause | None
    proven: bool
    image: str


def wanted_instances(goal: Goal, given: Given) -> tuple[Instance, ...]:
    endpoint = goal.endpoint
    route = given.observed.gateway.routes.get(endpoint.name)
    result = []
    for variant in endpoint.variants:
        mine = [c for c in given.observed.containers_of(endpoint.address) if c.address.variant == variant.name]
        containers = {container.name: container for container in mine}
        hash_text = _live_hash(variant, mine, given)
        target = route.target(variant.name, hash_text) if route else None
        images = (i for i in serving_images(endpoint, variant, given) if i not in given.observed.images_gone)
        image = next(images, "")
        for index in range(variant.instances):
            address = Address("endpoint", endpoint.name, variant=variant.name, instance=index)
            name = container_name(given.project_name, address, hash_text)
            container = containers.get(name)
            in_route = target is not None and name in target.instances
            if container:
                start = _why_start(container, in_route, endpoint.healthy_within_seconds, given)
            else:
                others = mine if hash_text == variant.hash else []  # else they are its siblings
                start = _why_new(variant, goal, others, in_route)
            proven = in_route and start is None
            result.append(Instance(address, name, hash_text, variant, start, proven, image))
    return tuple(result)


def serving_images(endpoint: DesiredEndpoint, variant: DesiredVariant, given: Given) -> tuple[str, ...]:
    """The images that the variant's instances run, or ran while they took requests; one of them, as a rule."""
    mine = [c for c in given.observed.containers_of(endpoint.address) if c.address.variant == variant.name]
    hash_text = _live_hash(variant, mine, given)
    route = given.observed.gateway.routes.get(endpoint.name)
    routed = {name for target in route.targets for name in target.instances} if route else set()
    runs = (ContainerState.RUNNING, ContainerState.RESTARTING)
    serving = [c for c in mine if c.hash == hash_text and (c.name in routed or c.state in runs)]
    return tuple(sorted({c.image for c in serving if c.image}))


def _live_hash(variant: DesiredVariant, containers: Sequence[Container], given: Given) -> str:
    """The variant's hash as its containers carry it: if none has it, one of another format may count as the same."""
    same = sorted({container.hash for container in containers if same_hash(variant.hash, container.hash)})
    if variant.hash in same:
        return variant.hash
    older = {c.hash for c in containers if _is_older_than_its_model(c, variant, given)}
    return next((hash_text for hash_text in same if hash_text not in older), variant.hash)


def _is_older_than_its_model(container: Container, variant: DesiredVariant, given: Given) -> bool:
    """Whether one whose hash does not tell its model was there before the model that is asked for was trained."""
    job = variant.job if model_of(variant.hash) and not model_of(container.hash) else None
    return job is not None and given.is_trained_since(job, container.started_at)


def _why_start(container: Container, in_route: bool, healthy_within: float, given: Given) -> Cause | None:
    """Why this instance must be started, or None if it is fine."""
    if container.state is ContainerState.CREATED:
        return Cause(Reason.ADOPTED, note="an earlier run was interrupted before starting it")
    if container.name in given.observed.leaving:
        return Cause(Reason.DRIFT, note="it is being stopped")
    if container.state is ContainerState.EXITED:
        return Cause(Reason.DRIFT, note=how_it_ended(container))
    probe = given.observed.gateway.probes.get(container.name)
    silent = in_route and probe is not None and not probe.healthy and not probe.active_requests
    grace = max(UNHEALTHY_GRACE, timedelta(seconds=healthy_within))
    if silent and container.started_at and given.now - container.started_at > grace:
        return Cause(Reason.DRIFT, note="it does not answer /ping")
    return None


def _why_new(variant: DesiredVariant, goal: Goal, others: Sequence[Container], in_route: bool) -> Cause:
    """Why an instance must be started that has no container. others: containers of the variant by other hashes."""
    before = goal.before
    old = before.variant(variant.name) if before else None
    recorded = [old.hash] if old and model_of(old.hash) else []
    if again := trained_again(variant, [*recorded, *(container.hash for container in others)]):
        return Cause(Reason.DRIFT, note=again)
    if old is None:
        return Cause(Reason.NEW, note=f"new variant serving {variant.model.text}" if before else "")
    if not same_hash(variant.hash, old.hash):
        changes = replace_changes(old, variant)
        return Cause(Reason.CHANGED, changes) if changes else Cause(Reason.RESTARTED, note=goal.restart_reason)
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
        image=instance.image,
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
