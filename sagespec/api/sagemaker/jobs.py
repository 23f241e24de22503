"""CreateTrainingJob and what follows: a spec of the job, its state, its end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sagespec.api.sagemaker.arns import arn_of, exists_already, invalid, not_found, records_of, tags_of
from sagespec.api.sagemaker.artifacts import artifact_uri, link_artifacts
from sagespec.api.sagemaker.by_specs import job_of_specs, jobs_of_specs, place_of
from sagespec.api.sagemaker.code import fingerprint, place, script_files
from sagespec.api.sagemaker.data import missing_data
from sagespec.api.sagemaker.job_status import JobSeen, described, summary_times, words_of
from sagespec.api.sagemaker.lists import page
from sagespec.api.sagemaker.records import KeptJob, clock
from sagespec.api.sagemaker.seen import job_seen, jobs_seen
from sagespec.api.sagemaker.setting import setting_of
from sagespec.api.sagemaker.specs import (
    LAST_SEEN_SECONDS,
    code_folder,
    heading_of,
    problems_of,
    remove_version,
    said_of,
    source_dir,
    spelling_of,
    write_job,
)
from sagespec.api.sagemaker.translate.jobs import Setting, headline, job_document, what_is_left_out
from sagespec.api.sagemaker.translate.names import job_name
from sagespec.api.sagemaker.translate.refusal import Refused
from sagespec.api.sagemaker.translate.scripts import Script
from sagespec.api.service import Request, Result, Service
from sagespec.documents.places import file_for, versions_in
from sagespec.errors import SagespecError
from sagespec.records.holder import who_is_here
from sagespec.run.stops import ask_to_stop
from sagespec.state.addresses import Address, job_address
from sagespec.verbs.versions import next_version

_MOST_METRICS = 40


def create_training_job(service: Service, request: Request) -> Result:
    name = request["TrainingJobName"]
    with _refusals(), script_files(service.project.parts, request) as (script, files), service.writing():
        kept = _unfinished(service, name, request) or _create(service, request, script, files)
        kept = _written(service, name, kept, files)
    if kept.address:
        link_artifacts(service, name, kept)
    service.wake()
    return {"TrainingJobArn": arn_of(service, KeptJob, name)}


def describe_training_job(service: Service, request: Request) -> Result:
    name = request["TrainingJobName"]
    kept = _kept(service, name)
    seen = job_seen(service, kept)
    own = {key: value for key, value in kept.request.items() if key != "Tags"}
    algorithm = dict(own["AlgorithmSpecification"])
    said = described(kept, seen, now=clock())
    algorithm.setdefault("MetricDefinitions", _metric_definitions(service, kept, said["FinalMetricDataList"]))
    algorithm.setdefault("EnableSageMakerMetricsTimeSeries", False)
    return {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **own,
        "HyperParameters": own.get("HyperParameters") or {},
        "InputDataConfig": own.get("InputDataConfig") or [],
        "AlgorithmSpecification": algorithm,
        "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **own["OutputDataConfig"]},
        "TrainingJobArn": arn_of(service, KeptJob, name),
        "ModelArtifacts": {"S3ModelArtifacts": artifact_uri(service, name, kept)},
        **said,
    }


def list_training_jobs(service: Service, request: Request) -> Result:
    kept = records_of(service).all(KeptJob)
    kept |= jobs_of_specs(service, kept)
    seen = jobs_seen(service, kept)
    summaries = [_summary(service, name, one, seen[name]) for name, one in kept.items()]
    return page(request, summaries, member="TrainingJobSummaries", name="TrainingJobName", status="TrainingJobStatus")


def stop_training_job(service: Service, request: Request) -> Result:
    name = request["TrainingJobName"]
    kept = _kept(service, name)
    if kept.failure:  # before it was a job: whoever stops it could not know yet
        return {}
    words = words_of(kept, job_seen(service, kept))
    if words.has_ended:
        raise invalid(f"The request was rejected because the training job is in status {words.status}.")
    if kept.stop_asked_at is None:
        records_of(service).change(KeptJob, name, lambda now: replace(now, stop_asked_at=clock()))
    about, records = Address.parse(kept.address), service.project.parts.records
    ask_to_stop(records, about, f"{who_is_here()} (StopTrainingJob)", records.manifests([about]).get(about))
    service.wake()
    return {}


def delete_training_job(service: Service, request: Request) -> Result:
    """Its name is free again, and its spec leaves the file, if it is ours. What it has made stays in the store."""
    name = request["TrainingJobName"]
    with service.writing():
        kept = _kept(service, name)
        status = words_of(kept, job_seen(service, kept))
        if not status.has_ended:
            raise invalid(f"The request was rejected because the training job is in status {status.status}.")
        if records_of(service).read(KeptJob, name) is None:
            about = Address.parse(kept.address)
            place = place_of(service, about)
            where = f"in {place}: remove it there" if place else f"the trained {about}, which the store keeps"
            raise invalid(f"{name} is no job that a client has created, but {where}")
        if kept.address:
            remove_version(service, Address.parse(kept.address))
        records_of(service).delete(KeptJob, name)
    service.wake()
    return {}


def _kept(service: Service, name: str) -> KeptJob:
    """The job's record, with its spec written, should a kill have come in between."""
    kept = records_of(service).read(KeptJob, name) or job_of_specs(service, name)
    if kept is None:
        raise not_found(service, KeptJob, name)
    if kept.is_written:
        return kept
    with _refusals(), script_files(service.project.parts, kept.request) as (_, files), service.writing():
        return _written(service, name, records_of(service).read(KeptJob, name) or kept, files)


