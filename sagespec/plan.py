"""The plan: a value that says what will be done, in what order, and why.

Made by `reconcile`, printed by `show` and carried out by `apply`. Each action is one effect that is
safe to repeat; it names its cause and the actions it waits for. The text form is what tests compare.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sagespec.errors import InternalError, Problem
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.desired import DesiredEndpoint, DesiredJob, DesiredVariant
from sagespec.state.observed import Route
from sagespec.state.revision import EndpointRecord, RevisionStatus


class Reason(StrEnum):
    NEW = "new"  # asked for and not there
    CHANGED = "changed"  # a field of the spec changed
    DRIFT = "drift"  # what was applied is not what is there
    ADOPTED = "adopted"  # an earlier run started this; it is picked up where it is
    RETRIED = "retried"  # asked for with --retry
    RESTARTED = "restarted"  # asked for with `sagespec restart`, or its image is gone
    REMOVED = "removed"  # no longer asked for
    FOLLOWS = "follows"  # needed by another action of this plan


OF_SPECS = frozenset({Reason.NEW, Reason.CHANGED, Reason.REMOVED, Reason.RETRIED})  # the others are about what runs
MASK, ADDED, REMOVED = "changed", "added", "removed"  # in place of a secret value


@dataclass(frozen=True)
class Change:
    """One field of a spec that differs from what is live; `old` is '' for what was not there.

    secret: the values must not be shown, so they are not kept either: `new` is MASK then, ADDED or REMOVED.
    """

    field: str
    old: str
    new: str
    secret: bool = False

    def __post_init__(self) -> None:
        if self.secret and (self.old or self.new not in (MASK, ADDED, REMOVED)):
            raise InternalError(f"the plan would hold the value of {self.field}, which is secret")

    def __str__(self) -> str:
        return f"{self.field} {self.old} -> {self.new}" if self.old else f"{self.field} {self.new}"


@dataclass(frozen=True)
class Cause:
    """Why an action is there: the reason, the changed fields behind it, and a note for people."""

    reason: Reason
    changes: tuple[Change, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        changes = ", ".join(str(change) for change in self.changes)
        return f"{changes} ({self.note})" if changes and self.note else changes or self.note or self.reason.value

    def as_json(self) -> dict[str, Any]:
        return {
            "reason": self.reason.value,
            "changes": [{"field": c.field, "old": c.old, "new": c.new} for c in self.changes],
            "note": self.note,
        }


@dataclass(frozen=True, kw_only=True)
class _Action:
    """verb and about: what is done to what. subject: fields that tell it from others. after: ids it waits for."""

    verb: ClassVar[str]
    subject: ClassVar[tuple[str, ...]] = ()
    about: Address
    cause: Cause
    after: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return " ".join([self.verb, str(self.about), *(str(getattr(self, name)) for name in self.subject)])


@dataclass(frozen=True, kw_only=True)
class StartGateway(_Action):
    """Start the gateway's container, replacing one that is dead or was started with other settings.

    restart: also one that is as it should be.
    """

    verb = "start-gateway"
    restart: bool = False


@dataclass(frozen=True, kw_only=True)
class RunJob(_Action):
    """Train: inputs in, containers started, followed to the end, model and manifest to the store, containers away.

    Containers of an earlier run that carry the job's key are picked up as they are.
    """

    verb = "run-job"
    job: DesiredJob


@dataclass(frozen=True, kw_only=True)
class RemoveContainer(_Action):
    """Remove one container that serves nothing: a job's left-over, or the gateway."""

    verb = "remove-container"
    subject = ("container",)
    container: str


@dataclass(frozen=True, kw_only=True)
class StartInstance(_Action):
    """Start one serving container with its model; a dead one of the same name is removed first.

    image: that of the variant's other instances; '' for what its program means now.
    """

    verb = "start-instance"
    subject = ("container",)
    container: str
    variant: DesiredVariant
    image: str = ""


