"""What a spec would mean that is in no file yet: checked as `plan` checks it, before it is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sagespec.errors import Problem, SagespecError, SpecError
from sagespec.load.load import load_text
from sagespec.load.loaded import Loaded, LoadedSpec
from sagespec.parts import Parts
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredJob
from sagespec.state.manifest import JobStatus
from sagespec.verbs.able import wrong_data
from sagespec.verbs.plan import desired_of


def candidate_job(parts: Parts, text: str, file: Path) -> DesiredJob:
    """The job that `text` describes, as if it stood in `file`. SpecError without places, since there is no such file;
    of a version that is trained, nothing is wrong."""
    try:
        return _job_of(parts, load_text(text, file, parts.root))
    except SpecError as error:
        raise SpecError(_without_places(error)) from None


def problems_with(parts: Parts, text: str, file: Path) -> tuple[Problem, ...]:
    """What is wrong with a job or an endpoint that `text` describes, alone: what it serves must be in the store."""
    try:
        item = load_text(text, file, parts.root)
        if item.address.kind == "job":
            _job_of(parts, item)
        else:
            desired_of(parts, _alone(parts, item), check_paths=False)
    except SagespecError as error:
        return _without_places(error)
    return ()


def refuse_another_spelling(loaded: Loaded, address: Address) -> None:
    """SpecError where the specs have the name in another case: with both, every spec of the project would be wrong."""
    for item in loaded.specs:
        there = item.address
        if there.kind == address.kind and there.name != address.name and there.name.lower() == address.name.lower():
            raise SpecError(
                f"the name of {address.kind}/{address.name} differs from {there.name} only in upper and lower case",
                why=f"{there.name} is in {item.origin.file}, and no project can have both",
                fix=f"call it {there.name}, or give it another name",
            )


def _job_of(parts: Parts, item: LoadedSpec) -> DesiredJob:
    desired, manifests = desired_of(parts, _alone(parts, item), check_paths=True)
    job, manifest = desired.jobs[0], manifests.get(item.address)
    is_trained = manifest is not None and manifest.status is JobStatus.COMPLETED
    if not is_trained and (wrong := wrong_data(job, parts.root)):
        raise SpecError([wrong])
    return job


def _alone(parts: Parts, item: LoadedSpec) -> Loaded:
    return Loaded(parts.root, parts.settings, {}, (item,))


def _without_places(error: SagespecError) -> tuple[Problem, ...]:
    return tuple(replace(problem, where=None) for problem in error.problems)
