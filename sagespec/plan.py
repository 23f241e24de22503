"""The plan: a value that says what will be done, in what order, and why.

Made by `reconcile`, printed by `show` and carried out by `apply`. Each action is one effect that is safe to repeat; it
names its cause and the actions it waits for. The text form is what tests compare.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from sagespec.causes import OF_SPECS, Cause
from sagespec.display import Displayed
from sagespec.errors import Problem
from sagespec.ongoing import Rolling, Running, Stale, Suspended
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.desired import DesiredEndpoint, DesiredJob, DesiredNotebook, DesiredVariant
from sagespec.state.doors import NO_DOORS, Doors
from sagespec.state.manifest import Manifest
from sagespec.state.observed import Archive, Route
from sagespec.state.progress import Progress
from sagespec.state.revision import EndpointRecord, RevisionStatus
from sagespec.state.rollout import RolloutEnd
from sagespec.versions import NewVersion


@dataclass(frozen=True, kw_only=True)
class _Action:
    """verb and about: what is done to what. subject: fields that tell it from others. after: ids it waits for.

    is_quiet: nobody is told of it unless it fails.
    """

    verb: ClassVar[str]
    is_quiet: ClassVar[bool] = False
    subject: ClassVar[tuple[str, ...]] = ()
    about: Address
    cause: Cause
    after: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return " ".join([self.verb, str(self.about), *(str(getattr(self, name)) for name in self.subject)])


@dataclass(frozen=True, kw_only=True)
class StartGateway(_Action):
    """Start the gateway's container, replacing one that is dead or was started with other settings. restart: also one
    that is as it should be. doors: who may ask; None for whoever might before."""

    verb = "start-gateway"
    restart: bool = False
    doors: Doors | None = None


@dataclass(frozen=True, kw_only=True)
class SetDoors(_Action):
    """Let these callers ask the gateway, and no others."""

    verb = "set-doors"
    doors: Doors


@dataclass(frozen=True, kw_only=True)
class RunJob(_Action):
    """Train: inputs in, containers started, followed to the end, model and manifest to the store, containers away.

    Containers of an earlier run that carry the job's key are picked up as they are.
    """

    verb = "run-job"
    job: DesiredJob


@dataclass(frozen=True, kw_only=True)
class CopyModel(_Action):
    """Copy a job that another environment has trained: all that its manifest names, checked, and the manifest last.
    manifest: the one there; None in a plan that was made without asking."""

    verb = "copy-model"
    manifest: Manifest | None


@dataclass(frozen=True, kw_only=True)
class ImportModel(_Action):
    """Take the model.tar.gz that the job's spec names into the store, if it is `archive`, and the manifest last."""

    verb = "import"
    job: DesiredJob
    archive: Archive | None  # None where it was not asked


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
    """Give the endpoint this route; None takes it off the gateway.

    step: of a rollout, which tells it from the others of that; '' for none.
    """

    verb = "set-routes"
    route: Route | None
    step: str = ""

    @property
    def id(self) -> str:
        return f"{super().id} {self.step}".rstrip()


@dataclass(frozen=True, kw_only=True)
class RecordProgress(_Action):
    """Write how far a rollout has come to the store. at: when its counters were read."""

    verb = "record-progress"
    is_quiet = True
    subject = ("number", "step", "at")
    number: int
    step: int
    at: str
    progress: Progress


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
    is_restart: whether a restart that was asked for is over with it. rollout: how it went, where it took steps.
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
    rollout: RolloutEnd | None = None


@dataclass(frozen=True, kw_only=True)
class StartNotebook(_Action):
    """Start a notebook's container in place of those it has; its folder stays."""

    verb = "start-notebook"
    container: str
    notebook: DesiredNotebook


@dataclass(frozen=True, kw_only=True)
class AwaitNotebook(_Action):
    """Wait until a notebook that was started answers."""

    verb = "await-notebook"
    container: str


Action = (
    StartGateway
    | SetDoors
    | RunJob
    | CopyModel
    | ImportModel
    | RemoveContainer
    | StartInstance
    | AwaitHealthy
    | SetRoutes
    | DrainInstance
    | RemoveInstance
    | RecordProgress
    | RecordRevision
    | StartNotebook
    | AwaitNotebook
)


