"""What the specs of a commit may not name: files of the machine outside of their own tree, and what the source forbids.

More people may write to a repository than to the machine that follows it. So paths and links must stay in the tree, or
below what the source allows, and where the project keeps its records is not a commit's to say if the source says it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sagespec.errors import Origin, Problem
from sagespec.load.environments import chosen, environment_files
from sagespec.load.files import shown_name
from sagespec.load.load import load
from sagespec.load.loaded import PROJECT_FILE, Loaded, LoadedSpec
from sagespec.spec.doors import TlsFiles
from sagespec.spec.endpoint import Endpoint, named_job
from sagespec.spec.job import TrainingJob
from sagespec.spec.notebook import Notebook
from sagespec.spec.project import ProjectSettings
from sagespec.spec.secrets import SecretUse
from sagespec.spec.source import Source

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_LARGEST_POINTER = 1024


@dataclass(frozen=True)
class Bounds:
    """tree: of the commit. home: where the project's state is, which is its own."""

    source: Source
    tree: Path
    home: Path

    def holds(self, path: Path) -> bool:
        real, allowed = Path(os.path.realpath(path)), map(Path, self.source.allow.paths)
        return any(real.is_relative_to(os.path.realpath(folder)) for folder in (self.tree, *allowed))

    def holds_state(self, path: Path) -> bool:
        return self.holds(path) or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.home))


def unreadable(root: Path, bounds: Bounds) -> list[Problem]:
    """What must not even be read: asked before anything of the commit is loaded, since what is wrong with a file is
    told in words of it. root: the folder of sagespec.yaml."""
    found = list(_links(bounds))
    name = bounds.source.environment
    if found or not name:
        return found
    environment = chosen(root, name)
    for number, path in enumerate(environment.spec.specs):
        if not bounds.holds(root / path):
            place = environment.document.place(("specs", number))
            found.append(_outside("specs", path, f"environment {name}", bounds, place))
    return found


def settings_out_of_bounds(root: Path, bounds: Bounds) -> list[Problem]:
    """The same of the settings alone. They say where the record of all else is kept, so nothing is written before."""
    files = (root / PROJECT_FILE, *environment_files(root).values())
    found = [_leads_out(file, bounds) for file in files if not bounds.holds(file)]
    environment = bounds.source.environment or ""
    return found or _settings(load([], root, environment=environment, check_paths=False), bounds)


def _settings(loaded: Loaded, bounds: Bounds) -> list[Problem]:
    return [*_of_settings(loaded, bounds), *_own_secrets(_used_by_settings(loaded.project), bounds)]


def out_of_bounds(loaded: Loaded, bounds: Bounds) -> list[Problem]:
    """Every problem of the commit, each at its place."""
    found = _settings(loaded, bounds)
    for item in loaded.specs:
        found += _own_secrets(_used_by(item), bounds)
        found += _of_paths(item, bounds)
        found += _of_programs(item, bounds)
        if isinstance(item.spec, Notebook):
            fix = "remove it, and run `sagespec notebook` in your own checkout"
            why = "a notebook writes into the project's folder, and that of a commit is nobody's to change"
            found.append(Problem("a notebook is not run from a source", str(item.address), why, fix, item.origin))
    return found


def _of_settings(loaded: Loaded, bounds: Bounds) -> Iterator[Problem]:
    project, pin, origins = loaded.project, bounds.source.pin, loaded.project_origins
    said = {"name": project.name, "store": project.store, "runtime": project.runtime_name, "host": project.gateway.host}
    for field, value in said.items():
        wanted = getattr(pin, field)
        if wanted is not None and wanted != value:
            place = origins.get("gateway.host" if field == "host" else field)
            why = f"the source pins {field}, so that no commit moves it"
            fix = f"write {wanted}, or change the source"
            yield Problem(f"{field} is {value}, and the source says {wanted}", PROJECT_FILE, why, fix, place)
    if not project.store.startswith("s3://") and pin.store is None:
        path = Path(project.store.removeprefix("file://")).expanduser()
        if not bounds.holds_state(bounds.home / path):
            yield _outside("store", project.store, PROJECT_FILE, bounds, origins.get("store"))
    if project.policy and not bounds.source.allow.commands:
        fix = "set allow.commands in the source, or remove policy"
        why = "whoever commits would say what is run on this machine"
        yield Problem("policy: the source allows no commands", PROJECT_FILE, why, fix, origins.get("policy"))
    taken = loaded.environment.models_from if loaded.environment else None
    there = taken.store if taken else None
    if taken and taken.environment:
        there = load([], loaded.root, environment=taken.environment, check_paths=False).project.store
    if there and not there.startswith("s3://"):
        path = Path(there.removeprefix("file://")).expanduser()
        if not bounds.holds_state(bounds.home / path):
            yield _outside("models_from", there, f"environment {bounds.source.environment}", bounds, None)
    tls = project.gateway.tls
    files = [("gateway.tls", file) for file in (tls.certificate, tls.key)] if isinstance(tls, TlsFiles) else []
    for name, caller in project.gateway.callers.items():
        keys = (caller.key, caller.next_key)
        files += [(f"gateway.callers.{name}", key.file) for key in keys if key is not None and key.file is not None]
    for field, file in files:
        if not bounds.holds_state(bounds.home / file):
            yield _outside(field, file, PROJECT_FILE, bounds, origins.get(field))


