"""What the store keeps for a job: its `Manifest`, and the records until it has one.

These are pydantic models because later releases and people read them back. A manifest is the commit of a training
job: it is written last, and once it says `completed` the job is never run again. Until a job has its manifest,
`AttemptsRecord` says how often and how it was started, and a `StopRequest` that it should stop.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

from sagespec.display import Displayed
from sagespec.state.faults import Fault, FaultKind

MANIFEST_FORMAT = 1
_LATER = frozenset(
    {"swept_at", "promoted_from", "by", "imported_from"}
)  # of later releases: one without them has its bytes


class Record(BaseModel):
    # A record written by a newer release may hold fields this one does not know: they are kept, not refused.
    model_config = ConfigDict(extra="allow", frozen=True)


class JobStatus(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


class Git(Record):
    """The commit the spec was read at; `dirty` if the tree had further changes."""

    commit: str
    dirty: bool


class RunBy(Record):
    """Who ran what is recorded, and from where. actor, url: of a run in CI, whoever started it and its address."""

    user: str
    host: str
    command: str  # of sagespec
    actor: str = ""
    url: str = ""

    @property
    def text(self) -> str:
        """For people, where there is little room: `ada on build-7`, `octocat, run 4711`."""
        number = self.url.rstrip("/").rpartition("/")[2]
        if self.actor:
            return f"{self.actor}, run {number}" if number else self.actor
        return f"{self.user} on {self.host}"

    @property
    def full_text(self) -> str:
        """With the command, and the address of the run."""
        where = f"{self.actor or self.user} on {self.host}"
        return f"sagespec {self.command} of {where}" + (f", {self.url}" if self.url else "")


class Input(Record):
    """Fingerprint of a channel's data: SHA-256 over the sorted (name, size, ETag or SHA-256) of its objects.

    data_files, data_bytes: of what the built-ins take for data, hidden files left out; None from an earlier release.
    """

    source: str
    fingerprint: str
    objects: int
    bytes: int
    content_type: str | None = None
    data_files: int | None = None
    data_bytes: int | None = None


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


Said = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_printable)]  # by a container
Count = Annotated[int, Field(ge=0)]


class ChannelRead(Record):
    """What a built-in algorithm says it has read of a channel. line: the same for people.

    files, bytes: None where they came through a pipe. features: None where rows are not numbers.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    line: Said
    files: Count | None = None
    bytes: Count | None = None
    rows: Count
    features: Count | None = None
    names: tuple[Said, ...] = Field(default=(), max_length=100)
    has_weights: bool = False
    notes: tuple[Said, ...] = Field(default=(), max_length=20)


class Artifact(Record):
    """One file of a job in the store; `key` is relative to the job's folder."""

    key: str
    size: int
    sha256: str


class Attempt(Record):
    """One time that a job's containers ran. reason: why it ended, if not well.

    logs: of the hosts, for an attempt that is not the last one.
    """

    number: int
    started_at: datetime
    ended_at: datetime | None = None
    seconds: float = 0.0  # of training, which max_runtime limits over all attempts
    reason: str = ""
    logs: dict[str, Artifact] = Field(default_factory=dict)


class Started(Record):
    """How an attempt began, for whoever follows it to its end. attempt: its number.

    checkpoints: the SHA-256, by name, of the files that each host was started with. seal_key: what only we can seal a
    note in its containers with; '' if an earlier release began it.
    """

    started_at: AwareDatetime
    image_digest: str
    inputs: dict[str, Input]
    git: Git | None
    downloading_seconds: float = Field(ge=0, allow_inf_nan=False)
    attempt: int = 1
    checkpoints: dict[str, str] = Field(default_factory=dict)
    seal_key: str = ""

    @property
    def training_from(self) -> float:
        """When the program was started, in seconds since 1970."""
        return self.started_at.timestamp() + self.downloading_seconds


class AttemptsRecord(Record):
    """What is to be remembered of a job that has no manifest yet. wanted_at: when it could first have run.

    started: how the last of the attempts began. unstarted: why the last try to begin one came to nothing.
    key_fields: {} from an earlier release.
    """

    key: str
    key_fields: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, dict[str, str]] = Field(default_factory=dict)  # as in the manifest
    wanted_at: datetime
    attempts: tuple[Attempt, ...] = ()
    started: Started | None = None
    unstarted: str = ""


class StopRequest(Record):
    """Somebody wants a job to end; kept until it has."""

    by: str  # user on host
    at: datetime


class AppliedSpec(Record):
    """The newest spec of an endpoint or a job that a run has applied. hash: of the spec, or a job's key; '' when it was
    removed."""

    hash: str
    by: str  # the run, for people
    at: datetime


class Applied(Record):
    """By endpoint, and by address of the jobs that are not trained. A run that waited leaves alone what a later run has
    given another spec, or removed."""

    endpoints: dict[str, AppliedSpec] = {}
    jobs: dict[str, AppliedSpec] = {}


class PromotedFrom(Record):
    """Where a model was trained that was copied into this store. project, store: the place; at: when it was copied."""

    project: str
    store: str
    at: AwareDatetime


class Manifest(Displayed, Record):
    format: int = MANIFEST_FORMAT
    project: str
    name: str
    version: int
    key: str
    key_fields: dict[str, Any]
    files: dict[str, dict[str, str]] = Field(default_factory=dict)  # behind `code` and `build`: short hashes by path
    status: JobStatus
    reason: str = ""
    notes: tuple[str, ...] = ()  # what to know of its results, for people
    left_no_model: bool = False  # completed, and its model.tar.gz is empty
    spec: dict[str, Any]
    git: Git | None = None
    sagespec_version: str = ""
    runtime: str = ""
    images: dict[str, str] = Field(default_factory=dict)  # program -> digest
    inputs: dict[str, Input] = Field(default_factory=dict)
    read: dict[str, ChannelRead] = Field(default_factory=dict)  # by channel; of built-in algorithms
    metrics: dict[str, float] = Field(default_factory=dict)  # what each ended with
    series: dict[str, list[tuple[float, float]]] = Field(default_factory=dict)  # seconds after started_at, value
    exit_codes: dict[str, int] = Field(default_factory=dict)  # host -> code
    artifacts: dict[str, Artifact] = Field(default_factory=dict)  # model or model.unfit, output, logs/algo-1, …
    started_at: datetime
    ended_at: datetime
    seconds: dict[str, float] = Field(default_factory=dict)  # downloading, training, uploading
    protect: bool = False
    attempts: tuple[Attempt, ...] = ()  # oldest first
    swept_at: AwareDatetime | None = None  # when gc deleted its model, output and checkpoints; not written before
    promoted_from: PromotedFrom | None = None  # where it was trained, if in another project
    by: RunBy | None = None  # who followed it to its end; None from an earlier release
    imported_from: str | None = None  # the archive, of a model that was trained elsewhere

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name not in _LATER or value is not None}

    @property
    def verdict(self) -> str:
        """How it ended and why (nothing of a job that completed), in a line or more."""
        if not self.reason:
            return self.status.value
        fault = Fault.read(self.reason)
        says_so = fault is not None and fault.kind is FaultKind.STOPPED
        return self.reason if says_so else f"{self.status}: {self.reason}"

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        return self.verdict.partition("\n")[0].removesuffix("; its last lines:")
