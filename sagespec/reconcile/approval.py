"""Which kinds of change a commit makes, and whether it waits until somebody approves it: R12 of docs/pull.md.

Asked of the plan before anything of the commit is begun. Repairs are no change of a commit, and never wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime

from sagespec.causes import Reason
from sagespec.plan import Action, ImportModel, Plan, RunJob, SetDoors, StartGateway, StartNotebook
from sagespec.reconcile.callers import split_changes
from sagespec.reconcile.causes import changed_by_update, limit_changes
from sagespec.spec.approve import ChangeClass
from sagespec.spec.document import Update
from sagespec.state.desired import Desired, DesiredEndpoint, desired_endpoint
from sagespec.state.hashes import same_hash
from sagespec.state.observed import Observed
from sagespec.state.revision import live_revision
from sagespec.state.source import Approval, Held, HeldReason, source_command

_ASKED_FOR = (Reason.NEW, Reason.CHANGED, Reason.RETRIED)
_OF_UPDATE = {
    Update.ROUTE: ChangeClass.ROUTE,
    Update.SCALE: ChangeClass.SCALE,
    Update.REPLACE: ChangeClass.REPLACE,
}

Found = Iterator[tuple[ChangeClass, str]]


def changes_of(plan: Plan, desired: Desired, observed: Observed) -> Mapping[ChangeClass, tuple[str, ...]]:
    """The kinds of change, each with the addresses that it is about, sorted."""
    of_specs = plan.of_specs()
    found = {pair for action in of_specs for pair in _of_action(action)}
    touched = {action.about.name for action in of_specs if action.about.kind == "endpoint"}
    touched |= {endpoint.name for endpoint in due_later(plan, desired, observed)}
    for endpoint in desired.endpoints:
        if endpoint.name in touched:
            found.update(_of_endpoint(endpoint, observed))
    kinds = sorted({kind for kind, _ in found})
    return {kind: tuple(sorted(about for one, about in found if one is kind)) for kind in kinds}


def due_later(plan: Plan, desired: Desired, observed: Observed) -> tuple[DesiredEndpoint, ...]:
    """Endpoints about which the plan does nothing yet: a job that another run follows has not ended, or a gate or a
    model that is missing holds them up. Once a commit is in force they change without its being looked at again."""
    waiting = {address for running in plan.running for address in running.needed_by}
    refused = {problem.about for problem in plan.refused}
    return tuple(
        endpoint
        for endpoint in desired.endpoints
        if endpoint.address in waiting or (str(endpoint.address) in refused and not _was_begun(endpoint, observed))
    )


def _was_begun(endpoint: DesiredEndpoint, observed: Observed) -> bool:
    return any(same_hash(endpoint.hash, revision.hash) for revision in observed.revisions.get(endpoint.name, ()))


def _of_action(action: Action) -> Found:
    reason, about = action.cause.reason, str(action.about.whole)
    if reason is Reason.REMOVED:
        yield ChangeClass.REMOVE, about
    elif isinstance(action, RunJob | ImportModel) and reason in _ASKED_FOR:
        yield ChangeClass.TRAIN, about
    elif isinstance(action, StartNotebook | StartGateway) and reason in _ASKED_FOR:
        yield ChangeClass.REPLACE, about
    elif isinstance(action, SetDoors):
        yield ChangeClass.ROUTE, about


def _of_endpoint(endpoint: DesiredEndpoint, observed: Observed) -> Found:
    about = str(endpoint.address)
    live = live_revision(observed.revisions.get(endpoint.name, ()))
    before = desired_endpoint(endpoint.name, live.asked) if live else None
    if before is None:
        yield ChangeClass.REPLACE, about
        return
    if split_changes(before, endpoint) or limit_changes(before, endpoint):
        yield ChangeClass.ROUTE, about
    if any(endpoint.variant(variant.name) is None for variant in before.variants):
        yield ChangeClass.REMOVE, about
    for variant in endpoint.variants:
        old = before.variant(variant.name)
        if old is None:
            yield ChangeClass.REPLACE, about
            continue
        for update, kind in _OF_UPDATE.items():
            if changed_by_update(old, variant, update):
                yield kind, about


def why_it_waits(
    changes: Mapping[ChangeClass, tuple[str, ...]],
    asks: Collection[ChangeClass],
    digest: str,
    *,
    commit: str,
    approved: Approval | None,
    before: Held | None,
    now: datetime,
    command: Callable[[str], str] = source_command,
) -> Held | None:
    """That the commit waits, and for what; None where nothing asks, or this very plan was approved. before: what was
    held until now. command: how a person calls `sagespec source` about it."""
    asking = [kind for kind in changes if kind in asks]
    if not asking or (approved is not None and approved.lets_in(digest, commit)):
        return None
    is_same = before is not None and (before.reason, before.commit) == (HeldReason.APPROVAL, commit)
    what = "; ".join(f"{kind} {', '.join(changes[kind])}" for kind in asking)
    return Held(
        reason=HeldReason.APPROVAL,
        commit=commit,
        since=before.since if before and is_same else now,
        text=f"{commit[:12]} waits for approval: {what}",
        fix=f"look at its plan, then: {command(f'approve {digest[:12]}')}",
        digest=digest,
    )
