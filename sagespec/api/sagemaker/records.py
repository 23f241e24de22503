"""What clients of SageMaker have created, as the store keeps it: the requests, and what became of them.

    <project>/sagemaker/training-jobs/<TrainingJobName>.json
    <project>/sagemaker/models/<ModelName>.json
    <project>/sagemaker/endpoint-configs/<EndpointConfigName>.json
    <project>/sagemaker/endpoints/<EndpointName>.json
    <project>/sagemaker/notebook-instances/<NotebookInstanceName>.json, and their lifecycle configurations

A record is written before the spec, so that a name is taken once and a kill in between loses nothing: what is not
`is_written` is written by whoever looks at it next.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self, TypeVar

from sagespec.api.sagemaker.memory import Memory
from sagespec.errors import WorldError
from sagespec.stores.protocol import Conflict, Store

_FORMAT = 1


def clock() -> float:
    """Now, as exact as clients are told times: they ask for what was created after them."""
    return round(time.time(), 3)


@dataclass(frozen=True)
class Kept:
    """request: as it was sent. Times are seconds since 1970."""

    request: Mapping[str, Any]
    created_at: float
    modified_at: float
    tags: Mapping[str, str] = field(default_factory=dict)

    folder = ""
    arn_kind = ""
    noun = ""  # in messages of AWS

    @classmethod
    def read(cls, data: bytes) -> Self:
        found = json.loads(data)
        given: dict[str, Any] = {one.name: found[one.name] for one in fields(cls) if one.name in found}
        given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        return cls(**given)

    def written(self) -> bytes:
        return f"{json.dumps({'format': _FORMAT, **asdict(self)}, indent=1)}\n".encode()


@dataclass(frozen=True)
class KeptJob(Kept):
    """address: of the job in the specs, '' where no spec could be written. document: its spec. heading: the comments
    above it. failure: why there is no spec. code: the fingerprint of its script's folder as it was written."""

    address: str = ""
    code: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)
    heading: tuple[str, ...] = ()
    is_written: bool = False
    failure: str = ""
    stop_asked_at: float | None = None

    folder = "training-jobs"
    arn_kind = "training-job"
    noun = "training job"


@dataclass(frozen=True)
class KeptModel(Kept):
    folder = "models"
    arn_kind = "model"
    noun = "model"


@dataclass(frozen=True)
class KeptConfig(Kept):
    folder = "endpoint-configs"
    arn_kind = "endpoint-config"
    noun = "endpoint configuration"


@dataclass(frozen=True)
class KeptEndpoint(Kept):
    """asked: what it was asked to serve, the newest last: maps of config (its name), at (when), variants (of the
    document then) and deployment (a DeploymentConfig, if one counts). document: its spec as it was written last."""

    asked: tuple[Mapping[str, Any], ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    heading: tuple[str, ...] = ()
    is_written: bool = False
    deleting_since: float | None = None

    folder = "endpoints"
    arn_kind = "endpoint"
    noun = "endpoint"

    @property
    def config_name(self) -> str:
        """Of the config that was asked for last."""
        return str(self.asked[-1]["config"]) if self.asked else ""

    @property
    def deployment(self) -> Mapping[str, Any] | None:
        """The DeploymentConfig that counted last."""
        found: Mapping[str, Any] | None = self.asked[-1].get("deployment") if self.asked else None
        return found


@dataclass(frozen=True)
class KeptNotebook(Kept):
    """is_to_run: whether it was started or stopped last."""

    is_to_run: bool = True
    is_written: bool = False

    folder = "notebook-instances"
    arn_kind = "notebook-instance"
    noun = "notebook instance"


@dataclass(frozen=True)
class KeptLifecycle(Kept):
    folder = "notebook-instance-lifecycle-configs"
    arn_kind = "notebook-instance-lifecycle-config"
    noun = "notebook instance lifecycle config"


KINDS: tuple[type[Kept], ...] = (KeptJob, KeptModel, KeptConfig, KeptEndpoint, KeptNotebook, KeptLifecycle)
_One = TypeVar("_One", bound=Kept)


@dataclass(frozen=True)
class SageMakerRecords:
    """Any method may raise WorldError, as the store does."""

    store: Store
    project_name: str
    memory: Memory

    def read(self, kind: type[_One], name: str) -> _One | None:
        found = self.store.read(self._key(kind, name)) if _is_name(name) else None
        return self._parse(kind, self._key(kind, name), found[0]) if found else None

    def all(self, kind: type[_One]) -> dict[str, _One]:
        """By name. Only what has changed since the last time is read."""
        prefix = f"{self.project_name}/sagemaker/{kind.folder}/"
        etags = {e.key: e.etag for e in self.store.entries(prefix) if e.key.endswith(".json")}
        new = [key for key, etag in etags.items() if self.memory.parsed.get(key, ("",))[0] != etag]
        for key, data in self.store.read_many(new).items():
            self.memory.parsed[key] = (etags[key], self._parse(kind, key, data))
        names = {key: key.removeprefix(prefix).removesuffix(".json") for key in etags}
        return {name: self.memory.parsed[key][1] for key, name in names.items() if key in self.memory.parsed}

    def create(self, name: str, kept: Kept) -> bool:
        """False when there is one of that name."""
        try:
            self.store.write(self._key(type(kept), name), kept.written(), if_absent=True)
        except Conflict:
            return False
        return True

    def change(self, kind: type[_One], name: str, change: Callable[[_One], _One]) -> _One | None:
        """What it is now; None when there is none of that name."""
        key = self._key(kind, name)
        while _is_name(name) and (found := self.store.read(key)):
            data, etag = found
            after = change(self._parse(kind, key, data))
            try:
                self.store.write(key, after.written(), if_match=etag)
            except Conflict:
                continue
            return after
        return None

    def delete(self, kind: type[Kept], name: str) -> None:
        self.store.delete(self._key(kind, name))

    def _key(self, kind: type[Kept], name: str) -> str:
        return f"{self.project_name}/sagemaker/{kind.folder}/{name}.json"

    def _parse(self, kind: type[_One], key: str, data: bytes) -> _One:
        try:
            return kind.read(data)
        except (ValueError, TypeError) as error:
            fix = "restore it from a backup, or delete it: clients then do not find it any more"
            raise WorldError(f"{self.store.uri}/{key} is damaged ({error})", fix=fix) from error


def _is_name(name: str) -> bool:
    """Whether a client can have given it: it may come out of an address, and becomes a path."""
    return re.fullmatch("[A-Za-z0-9-]{1,63}", name) is not None
