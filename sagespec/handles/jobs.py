"""One version of a model, as Python sees it: looked at each time it is asked, found again by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagespec.documents.emit import emit
from sagespec.errors import JobFailed, SagespecError, SpecError, WorldError
from sagespec.handles.following import Say, say, wait_for
from sagespec.handles.projects import ProjectLike, project_of
from sagespec.handles.work import Work, work_on, work_under_way
from sagespec.handles.written import JobSpecs, notebook_folder
from sagespec.load.load import documents_of
from sagespec.project import Project
from sagespec.reconcile.options import Options
from sagespec.show.html import curves, element, page, table
from sagespec.spec.job import TrainingJob
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.sweeping import restoring
from sagespec.verbs.metrics import Series
from sagespec.verbs.states import JobState

LAST_LINES = 20


@dataclass(frozen=True, repr=False)
class Job:
    """A training job, `job("churn@1")`. Frozen: it names the job, and each attribute is read when it is asked for.

    Two are equal that name the same job of the same project. Any thread may use one.
    """

    name: str
    version: int
    project: Project = field(repr=False, compare=False)
    root: Path = field(repr=False)

    @classmethod
    def of(cls, project: Project, address: Address) -> Job:
        return cls(address.name, address.version, project, project.root.resolve())

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def __repr__(self) -> str:
        try:
            state, metrics = self._seen()
        except (SagespecError, OSError) as error:
            return f"Job({self}): {str(error).partition(chr(10))[0]}"
        return f"Job({self}): " + ", ".join([state, *(f"{name} {value:g}" for name, value in metrics.items())])

    def _repr_html_(self) -> str | None:
        """What a notebook shows: how it stands, its metrics and their curves."""
        try:
            (state, metrics), series = self._seen(), self.series
        except (SagespecError, OSError):
            return None
        rows = [(name, value) for name, value in metrics.items()]
        parts = [element("p", element("b", str(self)), f" {state}")]
        parts += [table(("METRIC", "LAST"), rows)] if rows else []
        return str(page(*parts, *([curves(series)] if series else [])))

    def _seen(self) -> tuple[str, Mapping[str, float]]:
        """Its state and latest metrics; of a job that is trained, from the store alone."""
        ended = self._ended()
        if ended and ended.status is JobStatus.COMPLETED:
            return "trained", ended.metrics
        state = self.look()
        return state.state.value + (f" ({state.detail})" if state.detail else ""), state.metrics or {}

    @property
    def address(self) -> Address:
        """job/churn@1, as plans, logs and the command line spell it."""
        return job_address(self.name, self.version)

    @property
    def spec(self) -> str:
        """Its document as YAML: as it stands in the specs, or as it was trained with if it is in none any more."""
        return emit(self.document)

    @property
    def document(self) -> Mapping[str, Any]:
        """The same as plain data. Paths in it start at its file's folder: specs/notebook, if it is in no spec."""
        specs = JobSpecs(self.project.parts, self.name)
        if item := specs.items.get(self.version):
            for document in documents_of(self.root / item.origin.file, self.root):
                if _is(document, self.name, self.version) and not item.like:
                    return dict(document)
            assert isinstance(item.spec, TrainingJob)
            return _written_out(item.spec)
        return _written_out(TrainingJob.model_validate(self.manifest.spec))

    @property
    def folder(self) -> Path:
        """Where paths in its document start."""
        item = JobSpecs(self.project.parts, self.name).items.get(self.version)
        return item.folder if item else notebook_folder(self.project.parts)

    @property
    def state(self) -> str:
        """trained, running, preparing, ended, failed, stopped, waiting or refused."""
        return self.look().state.value

    def look(self) -> JobState:
        """How it stands now: state, detail, metrics so far, times; what `sagespec status` has of it."""
        return self.project.job_state(self.address)

    @property
    def manifest(self) -> Manifest:
        """What the store keeps of a job that has ended: data, image, metrics, checksums, how it ended."""
        return self.project.manifest(self.address)

    @property
    def metrics(self) -> Mapping[str, float]:
        """What each metric ended with; of a job that runs, its latest values."""
        ended = self._ended()
        return dict(ended.metrics if ended else self.look().metrics or {})

    @property
    def series(self) -> Series:
        """Each metric as points (seconds since the job's start, value), so far."""
        try:
            return next(self.project.series(self.address), {})
        except WorldError:
            if self._ended() is None:  # no container of it has started yet
                return {}
            raise

    @property
    def log(self) -> str:
        """The lines its containers have printed so far."""
        return "\n".join(line for _, line in self.project.logs(self.address))

    @property
    def model(self) -> Path | str:
        """Where its model.tar.gz is: a path, or an address in S3. WorldError while there is none."""
        artifact = self.manifest.artifacts.get("model")
        if artifact is None:
            raise WorldError(f"{self.address} has left no model", why=self.manifest.headline)
        if self.manifest.swept_at:
            raise WorldError(
                f"the model of {self} was swept by gc", fix=restoring(self.address, self.project.parts.environment)
            )
        parts = self.project.parts
        place = f"{parts.store.uri.rstrip('/')}/{parts.records.job_key(self.address, artifact.key)}"
        return Path(place.removeprefix("file://")) if place.startswith("file://") else place

    def wait(self) -> Job:
        """Returns when it is trained, and shows its log meanwhile; JobFailed when it has not come to a model.

        It is applied if nobody has begun it. Interrupting ends the waiting, never the job.
        """
        return wait_for_job(self, say)

    def stop(self, reason: str = "") -> Manifest:
        """End it early, keeping the model trained so far. Returns once it has ended."""
        return self.project.stop(self.address, reason=reason)

    def _ended(self) -> Manifest | None:
        return self.project.parts.records.manifests([self.address]).get(self.address)