def _of_paths(item: LoadedSpec, bounds: Bounds) -> Iterator[Problem]:
    about = str(item.address)
    for field, source in _named(item):
        path = item.local_path(source, field)
        if path is None:
            continue
        if not bounds.holds(path):
            yield _outside(field, source, about, bounds, item.origin_of(field))
        elif pointer := _pointer_in(path):
            name = pointer.relative_to(path).as_posix() if pointer != path else path.name
            yield Problem(
                f"{field}: {name} is a pointer of Git LFS, not the file itself",
                about=about,
                why="a source fetches what git has, and git has pointers alone",
                fix="keep large data in S3 or a folder that the source allows; or take the file out of git lfs",
                where=item.origin_of(field),
            )


def _named(item: LoadedSpec) -> Iterator[tuple[str, str]]:
    """Fields of a spec that may hold a path, and what they say."""
    match item.spec:
        case TrainingJob() as job:
            yield from ((f"channels.{name}.source", channel.source) for name, channel in job.channels.items())
            fields = {"source_dir": job.source_dir, "entry_point": None if job.source_dir else job.entry_point}
            yield from ((field, value) for field, value in fields.items() if value)
            if job.imported_from:
                yield "imported_from.source", job.imported_from.source
            if job.checkpoints and job.checkpoints.source:
                yield "checkpoints.source", job.checkpoints.source
            if job.build:
                yield "build.context", job.build.context
                yield "build.dockerfile", f"{job.build.context}/{job.build.dockerfile}"
        case Endpoint() as endpoint:
            for index, variant in enumerate(endpoint.variants):
                if not named_job(variant.model):
                    yield f"variants.{index}.model", variant.model


def _of_programs(item: LoadedSpec, bounds: Bounds) -> Iterator[Problem]:
    allow, about = bounds.source.allow, str(item.address)
    images: list[tuple[str, str | None]] = []
    if isinstance(item.spec, TrainingJob):
        images = [("image", item.spec.image)]
        if item.spec.build and not allow.build:
            fix = "name an image that is built elsewhere, or set allow.build in the source"
            yield Problem("build: the source allows none", about, "", fix, item.origin_of("build"))
    if isinstance(item.spec, Endpoint):
        images = [(f"variants.{index}.image", variant.image) for index, variant in enumerate(item.spec.variants)]
    for field, image in images:
        if image and allow.images is not None and not any(fnmatchcase(image, pattern) for pattern in allow.images):
            fix = "use one of those, or name it under allow.images in the source"
            why = f"it allows {', '.join(allow.images) or 'none'}"
            yield Problem(f"{field}: the source does not allow {image}", about, why, fix, item.origin_of(field))


Used = Iterator[tuple[str, str, str, Origin | None]]  # a secret's name; where it is used: field, address and place


def _used_by(item: LoadedSpec) -> Used:
    environments: dict[str, Mapping[str, str | SecretUse]] = {}
    match item.spec:
        case TrainingJob() as job:
            environments["environment"] = job.environment
        case Endpoint() as endpoint:
            for index, variant in enumerate(endpoint.variants):
                environments[f"variants.{index}.environment"] = variant.environment
    for field, environment in environments.items():
        for variable, use in environment.items():
            if isinstance(use, SecretUse):
                place = f"{field}.{variable}"
                yield use.name, place, str(item.address), item.origin_of(place)


def _used_by_settings(project: ProjectSettings) -> Used:
    for name, caller in project.gateway.callers.items():
        for key in (caller.key, caller.next_key):
            if key is not None and key.secret is not None:
                yield key.secret, f"gateway.callers.{name}", PROJECT_FILE, None
    for number, one in enumerate(project.notify):
        for use in (one.url, one.key):
            if use is not None:
                yield use.name, f"notify.{number}", PROJECT_FILE, None


def _own_secrets(used: Used, bounds: Bounds) -> Iterator[Problem]:
    """Whoever commits has what programs of the commit are given. What the source itself needs is not theirs: it lets
    one write to the repository, or have the forge say that a commit is good."""
    for name, field, about, place in used:
        if name in bounds.source.own_secrets:
            yield Problem(
                f"{field}: the secret {name} is the source's own",
                about=about,
                why="the source reads the repository with it, or tells the forge; a commit could show it to anybody",
                fix="use another secret; if it is meant, give it a second name under secrets in the source",
                where=place,
            )


def _links(bounds: Bounds) -> Iterator[Problem]:
    for folder, names, files in os.walk(bounds.tree):
        for name in (*names, *files):
            path = Path(folder) / name
            if path.is_symlink() and not bounds.holds(path):
                yield _leads_out(path, bounds)
        names[:] = [name for name in names if name != ".git"]


def _leads_out(path: Path, bounds: Bounds) -> Problem:
    link = next((one for one in (path, *path.parents) if one.is_symlink()), path)
    target = f": {link.readlink()}" if link.is_symlink() else ""
    return Problem(
        f"{shown_name(link, bounds.tree)} is a link that leads out of the repository{target}",
        why="it would show programs files of this machine that no commit may name",
        fix="remove the link, or name what it leads to under allow.paths in the source",
    )


def _pointer_in(path: Path) -> Path | None:
    files: Sequence[Path] = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    return next((file for file in files if _is_pointer(file)), None)


def _is_pointer(file: Path) -> bool:
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST_POINTER:
            return False
        return file.read_bytes().startswith(LFS_POINTER)
    except OSError:
        return False


def _outside(field: str, written: str, about: str, bounds: Bounds, where: Origin | None) -> Problem:
    return Problem(
        f"{field}: {written} is outside of the repository",
        about=about,
        why=f"a commit of {bounds.source.name} may name what is in its own tree, and what the source allows",
        fix="put it into the repository or into S3, or name it under allow.paths in the source",
        where=where,
    )
