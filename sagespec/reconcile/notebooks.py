"""Notebooks: one container each, which runs while the spec says so.

One that has stopped because it was idle (it exits with 0) stays stopped until somebody asks for it, by
`sagespec restart`, or its spec changes. One that died is started again.
"""

from __future__ import annotations

from datetime import timedelta

from sagespec.causes import Cause, Reason
from sagespec.plan import AwaitNotebook, StartNotebook
from sagespec.reconcile.causes import how_it_ended
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.leaving import remove_containers
from sagespec.state.desired import DesiredNotebook
from sagespec.state.hashes import same_hash
from sagespec.state.labels import container_name
from sagespec.state.observed import Container, ContainerState

OPENS_WITHIN = timedelta(minutes=10)  # on_start may take 5, and packages some more


def reconcile_notebook(desired: DesiredNotebook, given: Given) -> Decision:
    """What to do about one notebook of the specs."""
    containers = given.observed.containers_of(desired.address)
    if not desired.is_to_run:
        gone = remove_containers(list(containers), Reason.CHANGED, "running: false")
        return Decision(gone, () if gone else (desired.address,))
    if problem := given.observed.unable.get(desired.address):
        return Decision(refused=(problem,))
    cause = _why_start(desired, containers, given)
    if cause is None and (silent := [c for c in containers if c.name in given.observed.silent]):
        return Decision((_wait_for(silent[0].name, desired),))
    if cause is None:
        notes = (f"{desired.address} has stopped since nobody used it: `sagespec restart {desired.address}` starts it",)
        return Decision(unchanged=(desired.address,), notes=notes if is_idle(containers) else ())
    name = container_name(given.project_name, desired.address, desired.hash)
    start = StartNotebook(about=desired.address, cause=cause, container=name, notebook=desired)
    return Decision((start, _wait_for(name, desired, after=(start.id,))))


def _wait_for(container: str, desired: DesiredNotebook, after: tuple[str, ...] = ()) -> AwaitNotebook:
    cause = Cause(Reason.FOLLOWS, note="it is open once it answers")
    return AwaitNotebook(about=desired.address, cause=cause, after=after, container=container)


def is_idle(containers: tuple[Container, ...]) -> bool:
    """Whether it has ended because nobody used it."""
    return any(c.state is ContainerState.EXITED and c.exit_code == 0 for c in containers)


def _why_start(desired: DesiredNotebook, containers: tuple[Container, ...], given: Given) -> Cause | None:
    """Why it is started, in place of what there is; None if it is fine."""
    if request := given.observed.restarts.get(desired.address):
        return Cause(Reason.RESTARTED, note=request.reason)
    if not containers:
        return Cause(Reason.NEW)
    mine = [c for c in containers if same_hash(desired.hash, c.hash)]
    if not mine or len(containers) > 1:
        return Cause(Reason.CHANGED, note="its spec changed; its kernels end")
    found = mine[0]
    if found.state is ContainerState.CREATED:
        return Cause(Reason.ADOPTED, note="an earlier run was interrupted before starting it")
    if found.state is ContainerState.EXITED and found.exit_code != 0:
        return Cause(Reason.DRIFT, note=how_it_ended(found))
    if found.name in given.observed.silent and found.started_at and given.now - found.started_at > OPENS_WITHIN:
        return Cause(Reason.DRIFT, note="it does not answer")
    return None
