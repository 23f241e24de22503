"""Takes a model that was trained elsewhere into the store, as a version of a job that is trained already.

The manifest is written last, so an import that was killed left nothing but files that the next one writes again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sagespec.errors import SpecError, WorldError, did_you_mean, disk_problems
from sagespec.events import Caller
from sagespec.load.load import load_what_is_right
from sagespec.parts import Parts
from sagespec.records.lock import IMPORT, PATIENCE_SECONDS, import_lock, project_lock
from sagespec.records.run_by import run_by
from sagespec.run.imports import MODEL, Described, Imported, check_archive, described, import_archive, manifest_of
from sagespec.spec.endpoint import named_job
from sagespec.state.addresses import Address, job_address
from sagespec.state.desired import DesiredJob
from sagespec.state.manifest import Manifest
from sagespec.stores.protocol import Stored
from sagespec.verbs.plan import desired

COMMAND = "import"


@dataclass(frozen=True)
class ServedBy:
    """What serves a model for which there is no spec: one of the first three. entry_point: of a framework, in code/."""

    algorithm: str = ""
    framework: str = ""
    image: str = ""
    entry_point: str = ""

    @property
    def named(self) -> dict[str, str]:
        found = {"algorithm": self.algorithm, "framework": self.framework, "image": self.image}
        return {kind: name for kind, name in found.items() if name}


def import_model(
    parts: Parts, archive: Path, version: str, served_by: ServedBy, *, metrics: Mapping[str, float]
) -> Manifest:
    """version: churn@1, of which nothing may be known yet. WorldError where it is, and where the archive is none."""
    named = named_job(version)
    if named is None:
        raise SpecError(f"{version} is not the version of a job", fix="write it as NAME@VERSION: churn@1")
    job = job_address(*named)
    if not archive.is_file():
        raise SpecError(f"there is no file {archive}", fix="name a model.tar.gz")
    with TemporaryDirectory(dir=parts.scratch) as folder:
        copy = Path(folder, MODEL)  # what is checked is what is stored, whatever becomes of the file
        with disk_problems(f"cannot read {archive}"):
            shutil.copyfile(archive, copy)
        check_archive(copy, parts.scratch, name_for_people=str(archive))
        about = _described(parts, job, served_by)
        return _import(parts, job, copy, about, source=str(archive.resolve()), metrics=metrics)


def _import(
    parts: Parts, job: Address, archive: Path, about: Described, *, source: str, metrics: Mapping[str, float]
) -> Manifest:
    with _alone(parts, job) as check:
        stored = parts.store.upload(parts.records.job_key(job, MODEL), archive)
        imported = Imported(source, stored, metrics)
        about = _known_by_its_model(about, stored)
        git, by = parts.find_commit().git, run_by(COMMAND)
        manifest = manifest_of(parts.settings.name, job, about, imported, git=git, by=by, now=datetime.now(UTC))
        check()
        parts.records.write_manifest(manifest)
    return manifest


def import_as_its_spec_says(parts: Parts, job: Address) -> Manifest:
    """What `apply` would do of a job with `imported_from`, and no more."""
    wanted = desired(parts, check_paths=False, only={job})[0].job(job)
    assert wanted is not None
    with _alone(parts, job) as check:
        manifest = import_archive(wanted, None, parts.world(parts.leases(COMMAND)).jobs, Caller())
        check()
        parts.records.write_manifest(manifest)
    return manifest


@contextmanager
def _alone(parts: Parts, job: Address) -> Iterator[Callable[[], None]]:
    """As the only one that imports this version, of which nothing is known yet, or changes anything else. Yields what
    raises WorldError when that is not so any more."""
    _refuse_known(parts, job)
    command = f"{COMMAND} {job}"
    with (
        import_lock(parts.store, parts.records.job_key(job, IMPORT), command=command) as alone,
        project_lock(parts.store, parts.settings.name, command=command, wait_seconds=PATIENCE_SECONDS) as lock,
    ):

        def check() -> None:
            alone.check_now()
            lock.check()

        _refuse_known(parts, job)
        yield check
    with suppress(WorldError):
        alone.delete()


def _described(parts: Parts, job: Address, served_by: ServedBy) -> Described:
    """As its spec says, if it has one: then the plan has nothing to train."""
    loaded, _ = load_what_is_right(parts.specs, parts.root, parts.environment)
    if any(item.address == job for item in loaded.specs):
        found = desired(parts, check_paths=False, only={job})[0].job(job)
        assert found is not None
        if found.imported_from:
            raise SpecError(f"the spec of {job} says where its model is imported from", fix=f"sagespec apply {job}")
        _refuse_other_program(found, served_by)
        return described(found)
    if len(served_by.named) != 1:
        raise SpecError(
            f"no spec defines {job}, so nothing says what serves its model",
            fix="give one of --algorithm, --framework and --image, or write its spec first",
        )
    ((kind, name),) = served_by.named.items()
    if kind != "image" and name not in parts.images:
        raise SpecError(f"there is no {kind} named {name!r}", fix=did_you_mean(name, parts.images))
    spec = {"name": job.name, "version": job.version, kind: name}
    more = {"entry_point": served_by.entry_point} if served_by.entry_point else {}
    return Described(spec | more, {kind: name} | more | {"imported": True})


def _refuse_other_program(job: DesiredJob, served_by: ServedBy) -> None:
    for kind, name in served_by.named.items():
        if job.spec.get(kind) != name:
            raise SpecError(f"the spec of {job.address} does not say {kind}: {name}", fix=f"leave out --{kind}")


def _refuse_known(parts: Parts, job: Address) -> None:
    """Nothing is ever overwritten."""
    fix = f"import it as another version of {job.name}"
    if job in parts.records.manifests([job]):
        raise WorldError(f"{job} is in the store already", why="a version is the same model for everyone", fix=fix)
    if job in parts.leases().look().followers or parts.records.attempts(job):
        raise WorldError(f"{job} has been started", why="its training would leave another model", fix=fix)


def _known_by_its_model(described: Described, model: Stored) -> Described:
    """Two models without a spec are not the same job."""
    key_fields = dict(described.key_fields)
    if "imported" in key_fields:
        key_fields["imported"] = model.sha256
    return replace(described, key_fields=key_fields)