@dataclass(frozen=True, kw_only=True)
class AwaitHealthy(_Action):
    """Let the gateway probe new instances, without traffic, until all are healthy and stay so.

    When they do not, revision `revision` of `endpoint` is recorded as failed with their last log lines
    (None: nothing is recorded, the instances replace dead ones of what is live).
    """

    verb = "await-healthy"
    subject = ("hash",)
    variant: str
    hash: str
    containers: tuple[str, ...]
    within_seconds: float
    min_healthy_seconds: float
    endpoint: DesiredEndpoint
    revision: int | None


@dataclass(frozen=True, kw_only=True)
class SetRoutes(_Action):
    """Give the endpoint this route; None takes it off the gateway."""

    verb = "set-routes"
    route: Route | None


@dataclass(frozen=True, kw_only=True)
class DrainInstance(_Action):
    """Wait until no request of this container is in flight, at most `within_seconds`."""

    verb = "drain-instance"
    subject = ("container",)
    container: str
    within_seconds: float


@dataclass(frozen=True, kw_only=True)
class RemoveInstance(_Action):
    """Take one serving container out of the gateway's sight, stop it and remove it."""

    verb = "remove-instance"
    subject = ("container",)
    container: str


@dataclass(frozen=True, kw_only=True)
class RecordRevision(_Action):
    """Write what became of a revision to the store.

    instead_of and reason: of a roll-back. rolled_back: the number of the revision that it takes back; None otherwise.
    is_restart: whether a restart that was asked for is over with it.
    """

    verb = "record-revision"
    subject = ("number", "status")
    number: int
    status: RevisionStatus
    endpoint_hash: str
    record: EndpointRecord
    started_at: datetime
    instead_of: str = ""
    reason: str = ""
    rolled_back: int | None = None
    is_restart: bool = False


Action = (
    StartGateway
    | RunJob
    | RemoveContainer
    | StartInstance
    | AwaitHealthy
    | SetRoutes
    | DrainInstance
    | RemoveInstance
    | RecordRevision
)


@dataclass(frozen=True)
class Running:
    """A job that another run follows, which leaves nothing to do here.

    needed_by: endpoints that wait for it. goes_on: that run reads our specs, and so will serve its model itself.
    """

    about: Address
    by: str
    since: datetime
    goes_on: bool = False
    needed_by: tuple[Address, ...] = ()

    @property
    def is_needed(self) -> bool:
        """Whether this run has something to do once it has ended."""
        return bool(self.needed_by) and not self.goes_on

    def __str__(self) -> str:
        return f"followed by {self.by}"

    @property
    def text(self) -> str:
        """The same with the endpoints that wait for it, or how many do."""
        match self.needed_by:
            case ():
                return str(self)
            case (only,):
                return f"{self}; {only} waits for it"
            case several:
                return f"{self}; {len(several)} endpoints wait for it"

    def as_json(self) -> dict[str, Any]:
        return {
            "about": str(self.about),
            "followed_by": self.by,
            "since": self.since.isoformat(),
            "needed_by": [str(address) for address in self.needed_by],
            "waited_for": self.is_needed,
        }


