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
from sagespec.state.addresses import Address
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import Observed


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
    attempts = {address: records.attempts(address) for address in failed}
    return Observed(
        containers=containers,
        gateway=gateway.observe(containers),
        manifests=manifests,
        attempts={address: record for address, record in attempts.items() if record},
        revisions=records.revisions(),
        capacity=runtime.capacity() if with_capacity else None,
        followers=at_work.followers,
        stops=at_work.stops,
        rollbacks=at_work.rollbacks,
        leaving=at_work.leaving,
    )
