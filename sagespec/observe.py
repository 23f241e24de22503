"""One cheap snapshot of what is there: containers, routes, manifests, revisions.

Called by `verbs` before every `reconcile`. One list call to the engine, one question to the gateway,
and the few small records of the store that can matter. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sagespec.gateway.counting import readings_of
from sagespec.gateway.gateway import Gateway
from sagespec.records.leases import AtWork
from sagespec.records.records import Records
from sagespec.runtimes.protocol import Runtime
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import Container, Observed
from sagespec.state.programs import GATEWAY_PROGRAM, Program
from sagespec.state.revision import Revision, live_revision


def observe(
    runtime: Runtime,
    gateway: Gateway,
    records: Records,
    manifests: Mapping[Address, Manifest],
    at_work: AtWork,
    *,
    with_capacity: bool = False,
) -> Observed:
    """The snapshot. `manifests` are those read already for `resolve`; those of stray job containers are added."""
    containers = runtime.containers()
    begun = {c.address.whole for c in containers if c.address.kind == "job"}
    if stray := begun - manifests.keys():
        manifests = {**manifests, **records.manifests(stray)}
    failed = {a for a in begun if a in manifests and manifests[a].status is not JobStatus.COMPLETED}
    revisions = records.revisions()
    images = _images(runtime, containers, revisions)
    seen = gateway.observe(containers)
    rollouts = {name: one for name, one in at_work.rollouts.items() if not one.is_over(revisions.get(name, ()))}
    attempts = {address: records.attempts(address) for address in failed}
    return Observed(
        containers=containers,
        engine=runtime.where,
        gateway=seen,
        manifests=manifests,
        attempts={address: record for address, record in attempts.items() if record},
        revisions=revisions,
        capacity=runtime.capacity() if with_capacity else None,
        followers=at_work.followers,
        stops=at_work.stops,
        rollbacks=at_work.rollbacks,
        removals=at_work.removals,
        retries=at_work.retries,
        leaving=at_work.leaving,
        restarts=at_work.restarts,
        rollouts=rollouts,
        promotions=at_work.promotions,
        aborts=at_work.aborts,
        suspensions=at_work.suspensions,
        readings=readings_of(gateway, rollouts) if rollouts and seen.answers else {},
        images=images,
        images_gone=frozenset(i for i in _serving_images(containers) if not runtime.has_image(i)),
    )


def judged_again(observed: Observed, runtime: Runtime, gateway: Gateway) -> Observed:
    """The same snapshot with what engine and gateway say now. The store is not asked."""
    containers = runtime.containers()
    seen = gateway.observe(containers)
    readings = readings_of(gateway, observed.rollouts) if observed.rollouts and seen.answers else {}
    return replace(observed, containers=containers, gateway=seen, readings=readings)


def _images(
    runtime: Runtime, containers: tuple[Container, ...], revisions: Mapping[str, tuple[Revision, ...]]
) -> Mapping[Program, str]:
    """What the programs that serve would be started from now."""
    live = {name: live_revision(revisions.get(name, ())) for name in {c.address.name for c in containers if c.image}}
    programs = {variant.program for revision in live.values() if revision for variant in revision.asked.variants}
    programs |= {GATEWAY_PROGRAM} if any(c.address == GATEWAY and c.image for c in containers) else set()
    return {program: runtime.image_of(program) for program in programs}


def _serving_images(containers: tuple[Container, ...]) -> set[str]:
    return {c.image for c in containers if c.image and c.address.kind == "endpoint"}