@dataclass(frozen=True)
class Plan:
    """actions: in an order that respects `after`. unchanged: addresses with nothing to do.

    refused: what the specs ask for and will not be done, with the reason; a plan with refusals still
    does the rest. notes: worth saying, nothing to do about it (a live endpoint that is in no spec). running: jobs that
    other runs follow. held: specs that are left aside on purpose, since they were rolled back; the notes say so.
    """

    actions: tuple[Action, ...] = ()
    unchanged: tuple[Address, ...] = ()
    refused: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    running: tuple[Running, ...] = ()
    held: tuple[Problem, ...] = ()

    def __iter__(self) -> Iterator[Action]:
        return iter(self.actions)

    def __str__(self) -> str:
        return self.text()

    @property
    def asks_for_something(self) -> bool:
        """Whether `apply` would do something, now or when a job has ended that another run follows."""
        return bool(self.actions) or any(running.is_needed for running in self.running)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many actions of each verb, in the order in which the verbs first occur."""
        return Counter(action.verb for action in self.actions)

    @property
    def digest(self) -> str:
        """SHA-256 of what the plan does and refuses: plans with the same digest are the same decision."""
        return hashlib.sha256(json.dumps(self._decided_as_json(), sort_keys=True).encode()).hexdigest()

    def without(self, failed: Collection[str]) -> Plan:
        """The plan less the failed actions and all that wait for them. failed: their ids."""
        dropped = set(failed)
        kept: list[Action] = []
        for action in self.actions:
            if action.id in dropped or dropped.intersection(action.after):
                dropped.add(action.id)
            else:
                kept.append(action)
        return replace(self, actions=tuple(kept))

    def of_specs(self) -> Plan:
        """What the specs change: all that is known of a plan where the engine that serves cannot be reached.

        Actions that are there for what runs, or does not, are left out; what has no other actions is unchanged.
        """
        actions = [action for action in self.actions if _is_of_specs(action)]
        ids = {action.id for action in actions}
        kept = tuple(replace(action, after=tuple(id for id in action.after if id in ids)) for action in actions)
        changed = {action.about.whole for action in kept}
        left_out = {action.about.whole for action in self.actions} - changed - {GATEWAY}
        return replace(self, actions=kept, unchanged=tuple(sorted({*self.unchanged, *left_out}, key=str)))

    def text(self) -> str:
        """One line an action: verb, address, cause; then one a job that another run follows. Columns are aligned, and
        there is no newline at the end."""
        rows = [(action.verb, str(action.about), str(action.cause)) for action in self.actions]
        rows += [("running", str(running.about), running.text) for running in self.running]
        widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
        return "\n".join(f"{verb:<{widths[0]}}  {about:<{widths[1]}}  {cause}".rstrip() for verb, about, cause in rows)

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/commands.md."""
        decided = self._decided_as_json()
        return {
            "actions": decided["actions"],
            "unchanged": [str(address) for address in self.unchanged],
            "refused": decided["refused"],
            "running": [running.as_json() for running in self.running],
            "notes": list(self.notes),
            "digest": self.digest,
        }

    def _decided_as_json(self) -> dict[str, Any]:
        return {
            "actions": [
                {
                    "id": action.id,
                    "action": action.verb,
                    "about": str(action.about),
                    "cause": action.cause.as_json(),
                    "after": list(action.after),
                }
                for action in self.actions
            ],
            "refused": [problem.as_json() for problem in self.refused],
        }


def _is_of_specs(action: Action) -> bool:
    # A revision is recorded only for a spec that is not live yet, whatever the other actions are there for.
    return action.about != GATEWAY and (action.cause.reason in OF_SPECS or isinstance(action, RecordRevision))


def ordered(actions: Iterable[Action]) -> tuple[Action, ...]:
    """The actions, each after those it waits for; otherwise in the order given.

    InternalError when two share an id, one waits for an unknown one, or they wait in a circle.
    """
    waiting = list(actions)
    ids = [action.id for action in waiting]
    if len(set(ids)) != len(ids):
        raise InternalError(f"two actions share an id: {sorted({i for i in ids if ids.count(i) > 1})}")
    known, done, result = set(ids), set[str](), list[Action]()
    for action in waiting:
        if missing := set(action.after) - known:
            raise InternalError(f"{action.id} waits for {sorted(missing)}, which the plan does not hold")
    while waiting:
        later: list[Action] = []
        for action in waiting:
            if done.issuperset(action.after):
                result.append(action)
                done.add(action.id)
            else:
                later.append(action)
        if len(later) == len(waiting):
            raise InternalError(f"actions wait for each other: {[action.id for action in later]}")
        waiting = later
    return tuple(result)
