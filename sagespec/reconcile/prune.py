"""What no spec names now: reported, and removed only on request (of all such by --prune, of one endpoint by a removal
in the store), only if it is ours, never by accident.

Ours is what carries the project's label, has a route in its gateway or a live revision in its store.
Trained models are never pruned: other machines and older revisions may need them.
"""

from __future__ import annotations

from dataclasses import replace

from sagespec.causes import Cause, Reason
from sagespec.errors import Problem
from sagespec.plan import Action, RecordRevision
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.leaving import remove_all, remove_containers, remove_idle
from sagespec.reconcile.options import Options
from sagespec.reconcile.rollouts import reconcile_rollout_without_spec
from sagespec.state.addresses import GATEWAY, Address, endpoint_address
from sagespec.state.desired import Desired
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Container, ContainerState, Observed
from sagespec.state.revision import Revision, RevisionStatus, live_revision
from sagespec.state.rollout import RolloutRecord

IN_NO_SPEC = "in no spec"


def reconcile_unwanted(desired: Desired, given: Given) -> Decision:
    """What to do about live endpoints and running jobs that the specs do not name."""
    observed, options = given.observed, given.options
    endpoints = [a for a in _unwanted_endpoints(desired, observed) if not options.leaves(a)]
    jobs = [c for c in _unwanted_jobs(desired, observed) if not options.leaves(c.address.whole)]
    done, running = [c for c in jobs if _is_settled(c, observed)], [c for c in jobs if not _is_settled(c, observed)]
    unswept = [c for c in done if c.address.whole not in observed.followers]  # who stored the model removes the others
    swept = remove_containers(unswept, Reason.REMOVED, "its job ended and is in the store")
    notebooks = [c for c in _unwanted_notebooks(desired, observed) if not options.leaves(c.address.whole)]
    ended = [c for c in notebooks if c.state is ContainerState.EXITED]
    swept += remove_containers(ended, Reason.REMOVED, "in no spec, and not running")
    running += [c for c in notebooks if c not in ended]
    unwanted = [*endpoints, *sorted({c.address.whole for c in running})]
    gateway = _unwanted_gateway(desired, observed, options)
    if not unwanted and not gateway:
        return Decision(actions=swept)
    asked = [address for address in endpoints if is_asked_to_go(address, observed)]
    left = [address for address in unwanted if address not in asked]
    notes: tuple[str, ...] = ()
    refused: tuple[Problem, ...] = ()
    rolling: tuple[Decision, ...] = ()
    if not (options.prune or options.destroy):
        removed = _remove_unwanted(asked, [], (), given)
        rolling = tuple(_left_rollout(address, given) for address in endpoints if address not in asked)
        notes = tuple(f"{address} is live but in no spec: --prune removes it" for address in left)
    elif not (desired.jobs or desired.endpoints or desired.notebooks or options.allow_empty):
        removed = _remove_unwanted(asked, [], (), given)
        refused = (_everything_would_go(left),) if left else ()
    elif _are_too_many(left, desired, options):
        removed = _remove_unwanted(asked, [], (), given)
        refused = (_too_many_would_go(left, desired.max_removals or 0),)
    else:
        removed = _remove_unwanted(endpoints, running, gateway, given)
    return replace(
        removed,
        actions=(*swept, *removed.actions, *(action for one in rolling for action in one.actions)),
        refused=(*removed.refused, *refused),
        notes=notes,
        rolling=tuple(found for one in rolling for found in one.rolling),
    )


def _left_rollout(address: Address, given: Given) -> Decision:
    """The rollout of an endpoint that stays, or what one has left behind."""
    observed = given.observed
    if progress := observed.rollout_of(address.name):
        return reconcile_rollout_without_spec(progress, given) or Decision()
    revisions = observed.revisions.get(address.name, ())
    live = live_revision(revisions)
    if live is None or revisions[-1].rollout is None or given.gateway or not observed.gateway.answers:
        return Decision()
    return Decision(remove_idle(address, observed, live.asked.rollout.drain_within, note="no longer needed"))


def is_asked_to_go(address: Address, observed: Observed) -> bool:
    """Whether somebody wants this endpoint removed if no spec names it, whatever the run's options are."""
    request = observed.removals.get(address.name) if address.kind == "endpoint" else None
    return request is not None and not request.is_over(observed.revisions.get(address.name, ()))


def unwanted(desired: Desired, observed: Observed) -> tuple[Address, ...]:
    """What `--prune` would remove: endpoints, notebooks, jobs that run or are begun by others, and the gateway of no
    endpoint."""
    running = {c.address.whole for c in _unwanted_jobs(desired, observed) if not _is_settled(c, observed)}
    notebooks = _unwanted_notebooks(desired, observed)
    running |= {c.address.whole for c in notebooks if c.state is not ContainerState.EXITED}
    running |= {about for about in observed.followers if desired.job(about) is None}
    gateway = () if desired.endpoints or not observed.containers_of(GATEWAY) else (GATEWAY,)
    return (*_unwanted_endpoints(desired, observed), *sorted(running), *gateway)


