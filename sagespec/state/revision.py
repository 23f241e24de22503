"""One attempt at making an endpoint match its spec, as the store keeps it, and the record of what it asked for.

`resolve` builds an `EndpointRecord` from a spec, `state.desired` turns one into a `DesiredEndpoint`, and a `Revision`
keeps it so that the endpoint can be served again. `sagespec history` compares two of them field by field.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, SerializerFunctionWrapHandler, model_serializer

from sagespec.spec.document import Update, update_class
from sagespec.spec.endpoint import Endpoint, Variant
from sagespec.spec.rollout import Rollout
from sagespec.spec.secrets import StoredValue, as_plain
from sagespec.state.manifest import Git, Record, RunBy
from sagespec.state.programs import Builtin, Program, program_from_json
from sagespec.state.rollout import AsGiven, RolloutEnd, RolloutRecord

REVISION_FORMAT = 1
_LATER = frozenset({"rollout", "by"})  # fields of later releases: a revision without them has its bytes


class RevisionStatus(StrEnum):
    LIVE = "live"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    REMOVED = "removed"


class ModelRecord(AsGiven):
    """The model of a variant: `job` or `uri` is set, the other is ''. identity: what distinguishes two models.

    sha256: of the archive that the job's manifest names; UNTRAINED before it has one, and not given by an earlier
    release. alias: what stood for the version in the spec; given only where one did.
    """

    text: str = ""  # churn@3, s3://…/model.tar.gz
    identity: str = ""
    job: str = ""  # job/churn@3
    uri: str = ""
    sha256: str = ""
    alias: str = ""


def _program(value: Any) -> Program:
    return value if isinstance(value, Program) else program_from_json(value)


def _program_as_json(program: Program) -> dict[str, Any]:
    return program.as_json()


class VariantRecord(AsGiven):
    name: str
    model: ModelRecord = ModelRecord()
    program: Annotated[Program, PlainValidator(_program), PlainSerializer(_program_as_json)] = Builtin("")
    weight: float = 1.0
    instances: int = 1
    environment: dict[str, StoredValue] = Field(default_factory=dict, repr=False)  # may hold secrets
    cpus: float | None = None
    memory: int | None = None  # bytes
    gpus: int = 0  # given only where it is not 0
    accelerate: str = ""  # given only where it is not ''
    secrets: dict[str, str] = Field(default_factory=dict)  # versions by name, given only where all could be asked
    restart: int = 0  # the revision that replaced its containers last, though nothing it asks for had changed; or 0


# The spec's field for a field of the record, if their names differ: the update class is declared there.
_DECLARED_AT = {"program": "image", "cpus": "resources", "memory": "resources", "gpus": "resources"}
# Came in a later release, whose hashes are those of the earlier ones.
_COUNTS_WHERE_USED = frozenset({"gpus", "accelerate", "restart"})


def fields_by_update(record: VariantRecord) -> dict[Update, dict[str, Any]]:
    """What the variant asks for, by what a change of it does to what runs, as plain data.

    Its name is left out: a variant by another name is another variant.
    """
    left_out = ("name", "secrets")  # versions are apart in the hash, as those of models
    values: dict[str, Any] = {
        name: getattr(record, name) for name in VariantRecord.model_fields if name not in left_out
    }
    values |= {"model": record.model.identity, "program": str(record.program)}
    values["environment"] = as_plain(record.environment)
    found: dict[Update, dict[str, Any]] = {update: {} for update in Update}
    for name, value in values.items():
        if value or name not in _COUNTS_WHERE_USED:
            update = Update.REPLACE if name == "restart" else update_class(Variant, _DECLARED_AT.get(name, name))
            found[update][name] = value
    return found


def settings_of(record: EndpointRecord) -> dict[str, Any]:
    """The fields of an endpoint whose change touches nothing that runs, as plain data."""
    rollout = {name: getattr(record.rollout, name) for name in RolloutRecord.model_fields}
    found = {name: value for name, value in rollout.items() if update_class(Rollout, name) is Update.NONE}
    return found | ({"protect": record.protect} if update_class(Endpoint, "protect") is Update.NONE else {})


class SplitRecord(AsGiven):
    """How requests are divided. key: '' for by chance."""

    key: str = ""


class LimitsRecord(AsGiven):
    """How many requests an instance is asked at once, and how many wait for it. concurrency: 0 for all that come."""

    concurrency: int = 0
    queue: int = 0


_NOT_ITS_SPECS: dict[str, Any] = {
    "variants": {"__all__": {"model": {"sha256", "alias"}, "restart": True, "secrets": True}}
}


class EndpointRecord(AsGiven):
    """All that an endpoint's spec asks for, with models and programs found: enough to serve it again."""

    variants: tuple[VariantRecord, ...] = ()
    rollout: RolloutRecord = RolloutRecord()
    protect: bool = False
    split: SplitRecord = SplitRecord()  # given only where it is used, as what follows
    when_down: str = "fail"
    limits: LimitsRecord = LimitsRecord()

    def as_json(self) -> dict[str, Any]:
        """The plain data that the store keeps."""
        return self.model_dump(mode="json")

    def spec_as_json(self) -> dict[str, Any]:
        """What the endpoint's hash is over: all that its spec says, and so neither what training it gave, nor when it
        was restarted or a secret of it rotated."""
        return self.model_dump(mode="json", exclude=_NOT_ITS_SPECS)


