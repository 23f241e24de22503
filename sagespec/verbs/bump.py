"""Raises the version of a job in its spec, so that it is trained once more: a change for a commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sagespec.documents.edit import Edit, value_from
from sagespec.errors import Problem, SpecError, WorldError, did_you_mean
from sagespec.load.loaded import Loaded, LoadedSpec
from sagespec.load.places import YamlDocument
from sagespec.parts import Parts
from sagespec.spec.job import TrainingJob
from sagespec.state.addresses import job_address
from sagespec.verbs.renumbered import likes, with_new_number
from sagespec.verbs.written import Written, specs_as_written, write_settings

NOT_TO_SET = ("kind", "name", "version", "apiVersion")


def bump(
    parts: Parts, name: str, settings: Mapping[str, str] | None = None, reason: str = "", *, is_alone: bool = False
) -> Written:
    """Give the newest version of a job in the specs the next number. settings: other fields to set, by their path, as
    they would be written in the spec. is_alone: in a tree of its own. SpecError, and no change, when that is wrong."""
    loaded = specs_as_written(parts)
    item = newest_in_specs(loaded, name)
    if isinstance(item.spec, TrainingJob) and item.spec.imported_from:
        raise _was_imported(item)
    new = next_of(parts, loaded, item.address.name)
    edits = [Edit(("version",), new), *(_edit(field, text) for field, text in (settings or {}).items())]
    about = job_address(item.address.name, new)

    def has_it(loaded: Loaded) -> bool:
        return any(item.address == about for item in loaded.specs)

    if like := next(likes(parts, item.address), None) if settings else None:
        raise _changes_another(item, like[2], about.version)
    beside = with_new_number(parts, item.address, about)
    written = write_settings(parts, item, edits, comes_true=has_it, is_alone=is_alone, beside=beside)
    return replace(written, about=about, message=f"train {about.name}@{new}" + (f": {reason}" if reason else ""))


def _was_imported(item: LoadedSpec) -> SpecError:
    job = item.address
    name = f"{job.name}@{job.version}"
    fix = f"write the next version beside it, with like: {name} and what it is to be trained with"
    where = item.origin_of("imported_from")
    return SpecError(Problem(f"{name} was imported, so there is no training to repeat", str(job), fix=fix, where=where))


def newest_in_specs(loaded: Loaded, name: str) -> LoadedSpec:
    """Its spec of the highest version. name: churn, job/churn, or churn@3 for the one that must be it."""
    name, _, version = name.removeprefix("job/").partition("@")
    found = [item for item in loaded.specs if item.address.kind == "job" and item.address.name == name]
    if not found:
        names = {item.address.name for item in loaded.specs if item.address.kind == "job"}
        fix = did_you_mean(name, names) or (f"the specs have {', '.join(sorted(names))}" if names else "")
        raise WorldError(f"no spec describes a job {name}", fix=fix or "write one first")
    newest = max(found, key=lambda item: item.address.version)
    if version and version != str(newest.address.version):
        raise WorldError(
            f"{name}@{version} is not the newest version of {name} in the specs: that is {newest.address.version}",
            fix=f"sagespec bump {name}",
        )
    return newest


def next_of(parts: Parts, loaded: Loaded, name: str) -> int:
    """Above all versions that the specs and the store have. Names that differ in case alone are one."""
    known = (*(item.address for item in loaded.specs), *parts.records.all_jobs())
    return max(a.version for a in known if a.kind == "job" and a.name.lower() == name.lower()) + 1


def _changes_another(item: LoadedSpec, like: YamlDocument, version: int) -> SpecError:
    job = item.address
    other = f"job/{like.data.get('name')}@{like.data.get('version')}"
    return SpecError(
        Problem(
            f"{other} is like {job.name}@{job.version}, and would change with it",
            about=str(job),
            fix=f"write {job.name}@{version} beside {job.name}@{job.version}: with version: {version}, "
            f"like: {job.name}@{job.version}, and what differs",
            where=like.place(("like",)),
        )
    )


def _edit(field: str, text: str) -> Edit:
    path = tuple(field.split("."))
    if path[0] in NOT_TO_SET or not all(path):
        raise SpecError(f"--set {field}: it cannot be set here", fix="name another field, e.g. hyperparameters.eta")
    return Edit(path, value_from(text))
