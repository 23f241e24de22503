"""A training job of SageMaker as a spec of this project, with its model in the store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sagespec.api.sagemaker.code import place, script_files
from sagespec.api.sagemaker.imports.specs import (
    Brought,
    heading_of,
    imported,
    importing,
    manifest_of,
    refusals,
    refuse_wrong,
    specs_folder,
    with_import,
    write_spec,
)
from sagespec.api.sagemaker.setting import setting_for
from sagespec.api.sagemaker.translate.described import imported_from, job_request, why_unfinished
from sagespec.api.sagemaker.translate.hosted import Engine, image_for, program_of
from sagespec.api.sagemaker.translate.jobs import Setting, headline, job_document, what_is_left_out
from sagespec.api.sagemaker.translate.names import job_name
from sagespec.documents.files import CODE_FOLDER
from sagespec.errors import SpecError, WorldError
from sagespec.parts import Parts
from sagespec.spec.endpoint import named_job
from sagespec.state.addresses import Address, job_address
from sagespec.verbs.import_model import ServedBy
from sagespec.verbs.plan import fingerprint_of
from sagespec.verbs.versions import next_version


def import_job(
    parts: Parts, description: Mapping[str, Any], region: str, *, version: str = "", served_by: ServedBy | None = None
) -> Brought:
    """description: of DescribeTrainingJob. version: churn@1; '' for the next one of the job's name."""
    what = f"training job {description['TrainingJobName']}"
    if why := why_unfinished(description):
        raise WorldError(f"{what} has no model: it is {why}", fix="import a job that is Completed")
    with refusals(what):
        source = imported_from(description)
        uri = source if isinstance(source, str) else source["source"]
        if known := importing(parts, uri):
            return _again(parts, known, what)
        fingerprint_of(parts, uri)  # nothing is written for a model that is not there
        about = _address(parts, description["TrainingJobName"], version)
        setting, description = _served_by(setting_for(parts), description, served_by or ServedBy())
        with script_files(parts, description) as (script, files):
            image = description["AlgorithmSpecification"].get("TrainingImage", "")
            program = program_of(image, setting.engine, has_script=script is not None) if image else {}
            request, left_out = job_request(description, is_builtin="algorithm" in program)
            folder = parts.root / CODE_FOLDER / f"{about.name}-{about.version}"
            if files and folder.exists():
                raise WorldError(f"{folder} is there already", fix="name another version with --as, or move the folder")

            def document(code: Path | None) -> dict[str, Any]:
                where = Path(os.path.relpath(code, specs_folder(parts))).as_posix() if code else ""
                found = job_document(
                    request, setting, name=about.name, version=about.version, script=script, source_dir=where
                )
                return with_import(found, source)

            refuse_wrong(parts, document(files))
            if files:
                place(files, folder)
    left_out = (*left_out, *filter(None, [what_is_left_out(request, setting)]))
    heading = heading_of(f"{what} in {region}", headline(request), left_out)
    file = write_spec(parts, document(folder if files else None), heading)
    return Brought((imported(parts, about),), (file,), left_out)


def _again(parts: Parts, known: Address, what: str) -> Brought:
    if manifest_of(parts, known):
        raise WorldError(f"{what} was imported already, as {known}", fix="there is nothing to do")
    return Brought((imported(parts, known),), ())


def _address(parts: Parts, name: str, version: str) -> Address:
    if not version:
        short = job_name(name)
        return job_address(short, next_version(parts, short))
    named = named_job(version)
    if named is None:
        raise SpecError(f"{version} is not the version of a job", fix="write it as NAME@VERSION: churn@1")
    return job_address(*named)


def _served_by(
    setting: Setting, description: Mapping[str, Any], served_by: ServedBy
) -> tuple[Setting, Mapping[str, Any]]:
    """As if it had been trained by that."""
    if not served_by.named:
        return setting, description
    image = image_for(served_by.named, "0" * 12, "us-east-1")
    engine = Engine(setting.engine.builtins, lambda _: True, takes_images=True)
    algorithm = {**description["AlgorithmSpecification"], "TrainingImage": image}
    return Setting(engine, setting.resources, setting.isolates), {**description, "AlgorithmSpecification": algorithm}
