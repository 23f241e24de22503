"""Models that no job here has made as they are, put into the project's store: what a bucket of the project holds, which
no clone of the repository has, and a model with another script for serving than it was trained with.

At AWS the container fetches such a script when it starts. Here model and script become one archive, with the script in
its code/ as where SageMaker's SDK packs a model again, so that every revision of an endpoint has what it served. The
archive is named by what is in it, and made once.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from sagespec.api.sagemaker.artifacts import job_of
from sagespec.api.sagemaker.code import fetched, fingerprint
from sagespec.api.sagemaker.records import KeptJob
from sagespec.api.sagemaker.translate.endpoints import ServedModel
from sagespec.api.sagemaker.translate.names import job_name
from sagespec.api.sagemaker.translate.plain import json_or_text
from sagespec.api.sagemaker.translate.scripts import Script, serving_script
from sagespec.api.service import Service
from sagespec.buckets.layout import Layout, folder_of
from sagespec.parts import Parts
from sagespec.records.archive import unpack
from sagespec.records.members import MAX_MODEL_BYTES
from sagespec.state.addresses import Address
from sagespec.stores.open import open_store
from sagespec.verbs.plan import fingerprint_of

_CODE = "code"


@dataclass(frozen=True)
class _Model:
    """identity: changes with its content. about: for people. fetch: puts the archive into a file."""

    stem: str
    identity: str
    about: str
    fetch: Callable[[Path], None]


def in_store(service: Service, name: str, served: ServedModel) -> ServedModel:
    """What is served of the model `name`: a job's, an archive of another S3, or one in the store, made if need be.
    Refused where the script cannot be had; WorldError where the model cannot be read."""
    parts = service.project.parts
    script = serving_script(served.container.get("Environment") or {}, served.container["Image"])
    job = job_of(service, served.uri) if served.job else None
    kept = job[1] if job else None
    if script is None or (kept and _is_trained_with(kept, script)):
        return served if kept or not _is_in_bucket(parts, served.uri) else _copied(parts, name, served)
    with fetched(parts, script) as code:
        told_apart = fingerprint(code)
        if kept and told_apart == kept.code and script.entry_point == kept.document.get("entry_point"):
            return served
        model = _job_model(parts, kept) if kept else _bucket_model(parts, name, served.uri)
        about = f"{model.about} with {script.entry_point} of {script.source}"
        return _stored(
            parts, served, model, code=told_apart, about=about, make=lambda file: _pack_with(model, code, file)
        )


def brought(parts: Parts, name: str, served: ServedModel) -> ServedModel:
    """A model that no job here has made, in the store, with the script that its container would fetch."""
    script = serving_script(served.container.get("Environment") or {}, served.container["Image"])
    if script is None:
        return _copied(parts, name, served)
    with fetched(parts, script) as code:
        model = _bucket_model(parts, name, served.uri)
        about = f"{model.about} with {script.entry_point} of {script.source}"
        return _stored(
            parts, served, model, code=fingerprint(code), about=about, make=lambda file: _pack_with(model, code, file)
        )


def _is_trained_with(kept: KeptJob, script: Script) -> bool:
    """Whether the model has the script already, since the client names the job's own archive."""
    sent = (kept.request.get("HyperParameters") or {}).get("sagemaker_submit_directory", "")
    return json_or_text(sent) == script.source and script.entry_point == kept.document.get("entry_point")


def _is_in_bucket(parts: Parts, uri: str) -> bool:
    """Whether it is in a bucket of the project's own."""
    return Layout(folder_of(parts.root)).has(uri.removeprefix("s3://").partition("/")[0])


def _copied(parts: Parts, name: str, served: ServedModel) -> ServedModel:
    model = _bucket_model(parts, name, served.uri)
    return _stored(parts, served, model, code="", about=model.about, make=model.fetch)


def _job_model(parts: Parts, kept: KeptJob) -> _Model:
    address = Address.parse(kept.address)
    manifest = parts.records.manifests([address])[address]
    key, sha = parts.records.job_key(address, "model.tar.gz"), manifest.artifacts["model"].sha256

    def fetch(file: Path) -> None:
        parts.store.download(key, file, sha256=sha)

    return _Model(f"{address.name}-{address.version}", sha, f"{address.name}@{address.version}", fetch)


def _bucket_model(parts: Parts, name: str, uri: str) -> _Model:
    above, _, file_name = uri.rpartition("/")

    def fetch(file: Path) -> None:
        open_store(f"{above}/", root=parts.root, create=False).download(file_name, file)

    return _Model(job_name(name), f"{uri}:{fingerprint_of(parts, uri)}", uri, fetch)


def _stored(
    parts: Parts, served: ServedModel, model: _Model, *, code: str, about: str, make: Callable[[Path], None]
) -> ServedModel:
    name = f"{model.stem}-{sha256(f'{model.identity} {code}'.encode()).hexdigest()[:12]}.tar.gz"
    if not parts.records.has_archive(name):
        with tempfile.TemporaryDirectory(dir=parts.scratch) as scratch:
            file = Path(scratch, name)
            make(file)
            parts.store.upload(parts.records.archive_key(name), file)
    uri = f"store://{name}"
    return replace(served, uri=uri, job="", trained_by={}, script="", about=f"{uri} is {about}")


def _pack_with(model: _Model, code: Path, file: Path) -> None:
    """The model with these files as its code/, and without those that it had there."""
    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        archive, folder = Path(scratch, "model.tar.gz"), Path(scratch, "model")
        model.fetch(archive)
        unpack(archive, folder, max_bytes=MAX_MODEL_BYTES, name_for_people=model.about)
        archive.unlink()
        shutil.rmtree(folder / _CODE, ignore_errors=True)
        shutil.copytree(code, folder / _CODE)
        with (
            file.open("wb") as raw,
            gzip.GzipFile("", "wb", 1, raw, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as packed,
        ):
            for path in sorted(folder.rglob("*")):
                packed.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without whose it was and when, so that the same files make the same archive."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member