def job(name: str, *, project: ProjectLike = None) -> Job:
    """The job of that name: "churn@1", or the newest version of "churn". WorldError when there is none."""
    found = project_of(project)
    address = found.resolve_address(name.removeprefix("job/"), kind="job")
    return Job.of(found, address)


def begin(job: Job, *, retry: bool = False) -> Work:
    """Apply the job in the background, or go along with what this process does about it already."""
    return work_on(job.project, job.address, Options(retry=retry))


def wait_for_job(job: Job, say: Say, work: Work | None = None) -> Job:
    ended = job._ended()
    if ended and ended.status is JobStatus.COMPLETED:
        return job
    work = work or work_under_way(job.project, job.address) or begin(job)
    wait_for(work, say)
    ended = job._ended()
    if ended and ended.status is JobStatus.COMPLETED:
        return job
    raise _failure(job, ended, work)


def _failure(job: Job, ended: Manifest | None, work: Work) -> SagespecError:
    if isinstance(work.error, SagespecError):
        return work.error
    if work.error is not None:
        raise work.error
    refused = [p for p in (work.converged.plan.refused if work.converged else ()) if p.about == str(job.address)]
    if refused and (ended is None or not ended.reason):
        return SpecError(refused)
    outcomes = [o for o in (work.converged.failures if work.converged else ()) if o.about == str(job.address)]
    reason = ended.verdict if ended else outcomes[-1].reason if outcomes else "it has not ended yet"
    fix = "correct it and train again; unchanged, with train(…, retry=True)"
    return JobFailed(str(job.address), reason, _last_lines(job), fix=fix if ended else "")


def _last_lines(job: Job) -> list[str]:
    try:
        return [line for _, line in job.project.logs(job.address, tail=LAST_LINES)][-LAST_LINES:]
    except (SagespecError, OSError):
        return []


def _is(document: Any, name: str, version: int) -> bool:
    is_job = isinstance(document, dict) and document.get("kind") == "TrainingJob"
    return is_job and (document.get("name"), document.get("version")) == (name, version)


def _written_out(spec: TrainingJob) -> dict[str, Any]:
    """The fields that differ from their defaults, as plain data; a channel that is only a source is written so."""
    found: dict[str, Any] = {
        "apiVersion": spec.apiVersion,
        "kind": spec.kind,
        "name": spec.name,
        "version": spec.version,
    }
    found |= spec.model_dump(mode="json", exclude_defaults=True, exclude={"like"})
    for name, channel in found.get("channels", {}).items():
        if channel.keys() == {"source"}:
            found["channels"][name] = channel["source"]
    return found
