"""One cheap snapshot of what is there: containers, routes, manifests, revisions.

Called by `verbs` before every `reconcile`. One list call to the engine, one question to the gateway,
and the few small records of the store that can matter. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    attempts = {address: records.attempts(address) for address in failed}
    return Observed(
        containers=containers,
        engine=runtime.where,
        gateway=gateway.observe(containers),
        manifests=manifests,
        attempts={address: record for address, record in attempts.items() if record},
        revisions=revisions,
        capacity=runtime.capacity() if with_capacity else None,
        followers=at_work.followers,
        stops=at_work.stops,
        rollbacks=at_work.rollbacks,
        leaving=at_work.leaving,
        restarts=at_work.restarts,
        images=images,
        images_gone=frozenset(i for i in _serving_images(containers) if not runtime.has_image(i)),
    )


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