@dataclass(frozen=True, repr=False)
class Plan(Displayed):
    """actions: in an order that respects `after`. unchanged: addresses with nothing to do.

    refused: what the specs ask for and will not be done, with the reason; a plan with refusals still
    does the rest. notes: worth saying, nothing to do about it (a live endpoint that is in no spec). running: jobs that
    other runs follow. held: specs that are left aside on purpose, since they were rolled back; the notes say so.
    rolling: revisions that are on their way, step by step. against: the commit whose specs were taken for applied; ''
    where the plan is of what is there. suspended: what is, with the actions that are held back. versions: what
    those are that are trained for the first time. stale: trained jobs whose data or image have moved on.
    """

    actions: tuple[Action, ...] = ()
    unchanged: tuple[Address, ...] = ()
    refused: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    running: tuple[Running, ...] = ()
    held: tuple[Problem, ...] = ()
    rolling: tuple[Rolling, ...] = ()
    against: str = ""
    suspended: tuple[Suspended, ...] = ()
    versions: tuple[NewVersion, ...] = ()
    stale: tuple[Stale, ...] = ()

    def __iter__(self) -> Iterator[Action]:
        return iter(self.actions)

    def as_plain_text(self) -> str:
        return self.text()

    @property
    def asks_for_something(self) -> bool:
        """Whether `apply` would do something, now or when a job has ended that another run follows, or in the next
        step of a rollout."""
        return bool(self.actions or self.rolling) or any(running.is_needed for running in self.running)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many actions of each verb, in the order in which the verbs first occur."""
        return Counter(action.verb for action in self.actions)

    @property
    def digest(self) -> str:
        """SHA-256 of what the plan does, with what it does it, and what it refuses: whoever approves it approves a plan
        that does exactly this. Places in files are no part of it: a comment above a spec changes no plan."""
        decided = self._decided_as_json()
        decided["refused"] = [problem.as_json() for problem in (replace(p, where=None) for p in self.refused)]
        return _sha256(json.dumps(decided, sort_keys=True))

    @property
    def lines(self) -> tuple[str, ...]:
        """What the digest is over, for people who compare two plans: a line for each action, with a few digits of what
        it is done with, and one for each refusal."""
        rows = [(f"{a.verb}  {a.about}  {a.cause}", content_of(a)) for a in self.actions]
        done = [f"{line}  [{content[:8]}]" if content else line for line, content in rows]
        return (*done, *(f"refused  {problem.about}  {problem.what}" for problem in self.refused))

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
        """What the specs change: all that is known of a plan where the engine that serves cannot be reached. Without
        actions that are there for what runs, or does not; what has no other actions is unchanged."""
        actions = [action for action in self.actions if _is_of_specs(action)]
        ids = {action.id for action in actions}
        kept = tuple(replace(action, after=tuple(id for id in action.after if id in ids)) for action in actions)
        changed = {action.about.whole for action in kept}
        left_out = {action.about.whole for action in self.actions} - changed - {GATEWAY}
        return replace(self, actions=kept, unchanged=tuple(sorted({*self.unchanged, *left_out}, key=str)))

    def text(self) -> str:
        """One line an action: verb, address, cause; then one a job that another run follows, and one a rollout. Columns
        are aligned, and there is no newline at the end."""
        rows = [(action.verb, str(action.about), str(action.cause)) for action in self.actions]
        rows += [("running", str(running.about), running.text) for running in self.running]
        rows += [("rolling", str(rolling.about), rolling.text) for rolling in self.rolling]
        rows += [row for one in self.suspended for row in one.rows]
        widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
        return "\n".join(f"{verb:<{widths[0]}}  {about:<{widths[1]}}  {cause}".rstrip() for verb, about, cause in rows)

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/commands.md."""
        decided = self._decided_as_json(places=True)
        return {
            "actions": decided["actions"],
            "unchanged": [str(address) for address in self.unchanged],
            "refused": decided["refused"],
            "running": [running.as_json() for running in self.running],
            "rolling": [rolling.as_json() for rolling in self.rolling],
            "versions": [version.as_json() for version in self.versions],
            "stale": [one.as_json() for one in self.stale],
            "notes": list(self.notes),
            "digest": self.digest,
            **({"against": self.against} if self.against else {}),
            **({"suspended": [one.as_json() for one in self.suspended]} if self.suspended else {}),
        }

    def _decided_as_json(self, *, places: bool = False) -> dict[str, Any]:
        return {
            "actions": [
                {
                    "id": action.id,
                    "action": action.verb,
                    "about": str(action.about),
                    "cause": action.cause.as_json(places=places),
                    "after": list(action.after),
                    "content": content_of(action),
                }
                for action in self.actions
            ],
            "refused": [problem.as_json() for problem in self.refused],
        }


def _is_of_specs(action: Action) -> bool:
    # A revision is recorded only for a spec that is not live yet, whatever the other actions are there for.
    return action.about != GATEWAY and (action.cause.reason in OF_SPECS or isinstance(action, RecordRevision))


def content_of(action: Action) -> str:
    """What tells this action from one of the same id and cause that would do something else: the SHA-256 of what it is
    done with; '' where that is all said."""
    match action:
        case RunJob():
            carried = action.job.key
        case ImportModel():
            carried = f"{action.job.key} {action.archive and action.archive.checksum}"
        case StartInstance():
            carried = f"{action.variant.hash} {action.image}"
        case AwaitHealthy():
            carried = action.endpoint.hash
        case SetRoutes():
            carried = repr(action.route)
        case StartGateway() | SetDoors():
            carried = repr(action.doors) if action.doors not in (None, NO_DOORS) else ""
        case StartNotebook():
            carried = action.notebook.hash
        case RecordRevision():
            carried = action.endpoint_hash
        case _:
            carried = ""
    return _sha256(carried) if carried else ""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
