"""What is kept where: typed reads and writes of the manifests and revisions in a store.

`observe` reads what was done, `apply` and `run` write what they did; the keys of models, outputs and logs
come from here too. The store handles the bytes, `manifest` and `revision` define what they mean.

    <project>/jobs/<name>/<version>/model.tar.gz, output.tar.gz, logs/<host>.log, manifest.json
    <project>/jobs/<name>/<version>/checkpoints/…; attempts.json, import.json until it has a manifest
    <project>/active/stops/<name>/<version>.json while it is asked to stop, and a copy for an earlier sagespec:
    <project>/jobs/<name>/<version>/stop.json
    <project>/archives/<name>.tar.gz: models of no job, and models with another script, which specs name as store://…
    <project>/applied.json, what the newest specs are that were applied
    <project>/endpoints/<name>/revisions/<n>.json
    <project>/store-id, made once, which tells this store from others wherever it is moved or copied to
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import TypeVar
from uuid import uuid4

from pydantic import ValidationError
from pydantic_core import from_json

from sagespec.errors import WorldError
from sagespec.state.addresses import Address, job_address
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import MANIFEST_FORMAT, Applied, AttemptsRecord, JobStatus, Manifest, StopRequest
from sagespec.state.progress import AbortRequest, Progress, PromoteRequest
from sagespec.state.revision import (
    REVISION_FORMAT,
    RemovalRequest,
    RestartRequest,
    RetryRequest,
    Revision,
    RevisionStatus,
    RollbackRequest,
)
from sagespec.state.suspension import Suspension
from sagespec.stores.protocol import Conflict, Store

_Kept = TypeVar("_Kept", Manifest, Revision)

_FORMATS: Mapping[type[Manifest] | type[Revision], int] = {Manifest: MANIFEST_FORMAT, Revision: REVISION_FORMAT}
_Passing = TypeVar("_Passing", AttemptsRecord, StopRequest)

_WITHOUT = {
    Manifest: "delete it: the job then counts as never having run",
    Revision: "delete it: the revision before it then counts as the newest",
}


class Records:
    """The records of one project in one store. Any method may raise WorldError, as the store does."""

    def __init__(self, store: Store, project_name: str) -> None:
        self.store = store
        self.project_name = project_name
        self._store_id = ""

    def store_id(self) -> str:
        """The store's identity; '' before it has one."""
        if not self._store_id:
            found = self.store.read(f"{self.project_name}/store-id")
            self._store_id = found[0].decode(errors="replace").strip()[:64] if found else ""
        return self._store_id

    def make_store_id(self) -> None:
        if not self.store_id():
            with suppress(Conflict):  # another run has made it
                self.store.write(f"{self.project_name}/store-id", f"{uuid4()}\n".encode(), if_absent=True)

    # -- jobs

    def job_key(self, address: Address, file: str) -> str:
        """Key of a job's file: `file` is model.tar.gz, output.tar.gz, logs/<host>.log or manifest.json."""
        return f"{self.project_name}/jobs/{address.name}/{address.version}/{file}"

    def archive_key(self, name: str) -> str:
        """Key of a model that no job here has made, or that was given another script."""
        return f"{self.project_name}/archives/{name}"

    def has_archive(self, name: str) -> bool:
        key = self.archive_key(name)
        return any(entry.key == key for entry in self.store.entries(key))

    def manifests(self, addresses: Iterable[Address]) -> Mapping[Address, Manifest]:
        """The manifests of those of `addresses` that have one."""
        keys = {self.job_key(address, "manifest.json"): address for address in addresses}
        return {keys[key]: self._parsed(Manifest, key, data) for key, data in self.store.read_many(keys).items()}

    def all_jobs(self) -> tuple[Address, ...]:
        """The jobs that have a manifest, sorted; takes one listing and no reads."""
        found = []
        for parts in self._listed("jobs"):
            match parts:
                case [name, version, "manifest.json"] if version.isdecimal():
                    found.append(job_address(name, int(version)))
        return tuple(sorted(found))

    def write_manifest(self, manifest: Manifest) -> None:
        """Commit a job. Replaces the manifest of a failed or stopped run; over a completed one it raises Conflict."""
        key = self.job_key(job_address(manifest.name, manifest.version), "manifest.json")
        present = self._write(key, manifest)
        if present is None:
            return
        before, etag = present
        if before.status is JobStatus.COMPLETED:
            raise Conflict(
                f"job/{manifest.name}@{manifest.version} is already completed in {self.store.uri}",
                why="a version is immutable once it has been trained, and another run finished first",
                fix="none needed if that model will do; otherwise raise the version",
            )
        self.store.write(key, _json(manifest), if_match=etag)

    # -- jobs that have not ended

    def attempts(self, address: Address) -> AttemptsRecord | None:
        """How many times the job was started; None if it was not, or `forget` removed it."""
        return self._passing(AttemptsRecord, self.job_key(address, "attempts.json"))

    def unstarted(self, jobs: Mapping[Address, str]) -> Mapping[Address, str]:
        """Why those of `jobs`, given with their keys, could not be begun the last time it was tried."""
        keys = {self.job_key(address, "attempts.json"): address for address in jobs}
        found = {keys[key]: _parsed_or_none(AttemptsRecord, data) for key, data in self.store.read_many(keys).items()}
        return {a: r.unstarted for a, r in found.items() if r and r.unstarted and same_hash(r.key, jobs[a])}

    def write_attempts(self, address: Address, attempts: AttemptsRecord) -> None:
        self.store.write(self.job_key(address, "attempts.json"), _json(attempts))

    def stop_request(self, address: Address) -> StopRequest | None:
        """The newest one."""
        found = (_parsed_or_none(StopRequest, data) for data in self.store.read_many(self._stop_keys(address)).values())
        return max((request for request in found if request), key=lambda request: request.at, default=None)

    def write_stop_request(self, address: Address, request: StopRequest) -> None:
        for key in self._stop_keys(address):
            self.store.write(key, _json(request))

    def forget(self, address: Address) -> None:
        """Remove what is no longer needed once the job has a manifest."""
        for key in (self.job_key(address, "attempts.json"), *self._stop_keys(address)):
            self.store.delete(key)

    def sweep(self, address: Address) -> None:
        """Remove attempts that are older than the manifest: whoever wrote it was killed before `forget`."""
        attempts, manifest = self.attempts(address), self.manifests([address]).get(address)
        if attempts and manifest and attempts.wanted_at <= manifest.ended_at:
            self.store.delete(self.job_key(address, "attempts.json"))

    def _stop_keys(self, address: Address) -> tuple[str, str]:
        """Beside the leases (leases.py), so that one listing tells who runs and who is asked to stop; and where an
        earlier sagespec, which may still follow the job or be what asks, reads and writes it."""
        beside = f"{self.project_name}/active/stops/{address.name}/{address.version}.json"
        return beside, self.job_key(address, "stop.json")

    # -- roll-backs

    def write_rollback(self, request: RollbackRequest) -> None:
        self.store.write(self._rollback_key(request.endpoint), _json(request))

    def forget_rollback(self, endpoint_name: str) -> None:
        self.store.delete(self._rollback_key(endpoint_name))

    def _rollback_key(self, endpoint_name: str) -> str:
        return f"{self.project_name}/active/rollbacks/{endpoint_name}.json"

    # -- removals

    def write_removal(self, request: RemovalRequest) -> None:
        self.store.write(self._removal_key(request.endpoint), _json(request))

    def forget_removal(self, endpoint_name: str) -> None:
        self.store.delete(self._removal_key(endpoint_name))

    def _removal_key(self, endpoint_name: str) -> str:
        return f"{self.project_name}/active/removals/{endpoint_name}.json"

    # -- retries

    def write_retry(self, request: RetryRequest) -> None:
        self.store.write(self._retry_key(request.endpoint), _json(request))

    def forget_retry(self, endpoint_name: str) -> None:
        self.store.delete(self._retry_key(endpoint_name))

    def _retry_key(self, endpoint_name: str) -> str:
        return f"{self.project_name}/active/retries/{endpoint_name}.json"

    # -- rollouts

    def write_progress(self, progress: Progress) -> None:
        self.store.write(self._rollout_key("rollouts", progress.endpoint), _json(progress))

    def write_promotion(self, request: PromoteRequest) -> None:
        self.store.write(self._rollout_key("promotions", request.endpoint), _json(request))

    def write_abort(self, request: AbortRequest) -> None:
        self.store.write(self._rollout_key("aborts", request.endpoint), _json(request))

    def forget_rollout(self, endpoint_name: str) -> None:
        """How far it has come last: without that, what was asked of it is asked of nothing."""
        for kind in ("promotions", "aborts", "rollouts"):
            self.store.delete(self._rollout_key(kind, endpoint_name))

    def _rollout_key(self, kind: str, endpoint_name: str) -> str:
        return f"{self.project_name}/active/{kind}/{endpoint_name}.json"

    # -- restarts

    def write_restart(self, request: RestartRequest) -> None:
        self.store.write(self._restart_key(request.about), _json(request))

    def forget_restart(self, about: Address) -> None:
        self.store.delete(self._restart_key(str(about)))

    def _restart_key(self, about: str) -> str:
        return f"{self.project_name}/active/restarts/{about}.json"

    # -- suspensions

    def write_suspension(self, suspension: Suspension) -> None:
        self.store.write(self.suspension_key(suspension.about), _json(suspension))

    def forget_suspension(self, about: str) -> None:
        self.store.delete(self.suspension_key(about))

    def suspension_key(self, about: str) -> str:
        return f"{self.project_name}/active/suspensions/{about.replace('@', '/')}.json"

    # -- the specs

    def applied(self) -> Applied:
        """The newest specs that were applied, as far as somebody has said so."""
        found = self.store.read(self._applied_key)
        try:
            return Applied.model_validate_json(found[0]) if found else Applied()
        except ValidationError:
            return Applied()

    def write_applied(self, applied: Applied) -> None:
        self.store.write(self._applied_key, _json(applied))

    @property
    def _applied_key(self) -> str:
        return f"{self.project_name}/applied.json"

    def _passing(self, kind: type[_Passing], key: str) -> _Passing | None:
        """Damaged records count as missing: that loses a count of attempts, but never a model."""
        found = self.store.read(key)
        return _parsed_or_none(kind, found[0]) if found else None

    # -- endpoints

    def endpoint_names(self) -> tuple[str, ...]:
        """The endpoints that have revisions, sorted."""
        return tuple(sorted(self._revision_numbers()))

    def revisions(self, endpoint_names: Collection[str] | None = None) -> Mapping[str, tuple[Revision, ...]]:
        """Revisions by endpoint, oldest first, reaching back at least to the newest live one.

        Covers all endpoints, or those named that have revisions. Takes one listing, plus one small read for each
        endpoint whose newest revision is live.
        """
        unread = self._revision_numbers(endpoint_names)
        found: dict[str, list[Revision]] = {name: [] for name in unread}
        step = 1
        while unread:
            keys = {
                self._revision_key(name, number): name for name, numbers in unread.items() for number in numbers[:step]
            }
            contents = self.store.read_many(keys)
            for key, name in keys.items():
                if key in contents:
                    found[name].append(self._parsed(Revision, key, contents[key]))
            unread = {
                name: numbers[step:]
                for name, numbers in unread.items()
                if numbers[step:] and all(revision.status is not RevisionStatus.LIVE for revision in found[name])
            }
            step *= 4  # so many failed attempts in a row take only a few rounds
        return {name: tuple(reversed(revisions)) for name, revisions in found.items() if revisions}

    def history(self, endpoint_name: str) -> tuple[Revision, ...]:
        """All revisions of an endpoint, oldest first."""
        numbers = self._revision_numbers([endpoint_name]).get(endpoint_name, [])
        keys = [self._revision_key(endpoint_name, number) for number in reversed(numbers)]
        contents = self.store.read_many(keys)
        return tuple(self._parsed(Revision, key, contents[key]) for key in keys if key in contents)

    def write_revision(self, revision: Revision) -> None:
        """Record an attempt, or its outcome: writing the same number again replaces the first record.

        Conflict if the number already belongs to a different request.
        """
        key = self._revision_key(revision.endpoint, revision.number)
        present = self._write(key, revision)
        if present is None:
            return
        before, etag = present
        if before.hash != revision.hash:
            raise Conflict(
                f"endpoint/{revision.endpoint} has another revision {revision.number} in {self.store.uri}",
                why="another command recorded it in the meantime",
                fix="run apply again: it starts from the current state",
            )
        self.store.write(key, _json(revision), if_match=etag)

    # -- keys and JSON

    def _revision_key(self, endpoint_name: str, number: int) -> str:
        return f"{self.project_name}/endpoints/{endpoint_name}/revisions/{number}.json"

    def _revision_numbers(self, endpoint_names: Collection[str] | None = None) -> dict[str, list[int]]:
        """Revision numbers by endpoint, newest first."""
        found: dict[str, list[int]] = {}
        only = next(iter(endpoint_names)) if endpoint_names is not None and len(endpoint_names) == 1 else ""
        for parts in self._listed("endpoints", only):
            match parts:
                case [name, "revisions", file] if file.removesuffix(".json").isdecimal():
                    if endpoint_names is None or name in endpoint_names:
                        found.setdefault(name, []).append(int(file.removesuffix(".json")))
        return {name: sorted(numbers, reverse=True) for name, numbers in found.items()}

    def _listed(self, folder: str, name: str = "") -> list[list[str]]:
        """Keys under a folder of the project (or under one name in it), relative to the folder, split at slashes."""
        prefix = f"{self.project_name}/{folder}/"
        entries = self.store.entries(f"{prefix}{name}/" if name else prefix)
        return [entry.key.removeprefix(prefix).split("/") for entry in entries]

    def _write(self, key: str, record: _Kept) -> tuple[_Kept, str] | None:
        """Write `record` if its key is free; otherwise return the different record found there, with its ETag."""
        data = _json(record)
        while True:
            try:
                self.store.write(key, data, if_absent=True)
            except Conflict:
                present = self.store.read(key)
                if present is None:
                    continue  # removed by hand between write and read
                if present[0] == data:
                    return None  # already written by us: the response was lost, or this is a repeat
                return self._parsed(type(record), key, present[0]), present[1]
            return None

    def _parsed(self, kind: type[_Kept], key: str, data: bytes) -> _Kept:
        place = f"{self.store.uri}/{key}"
        try:
            value = from_json(data)
            if isinstance(value, dict) and isinstance(form := value.get("format"), int) and form > _FORMATS[kind]:
                raise WorldError(
                    f"{place} has format {form}, and this sagespec knows formats up to {_FORMATS[kind]}",
                    why="it was written by a newer release",
                    fix="install that release: pip install --upgrade sagespec",
                )
            return kind.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._damaged(kind, place, f"{where}: {first['msg']}" if where else first["msg"]) from error
        except ValueError as error:
            raise self._damaged(kind, place, str(error)) from error

    def _damaged(self, kind: type[_Kept], place: str, reason: str) -> WorldError:
        return WorldError(
            f"{place} is damaged ({reason})",
            why=f"it should hold a {kind.__name__.lower()} written by sagespec",
            fix=f"restore it from a backup, or {_WITHOUT[kind]}",
        )


def _parsed_or_none(kind: type[_Passing], data: bytes) -> _Passing | None:
    try:
        return kind.model_validate_json(data)
    except ValidationError:
        return None


def _json(
    record: Manifest
    | Revision
    | AttemptsRecord
    | StopRequest
    | RollbackRequest
    | RestartRequest
    | RemovalRequest
    | RetryRequest
    | Progress
    | PromoteRequest
    | AbortRequest
    | Suspension
    | Applied,
) -> bytes:
    return (record.model_dump_json(indent=2) + "\n").encode()
