"""Where clients find what a job has made: at the address under its S3OutputPath, without a copy.

The store keeps models by job and version. Where it is a folder, the address in a bucket of the project is a link to the
file there; where it is in S3, clients are given the store's own address.
"""

from __future__ import annotations

from pathlib import Path

from sagespec.api.sagemaker.arns import records_of
from sagespec.api.sagemaker.by_specs import job_of_specs
from sagespec.api.sagemaker.records import KeptJob
from sagespec.api.sagemaker.translate.plain import s3_uri
from sagespec.api.service import Service
from sagespec.buckets.layout import Layout, folder_of
from sagespec.buckets.links import link
from sagespec.state.addresses import Address, job_address

_MODEL, _OUTPUT = "model.tar.gz", "output.tar.gz"


def artifact_uri(service: Service, name: str, kept: KeptJob, file: str = _MODEL) -> str:
    parts = service.project.parts
    if kept.address and parts.store.uri.startswith("s3://"):
        return f"{parts.store.uri}/{parts.records.job_key(Address.parse(kept.address), file)}"
    return _address(name, kept, file)


def link_artifacts(service: Service, name: str, kept: KeptJob) -> None:
    """Before they are there: a link to what is not there yet is no object."""
    parts, folder = service.project.parts, folder_of(service.project.root)
    store = Path(parts.store.uri.removeprefix("file://"))
    for file in (_MODEL, _OUTPUT) if parts.store.uri.startswith("file://") else ():
        bucket, _, key = _address(name, kept, file).removeprefix("s3://").partition("/")
        if Layout(folder).has(bucket):  # any other bucket is S3's, and is not hidden by one of ours
            target = store / parts.records.job_key(Address.parse(kept.address), file)
            link(folder, bucket, key, target, store=store)


def job_of(service: Service, uri: str) -> tuple[str, KeptJob] | None:
    """The job whose model is at this address, with its TrainingJobName."""
    parts = uri.split("/")
    if len(parts) < 4 or parts[-2:] != ["output", _MODEL]:
        return _job_of_store(service, uri)
    kept = records_of(service).read(KeptJob, parts[-3]) or job_of_specs(service, parts[-3])
    return (parts[-3], kept) if kept and kept.address and _address(parts[-3], kept, _MODEL) == uri else None


def _job_of_store(service: Service, uri: str) -> tuple[str, KeptJob] | None:
    prefix = f"{service.project.parts.store.uri}/{service.project.parts.settings.name}/jobs/"
    match uri.removeprefix(prefix).split("/") if uri.startswith(prefix) else ():
        case [name, version, file] if file == _MODEL and version.isdecimal():
            address = str(job_address(name, int(version)))
            kept = records_of(service).all(KeptJob)
            return next(((name, one) for name, one in kept.items() if one.address == address), None)
    return None


def _address(name: str, kept: KeptJob, file: str) -> str:
    return f"{s3_uri(kept.request['OutputDataConfig']['S3OutputPath']).rstrip('/')}/{name}/output/{file}"