def _written(service: Service, name: str, kept: KeptJob, files: Path | None) -> KeptJob:
    """With the script's files, if it has some, and its spec in their places."""
    if kept.is_written:
        return kept
    if files:
        about = Address.parse(kept.address)
        folder = code_folder(service, about.name, about.version)
        if not folder.exists():
            place(files, folder)
    return write_job(service, name, kept)


def _unfinished(service: Service, name: str, request: Request) -> KeptJob | None:
    """The record of this very request, whose spec a kill has kept from being written."""
    kept = records_of(service).read(KeptJob, name)
    if kept is None:
        return None
    if kept.is_written or dict(kept.request) != dict(request):
        raise exists_already(service, KeptJob, name)
    return kept


def _create(service: Service, request: Request, script: Script | None, files: Path | None) -> KeptJob:
    name, setting, now = request["TrainingJobName"], setting_of(service), clock()
    short = spelling_of(service, "TrainingJob", job_name(name))
    version, folder = _free_version(service, short, has_files=files is not None)
    document = job_document(request, setting, name=short, version=version, script=script)
    heading = _heading(request, setting)
    failure = said_of(problems_of(service, _with_source(service, document, files), heading))
    failure = failure or missing_data(service.project.parts, request)
    kept = KeptJob(request, now, now, tags_of(request.get("Tags")), heading=heading)
    if failure:
        kept = replace(kept, failure=f"ClientError: {failure}", is_written=True)
    else:
        document = _with_source(service, document, folder if files else None)
        code = fingerprint(files) if files else ""
        kept = replace(kept, document=document, address=str(job_address(short, version)), code=code)
        service.memory.versions[short.lower()] = version
    if not records_of(service).create(name, kept):
        raise exists_already(service, KeptJob, name)
    return kept


def _heading(request: Request, setting: Setting) -> tuple[str, ...]:
    return heading_of(
        "CreateTrainingJob", request["TrainingJobName"], headline(request), what_is_left_out(request, setting)
    )


def _with_source(service: Service, document: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    """The document with the folder of its script, before the script."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        found |= {"source_dir": source_dir(service, folder)} if key == "entry_point" and folder else {}
        found[key] = value
    return found


def _free_version(service: Service, short: str, *, has_files: bool) -> tuple[int, Path]:
    """The next version of the job, and the folder for its script."""
    known = service.memory.versions.get(short.lower()) or next_version(service.project.parts, short) - 1
    version = max(known, *_versions_seen(service, short)) + 1
    while has_files and code_folder(service, short, version).exists():
        version += 1
    return version, code_folder(service, short, version)


def _versions_seen(service: Service, short: str) -> Iterator[int]:
    """Those that others may have written since the job was last looked for everywhere."""
    yield 0
    yield from versions_in(file_for(service.specs, "TrainingJob", short))
    with suppress(SagespecError):
        jobs = (job.address for job in service.snapshots.status(LAST_SEEN_SECONDS).jobs)
        yield from (address.version for address in jobs if address.name.lower() == short.lower())


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        raise invalid(str(refused)) from None


def _metric_definitions(
    service: Service, kept: KeptJob, printed: Collection[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """What AWS fills in for its own images: the metrics that the algorithm prints; once it has, those alone, since
    clients ask for each."""
    description = service.project.parts.images.get(kept.document.get("algorithm", ""))
    names = {metric["MetricName"] for metric in printed}
    metrics = [m for m in (description.metrics if description else ()) if not names or m.name in names]
    return [{"Name": metric.name, "Regex": metric.regex} for metric in metrics[:_MOST_METRICS]]


def _summary(service: Service, name: str, kept: KeptJob, seen: JobSeen) -> dict[str, Any]:
    words = words_of(kept, seen)
    return {
        "TrainingJobName": name,
        "TrainingJobArn": arn_of(service, KeptJob, name),
        "TrainingJobStatus": words.status,
        "SecondaryStatus": words.secondary,
        **summary_times(kept, seen, words),
    }
