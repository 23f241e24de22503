"""What no spec names any more: said, and removed only when asked, only when ours, never by accident.

Ours is what carries the project's label, has a route in its gateway or a live revision in its store.
Trained models are never pruned: other machines and older revisions may need them.
"""

from __future__ import annotations

from datetime import datetime

from sagespec.errors import Problem
from sagespec.plan import Action, Cause, Reason, RecordRevision, RemoveContainer
from sagespec.reconcile.leaving import remove_all
from sagespec.reconcile.options import Options, Part
from sagespec.state.addresses import GATEWAY, Address, endpoint_address
from sagespec.state.desired import Desired, desired_endpoint
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Container, Observed, begun_after
from sagespec.state.revision import RevisionStatus, live_revision


def reconcile_unwanted(desired: Desired, observed: Observed, now: datetime, options: Options) -> Part:
    """What to do about live endpoints and running jobs that the specs do not name."""
    endpoints = _unwanted_endpoints(desired, observed)
    jobs = _unwanted_jobs(desired, observed)
    done, running = [c for c in jobs if _is_settled(c, observed)], [c for c in jobs if not _is_settled(c, observed)]
    swept = tuple(_remove(c, "its job has ended and is in the store") for c in done)
    unwanted = [*endpoints, *sorted({c.address.whole for c in running})]
    gateway = _unwanted_gateway(desired, observed, options)
    if not unwanted and not gateway:
        return Part(actions=swept)
    if not (options.prune or options.destroy):
        return Part(actions=swept, notes=tuple(f"{a} is live but in no spec: --prune removes it" for a in unwanted))
    if not desired.jobs and not desired.endpoints and not options.allow_empty:
        return Part(actions=swept, refused=(_everything_would_go(unwanted),) if unwanted else ())
    return _remove_unwanted(endpoints, running, gateway, swept, observed, now)


def _unwanted_endpoints(desired: Desired, observed: Observed) -> list[Address]:
    wanted = {endpoint.name for endpoint in desired.endpoints}
    names = {c.address.name for c in observed.containers if c.address.kind == "endpoint"}
    names |= observed.gateway.routes.keys()
    names |= {name for name, revisions in observed.revisions.items() if live_revision(revisions)}
    return [endpoint_address(name) for name in sorted(names - wanted)]


def _unwanted_jobs(desired: Desired, observed: Observed) -> list[Container]:
    wanted = {job.address for job in desired.jobs}
    return [c for c in observed.containers if c.address.kind == "job" and c.address.whole not in wanted]


def _is_settled(container: Container, observed: Observed) -> bool:
    """Whether the store tells what came of it; a retry that still runs began after the attempt it tells of."""
    manifest = observed.manifests.get(container.address.whole)
    if manifest is None or not same_hash(manifest.key, container.hash):
        return False
    return manifest.status is JobStatus.COMPLETED or not begun_after(manifest, [container])


def _unwanted_gateway(desired: Desired, observed: Observed, options: Options) -> tuple[Container, ...]:
    if desired.endpoints or not (options.prune or options.destroy):
        return ()
    return observed.containers_of(GATEWAY)


def _everything_would_go(unwanted: list[Address]) -> Problem:
    return Problem(
        what=f"--prune would remove everything that is live ({len(unwanted)}: {', '.join(map(str, unwanted[:5]))}…)",
        about="project",
        why="no spec was found, which is more often a wrong path than a wish",
        fix="check -f, or say --allow-empty",
    )


def _remove_unwanted(
    endpoints: list[Address],
    running: list[Container],
    gateway: tuple[Container, ...],
    swept: tuple[Action, ...],
    observed: Observed,
    now: datetime,
) -> Part:
    actions: list[Action] = [*swept]
    refused: list[Problem] = []
    for address in endpoints:
        revisions = observed.revisions.get(address.name, ())
        live = live_revision(revisions)
        asked = desired_endpoint(address.name, live.asked) if live else None
        if asked and asked.protect:
            refused.append(_protected(address))
            continue
        steps = remove_all(address, observed, "in no spec", within=asked.drain_within if asked else 70.0)
        actions += steps
        if live:
            actions.append(
                RecordRevision(
                    about=address,
                    cause=Cause(Reason.REMOVED, note="in no spec"),
                    after=tuple(step.id for step in steps),
                    number=revisions[-1].number + 1,
                    status=RevisionStatus.REMOVED,
                    endpoint_hash=live.hash,
                    record=live.asked,
                    started_at=now,
                )
            )
    actions += (_remove(c, "in no spec") for c in running)
    if not refused:
        after = tuple(action.id for action in actions)
        actions += (
            RemoveContainer(
                about=GATEWAY, container=c.name, cause=Cause(Reason.REMOVED, note="no endpoint is left"), after=after
            )
            for c in gateway
        )
    return Part(actions=tuple(actions), refused=tuple(refused))


def _protected(address: Address) -> Problem:
    return Problem(
        what="is protected and stays, though no spec names it",
        about=str(address),
        why="protect: true was live when its spec went away",
        fix="bring the spec back with protect: false, apply, then remove it",
    )


def _remove(container: Container, note: str) -> RemoveContainer:
    return RemoveContainer(about=container.address, container=container.name, cause=Cause(Reason.REMOVED, note=note))
