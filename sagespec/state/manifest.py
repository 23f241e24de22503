"""What the store keeps for a job: its `Manifest`, and the records until it has one.

These are pydantic models because later releases and people read them back. A manifest is the commit of a training
job: it is written last, and once it says `completed` the job is never run again. Until a job has its manifest,
`AttemptsRecord` says how often and how it was started, and a `StopRequest` that it should stop.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from sagespec.state.faults import Fault, FaultKind

MANIFEST_FORMAT = 1


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


class Manifest(Record):
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