def _unwanted_endpoints(desired: Desired, observed: Observed) -> list[Address]:
    wanted = {endpoint.name for endpoint in desired.endpoints}
    names = {c.address.name for c in observed.containers if c.address.kind == "endpoint"}
    names |= observed.gateway.routes.keys()
    names |= {name for name, revisions in observed.revisions.items() if live_revision(revisions)}
    return [endpoint_address(name) for name in sorted(names - wanted)]


def _unwanted_jobs(desired: Desired, observed: Observed) -> list[Container]:
    wanted = {job.address for job in desired.jobs}
    return [c for c in observed.containers if c.address.kind == "job" and c.address.whole not in wanted]


def _unwanted_notebooks(desired: Desired, observed: Observed) -> list[Container]:
    wanted = {notebook.address for notebook in desired.notebooks}
    return [c for c in observed.containers if c.address.kind == "notebook" and c.address.whole not in wanted]


def _is_settled(container: Container, observed: Observed) -> bool:
    """Whether the store records how it ended; a retry that still runs is not on record."""
    manifest = observed.manifests.get(container.address.whole)
    if manifest is None or not same_hash(manifest.key, container.hash):
        return False
    return manifest.status is JobStatus.COMPLETED or container not in observed.unrecorded(container.address.whole)


def _unwanted_gateway(desired: Desired, observed: Observed, options: Options) -> tuple[Container, ...]:
    if desired.endpoints or options.spared or options.only is not None or not (options.prune or options.destroy):
        return ()
    return observed.containers_of(GATEWAY)


def _are_too_many(unwanted: list[Address], desired: Desired, options: Options) -> bool:
    return not options.destroy and desired.max_removals is not None and len(unwanted) > desired.max_removals


def _too_many_would_go(unwanted: list[Address], most: int) -> Problem:
    shown = ", ".join(map(str, unwanted[:5])) + ("…" if len(unwanted) > 5 else "")
    return Problem(
        what=f"--prune would remove {len(unwanted)} at once ({shown})",
        about="project",
        why=f"require.max_removals is {most}",
        fix="remove fewer with one commit, or raise it for this one",
    )


def _everything_would_go(unwanted: list[Address]) -> Problem:
    return Problem(
        what=f"--prune would remove everything that is live ({len(unwanted)}: {', '.join(map(str, unwanted[:5]))}…)",
        about="project",
        why="no spec was found, which usually means a wrong path",
        fix="check -f, or pass --allow-empty",
    )


def _remove_unwanted(
    endpoints: list[Address],
    running: list[Container],
    gateway: tuple[Container, ...],
    given: Given,
) -> Decision:
    actions: list[Action] = []
    refused: list[Problem] = []
    for address in endpoints:
        live = live_revision(given.observed.revisions.get(address.name, ()))
        if live and live.asked.protect:
            refused.append(_protected(address))
        else:
            actions += _remove_endpoint(address, live, given)
    actions += remove_containers(running, Reason.REMOVED, IN_NO_SPEC)
    if not refused:
        after = tuple(action.id for action in actions)
        removals = remove_containers(gateway, Reason.REMOVED, "no endpoints left")
        actions += (replace(removal, after=after) for removal in removals)
    return Decision(tuple(actions), refused=tuple(refused))


def _remove_endpoint(address: Address, live: Revision | None, given: Given) -> tuple[Action, ...]:
    """Take it off the gateway, remove its containers, and record that, if it was live."""
    rollout = live.asked.rollout if live else RolloutRecord()
    steps = remove_all(address, given.observed, IN_NO_SPEC, within_seconds=rollout.drain_within)
    if live is None:
        return steps
    is_elsewhere = live.engine not in ("", given.observed.engine)
    elsewhere = f"in no spec; it went live in {live.engine}, where it may serve on"
    record = RecordRevision(
        about=address,
        cause=Cause(Reason.REMOVED, note=elsewhere if is_elsewhere else IN_NO_SPEC),
        after=tuple(step.id for step in steps),
        number=given.observed.revisions[address.name][-1].number + 1,
        status=RevisionStatus.REMOVED,
        endpoint_hash=live.hash,
        record=live.asked,
        started_at=given.now,
        instead_of=live.instead_of,
        reason=live.reason if live.instead_of else "",
        is_restart=address in given.observed.restarts,
    )
    return (*steps, record)


def _protected(address: Address) -> Problem:
    return Problem(
        what="is protected, so it stays although no spec names it",
        about=str(address),
        why="protect: true was live when its spec was removed",
        fix="restore the spec with protect: false, apply, then remove it",
    )
