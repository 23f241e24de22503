"""An endpoint as Python sees it: asked for predictions, its split changed, rolled back; found again by its name."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagespec.documents.emit import emit
from sagespec.documents.files import one_writer
from sagespec.errors import InternalError, SagespecError, SpecError, WorldError
from sagespec.handles.following import Say, say, wait_for
from sagespec.handles.jobs import Job
from sagespec.handles.predictions import answer_for, bodies_of
from sagespec.handles.projects import ProjectLike, project_of
from sagespec.handles.variants import EndpointSpec, Wanted, document_of
from sagespec.handles.work import Work, work_on, work_under_way
from sagespec.handles.written import JobSpecs
from sagespec.parts import Parts
from sagespec.project import Project
from sagespec.reconcile.options import Options
from sagespec.spec.endpoint import named_job
from sagespec.spec.secrets import as_plain
from sagespec.state.addresses import Address, endpoint_address
from sagespec.state.revision import EndpointRecord, Revision, VariantRecord, live_revision
from sagespec.verbs.bodies import Reader
from sagespec.verbs.readers import reader_of, readers
from sagespec.verbs.states import EndpointState, VariantState

READERS_KEPT_SECONDS = 5.0


@dataclass(frozen=True, repr=False)
class Endpoint:
    """An endpoint, `endpoint("churn")`. Frozen: it names the endpoint, and each attribute is read when asked for.

    Two are equal that name the same endpoint of the same project. Any thread may use one.
    """

    name: str
    project: Project = field(repr=False, compare=False)
    root: Path = field(repr=False)

    @classmethod
    def of(cls, project: Project, name: str) -> Endpoint:
        return cls(name, project, project.root.resolve())

    def __str__(self) -> str:
        return self.name

    @property
    def address(self) -> Address:
        return endpoint_address(self.name)

    @property
    def url(self) -> str:
        """Where to POST requests: http://127.0.0.1:8080/endpoints/churn/invocations."""
        return self.project.endpoint_url(self.name)

    @property
    def spec(self) -> str:
        """Its document as YAML, as it stands in the specs. SpecError when it is in none."""
        document = EndpointSpec(self.project.parts, self.name).document
        if document is None:
            raise SpecError(f"{self.address} is in no spec", fix="see `sagespec status` for what is live")
        return emit(document)

    @property
    def state(self) -> str:
        """serving, degraded, pending, blocked, waiting, orphaned or elsewhere."""
        return self.look().state.value

    @property
    def variants(self) -> tuple[VariantState, ...]:
        """The models behind it: share asked for and live, instances, requests, errors, latencies."""
        return self.look().variants

    def look(self) -> EndpointState:
        """How it stands now: what `sagespec status` has of it."""
        return self.project.endpoint_state(self.address)

    def history(self) -> tuple[Revision, ...]:
        """All its revisions, oldest first."""
        return self.project.history(self.name)

    @property
    def log(self) -> str:
        """What its instances have printed."""
        return "\n".join(f"{source}: {line}" for source, line in self.project.logs(self.address))

    def predict(
        self,
        rows: Any,
        *,
        variant: str | Job | None = None,
        content_type: str | None = None,
        accept: str | None = None,
    ) -> Any:
        """What the model says of these rows: a frame for a frame (with its index), an array for an array; for a list
        or a dict what the model answers in JSON, for bytes (CSV, or content_type) bytes.

        variant: the one to ask, by its name or its job; else the split decides. ModelError when the model refuses.
        """
        name = self._variant_of(variant)
        bodies = bodies_of(rows, self._reader(name), content_type, accept)
        answers = [
            self.project.invoke(
                self.name, body.content, content_type=body.content_type, accept=body.accept or None, variant=name
            )
            for body in bodies
        ]
        return answer_for(rows, answers)

    def split(self, weights: Mapping[Job | str, float], *, wait: bool = True) -> Endpoint:
        """Divide the requests: split({job: 90, better: 10}). A model that is not named is taken away; one with 0 stays
        and is asked by name only. Models that serve keep their containers."""
        parts = self.project.parts
        wanted = [Wanted(existing_job(job, parts), weight) for job, weight in weights.items()]
        return begin(self, wait=wait, retry=change(self, wanted))

    def rollback(self, *, to: int | None = None, reason: str = "") -> Endpoint:
        """Serve what was live before, or revision `to`. Its document is written back, where that is ours."""
        converged = self.project.rollback(self.name, to=to, reason=reason, check=False)
        if not converged.ok:
            problems = [p for p in converged.plan.refused if p.about == str(self.address)]
            failed = "; ".join(outcome.reason for outcome in converged.failures)
            raise WorldError(problems or f"{self.address} was not rolled back: {failed}")
        live = live_revision(self.history())
        if live and not self._write_back(live.asked):
            say(f"{self.address} serves revision {live.number}'s models again; its spec still says otherwise")
        return self

    def delete(self) -> None:
        """Take it out of the specs and remove its containers; its models stay, and nothing else is touched."""
        with one_writer(self.project.root):
            EndpointSpec(self.project.parts, self.name).remove()
        converged = self.project.apply(Options(prune=True), only=[self.address], check=False)
        if not converged.ok:
            failed = "; ".join(outcome.reason for outcome in converged.failures)
            raise WorldError(converged.plan.refused or f"{self.address} was not removed: {failed}")

    def wait(self) -> Endpoint:
        """Returns when it serves what its spec says."""
        return wait_for_endpoint(self, say)

    def _write_back(self, record: EndpointRecord) -> bool:
        is_one = len(record.variants) == 1
        wanted = [Wanted(v.model.text, None if is_one else v.weight, _fields_of(v)) for v in record.variants]
        with one_writer(self.project.root):
            spec = EndpointSpec(self.project.parts, self.name)
            document = spec.document
            if spec.is_persons or document is None or not all(variant.model.job for variant in record.variants):
                return False
            spec.write(document_of(self.name, document, wanted))
        return self.project.endpoint_state(self.address).state.value == "serving"

    def _variant_of(self, variant: str | Job | None) -> str | None:
        if not isinstance(variant, Job):
            return variant
        named = [v.name for v in self._live().asked.variants if v.model.text == str(variant)]
        if not named:
            raise WorldError(f"{self.address} does not serve {variant}", fix="see .variants for what it serves")
        return named[0]

    def _live(self) -> Revision:
        live = live_revision(self.project.parts.records.history(self.name))
        if live is None:
            raise WorldError(f"{self.address} is not live", fix="deploy a job, or wait: .wait()")
        return live

    def _reader(self, variant: str | None) -> Reader:
        key = (self.root, self.name)
        with _lock:
            found = _readers.get(key)
        if found is None or found[0] < time.monotonic() - READERS_KEPT_SECONDS:
            self._live()
            found = time.monotonic(), readers(self.project.parts, self.name)
            with _lock:
                _readers[key] = found
        return reader_of(found[1], variant)

    def __repr__(self) -> str:
        try:
            state = self.look()
        except (SagespecError, OSError) as error:
            return f"Endpoint({self.name}): {str(error).partition(chr(10))[0]}"
        shares = ", ".join(f"{v.name} ({v.model or v.model_asked}) {100 * v.share_live:.3g} %" for v in state.variants)
        return f"Endpoint({self.name}): {state.state.value}, {shares}, {state.url}"

    def _repr_html_(self) -> str | None:
        """What a notebook shows: the split, and what each variant has answered."""
        try:
            return self.look()._repr_html_()
        except (SagespecError, OSError):
            return None