class Revision(Record):
    """One attempt at making an endpoint match its spec.

    A `live` revision that is followed by another live one is superseded; that is derived, never written.
    engine: where it went live, as its runtime says it; '' from an earlier release.
    `instead_of` is set by a rollback: the hash of the spec as it was then, which is not put back until it changes.
    rollout: how it went live step by step, or did not; None, and not written, where it was one step. by: who recorded
    it; None, and not written, by an earlier release.
    """

    format: int = REVISION_FORMAT
    endpoint: str
    number: int
    hash: str
    status: RevisionStatus
    asked: EndpointRecord
    reason: str = ""
    instead_of: str = ""
    git: Git | None = None
    engine: str = ""
    started_at: datetime
    ended_at: datetime | None = None
    rollout: RolloutEnd | None = None
    by: RunBy | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name not in _LATER or value is not None}


class RollbackRequest(Record):
    """Somebody wants an earlier revision back; kept until it serves, or has failed. Any run carries it out.

    number, hash, asked: of that revision. instead_of: hash of the endpoint's spec, '' if there is none: an edited spec
    ends the request. after: the newest revision's number then.
    """

    endpoint: str
    number: int
    hash: str
    asked: EndpointRecord
    instead_of: str
    after: int
    reason: str
    by: str
    at: datetime

    @property
    def as_reason(self) -> str:
        """What the history says of it."""
        return f"rolled back to revision {self.number}" + (f": {self.reason}" if self.reason else "")

    def is_over(self, revisions: tuple[Revision, ...]) -> bool:
        """Whether it has been carried out, or has failed."""
        return any(r.number > self.after and r.hash == self.hash for r in revisions)


class RestartRequest(Record):
    """Somebody wants the containers of an endpoint, or the gateway's, replaced by new ones; kept until that is done, or
    has failed. Any run carries it out.

    about: endpoint/churn, or gateway. variant: '' for all of the endpoint. after: its newest revision's number then.
    """

    about: str
    variant: str = ""
    after: int = 0
    reason: str = ""
    by: str
    at: datetime

    def is_over(self, revisions: tuple[Revision, ...]) -> bool:
        """Whether a revision was recorded since: each takes the restart with it, whatever else it was for."""
        return any(revision.number > self.after for revision in revisions)


class RemovalRequest(Record):
    """Somebody wants an endpoint removed that no spec names any more, whether or not a run prunes; kept until it is.

    after: its newest revision's number then. One that has a spec again stays, whatever was asked for.
    """

    endpoint: str
    after: int = 0
    by: str
    at: datetime

    def is_over(self, revisions: tuple[Revision, ...]) -> bool:
        """Whether a revision was recorded since: it was removed, or went live again."""
        return any(revision.number > self.after for revision in revisions)


class RetryRequest(Record):
    """Somebody wants a spec tried again that was given up, as one more attempt and no more; kept until it is.

    after: its newest revision's number then.
    """

    endpoint: str
    after: int = 0
    by: str
    at: datetime

    def is_over(self, revisions: tuple[Revision, ...]) -> bool:
        """Whether a revision was recorded since."""
        return any(revision.number > self.after for revision in revisions)


def live_revision(revisions: tuple[Revision, ...]) -> Revision | None:
    """The newest revision that went live, unless the endpoint was removed after it."""
    for revision in reversed(revisions):
        if revision.status is RevisionStatus.REMOVED:
            return None
        if revision.status is RevisionStatus.LIVE:
            return revision
    return None
