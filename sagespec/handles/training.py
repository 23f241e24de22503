"""`train`: what was asked for becomes a document, the document the version of a job that it is, and that is applied.

What is the same as before trains nothing. What has changed becomes the next version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sagespec.documents.files import one_writer
from sagespec.errors import SpecError
from sagespec.handles.channels import Files, Table, channels_of, given_place, place
from sagespec.handles.following import say
from sagespec.handles.jobs import Job, begin, wait_for_job
from sagespec.handles.projects import ProjectLike, project_of
from sagespec.handles.written import WrittenJob, notebook_folder, write_job
from sagespec.parts import Parts
from sagespec.spec.document import API_VERSION
from sagespec.spec.job import PROGRAMS
from sagespec.spec.values import NAME_HELP, is_name, quoted

MAPS = ("hyperparameters", "environment", "resources", "stopping")  # merged with those of the job that it is like


def train(
    job: str | Job,
    *,
    algorithm: str | None = None,
    framework: str | None = None,
    image: str | None = None,
    data: Any = None,
    target: str | None = None,
    drop: Sequence[str] = (),
    categorical: Sequence[str] = (),
    hyperparameters: Mapping[str, Any] | None = None,
    entry_point: str | None = None,
    source_dir: str | Path | None = None,
    instances: int | None = None,
    resources: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    metrics: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None,
    version: int | None = None,
    retry: bool = False,
    wait: bool = True,
    project: ProjectLike = None,
    **fields: Any,
) -> Job:
    """Train a model, and return once it is trained: its job. The same again trains nothing and returns at once.

    job: the name of a new one; or a Job, from which all is taken that is not said here: train(job, hyperparameters=
    {"max_depth": 5, "eta": None}) is the next version, as before but for these (None takes one away).
    algorithm, framework, image: what trains it, one of the three.
    data: {"train": …, "validation": …}, each a pandas frame, a path from the working folder, s3://… or a Channel.
    target: of named columns, the one to predict; drop, categorical: those to pass over, and those that are text or
    numbers which are names (found by themselves in a frame).
    metrics: name -> regular expression, of what your own program prints.
    version: a set one, instead of the next where something has changed. retry: run one again that failed.
    wait: False returns at once; the job continues in the background. fields: any other field of a TrainingJob.

    The job is written to specs/notebook/ and applied alone. SpecError: what was asked for is wrong, and nothing was
    written. JobFailed: with the reason, and the last lines of the log.
    """
    named = {"algorithm": algorithm, "framework": framework, "image": image, "instances": instances, **fields}
    maps = {"hyperparameters": hyperparameters, "resources": resources, "environment": environment}
    given = {name: _plain(value) for name, value in {**named, **maps}.items() if value is not None}
    if metrics is not None:
        given["metrics"] = _metrics(metrics)
    found = job.project if isinstance(job, Job) and project is None else project_of(project, may_make=True)
    is_inside = source_dir is not None or (isinstance(job, Job) and "source_dir" in job.document)
    folder = notebook_folder(found.parts)
    given |= _paths(entry_point, source_dir, given.get("build"), folder, is_inside=is_inside)
    table = Table(is_builtin=False, target=target, drop=_listed(drop), categorical=_listed(categorical))
    written = _write(found.parts, job, given, data, table, version=version)
    for note in written.notes:
        say(note)
    new = Job.of(found, written.address)
    if written.is_trained and not retry:
        return new
    work = begin(new, retry=retry)
    return wait_for_job(new, say, work) if wait else new


def _write(
    parts: Parts, job: str | Job, given: Mapping[str, Any], data: Any, table: Table, *, version: int | None
) -> WrittenJob:
    parts.read_settings_again()
    spec_folder, files = notebook_folder(parts), Files()
    base = dict(_base(job, spec_folder)) if isinstance(job, Job) else _new(job)
    document = _joined(base, given)
    if data is None and (table.target is not None or table.drop or table.categorical):
        raise SpecError("target, drop and categorical are said of data", fix="give the data as well: data={…}")
    try:
        if data is not None:
            table = _with_former(document, table)
            folder = parts.root / "data" / str(document["name"])
            channels = channels_of(data, table=table, folder=folder, spec_folder=spec_folder, files=files)
            document["channels"] = {**document.get("channels", {}), **channels}
        with one_writer(parts.root):
            return write_job(parts, document, version=version)
    except BaseException:
        files.take_back()
        raise


def _new(name: object) -> dict[str, Any]:
    if not isinstance(name, str):
        raise SpecError(f"{name!r} is not the name of a job", fix='give a name, or a Job: train("churn", …)')
    if "@" in name or "/" in name:
        plain = name.rpartition("/")[2].partition("@")[0]
        fix = f"train({plain!r}, …) takes the next version; sagespec.job({name!r}) finds one that is there"
        raise SpecError(f"{name!r} is not the name of a job", why="versions are counted for you", fix=fix)
    if not is_name(name):  # before a frame is written into a folder of that name
        raise SpecError(f"{quoted(name)} is not a name", fix=NAME_HELP)
    return {"apiVersion": API_VERSION, "kind": "TrainingJob", "name": name}


def _base(job: Job, spec_folder: Path) -> Mapping[str, Any]:
    """The document of the job that the new one is like, with paths as they are from our own folder."""
    document = dict(job.document)
    document.pop("version", None)
    folder = job.folder
    if folder == spec_folder:
        return document
    for name in ("source_dir", *(() if document.get("source_dir") else ("entry_point",))):
        if name in document:
            document[name] = _moved(document[name], folder, spec_folder)
    if "build" in document:
        build = document["build"]
        context = _moved(build if isinstance(build, str) else build["context"], folder, spec_folder)
        document["build"] = context if isinstance(build, str) else {**build, "context": context}
    channels = document.get("channels", {})
    document["channels"] = {
        name: _moved(channel, folder, spec_folder)
        if isinstance(channel, str)
        else {**channel, "source": _moved(channel["source"], folder, spec_folder)}
        for name, channel in channels.items()
    }
    return document


def _moved(source: str, folder: Path, spec_folder: Path) -> str:
    return source if "://" in source or source.startswith("/") else place(folder / source, spec_folder)


def _joined(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """As before, but for what is given. None takes a field away, in a map too."""
    document = dict(base)
    if any(name in given for name in PROGRAMS):
        document = {name: value for name, value in document.items() if name not in PROGRAMS}
    for name, value in given.items():
        if name in MAPS and isinstance(value, Mapping):
            joint = {**(document.get(name) or {}), **value}
            value = {key: one for key, one in joint.items() if one is not None}
        document[name] = value
    return {name: value for name, value in document.items() if value not in (None, {}, [])}


def _with_former(document: Mapping[str, Any], table: Table) -> Table:
    """What is not said of columns here was said of those of the job that it is like."""
    channels = document.get("channels", {}).values()
    before = next((c for c in channels if isinstance(c, Mapping) and c.keys() & {"target", "drop", "categorical"}), {})
    return Table(
        is_builtin="algorithm" in document,
        target=table.target or before.get("target"),
        drop=table.drop or _listed(before.get("drop", ())),
        categorical=table.categorical,
    )


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _paths(
    entry_point: str | None, source_dir: str | Path | None, build: Any, spec_folder: Path, *, is_inside: bool
) -> dict[str, Any]:
    """Paths from the working folder, as a document names them. is_inside: the script is named from a source_dir."""
    found: dict[str, Any] = {}
    if source_dir is not None:
        found["source_dir"] = given_place(source_dir, "source_dir", spec_folder)
    if entry_point is not None:
        found["entry_point"] = entry_point if is_inside else given_place(entry_point, "entry_point", spec_folder)
    if isinstance(build, str | Path):
        found["build"] = given_place(build, "build", spec_folder)
    elif isinstance(build, Mapping) and "context" in build:
        found["build"] = {**build, "context": given_place(build["context"], "build", spec_folder)}
    return found


def _metrics(metrics: Mapping[str, str] | Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    if isinstance(metrics, Mapping):
        return [{"name": str(name), "regex": regex} for name, regex in metrics.items()]
    return [dict(metric) for metric in metrics]


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's own, tuples as lists."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    is_number = type(value).__module__ == "numpy" and hasattr(value, "item")
    return value.item() if is_number else value