_readers: dict[tuple[Path, str], tuple[float, Mapping[str, Reader]]] = {}
_lock = threading.Lock()


def _fields_of(variant: VariantRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {"instances": variant.instances} if variant.instances != 1 else {}
    if variant.accelerate:
        fields["accelerate"] = variant.accelerate
    if variant.environment:
        fields["environment"] = as_plain(variant.environment)
    resources = {name: value for name in ("cpus", "memory", "gpus") if (value := getattr(variant, name))}
    return fields | ({"resources": resources} if resources else {})


def endpoint(name: str, *, project: ProjectLike = None) -> Endpoint:
    """The endpoint of that name. WorldError when neither specs nor gateway have it."""
    found = Endpoint.of(project_of(project), name.removeprefix("endpoint/"))
    found.look()
    return found


def existing_job(job: Job | str, parts: Parts) -> str:
    """churn@1, of a job that specs or store know."""
    text = str(job).removeprefix("job/")
    named = named_job(text)
    if named is None:
        raise SpecError(f"{text!r} is not a job", fix=f'write its name and version: "{text.partition("@")[0]}@1"')
    versions = JobSpecs(parts, named[0]).versions
    if named[1] not in versions:
        known = ", ".join(f"{named[0]}@{version}" for version in sorted(versions))
        raise WorldError(f"there is no job {text}", fix=f"there is {known}" if known else "train it first: train(…)")
    return text


def change(endpoint: Endpoint, wanted: list[Wanted]) -> bool:
    """Write the document with these variants. Whether that was a change: then it is wanted now, even if it was rolled
    back before."""
    if not wanted:
        raise SpecError(f"{endpoint.address} would serve nothing", fix="name a job; .delete() removes the endpoint")
    parts = endpoint.project.parts
    with one_writer(parts.root):
        spec = EndpointSpec(parts, endpoint.name)
        return spec.write(document_of(endpoint.name, spec.document, wanted))


def begin(endpoint: Endpoint, *, wait: bool, retry: bool = False) -> Endpoint:
    work = work_on(endpoint.project, endpoint.address, Options(retry=retry))
    return wait_for_endpoint(endpoint, say, work) if wait else endpoint


def wait_for_endpoint(endpoint: Endpoint, say: Say, work: Work | None = None) -> Endpoint:
    work = work or work_under_way(endpoint.project, endpoint.address) or work_on(endpoint.project, endpoint.address)
    wait_for(work, say)
    with _lock:
        _readers.pop((endpoint.root, endpoint.name), None)
    if work.error is not None:
        raise work.error
    converged = work.converged
    if converged is None:
        raise InternalError(f"nothing came of applying {endpoint.address}")
    problems = (*converged.plan.refused, *converged.plan.held)
    refused = [problem for problem in problems if problem.about == str(endpoint.address)]
    if refused or not converged.ok:
        failed = "; ".join(f"{outcome.about}: {outcome.reason}" for outcome in converged.failures)
        raise WorldError(refused or f"{endpoint.address} does not serve what was asked for: {failed or 'stopped'}")
    return endpoint
