"""Images of programs: which one a program runs from, whether the engine has it, building and pulling it.

`DockerRuntime` prepares a program with it before it creates containers, and `sagespec images` lists
what is here. A built-in program is a folder of images/ and is built; so is a folder of your own with a
Dockerfile. Your own image is pulled, as the engine's own login allows (`docker login`).
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound

from sagespec.errors import WorldError
from sagespec.runtimes.docker.builds import build, pull
from sagespec.runtimes.docker.credentials import check_logins
from sagespec.runtimes.docker.engine import refusals
from sagespec.runtimes.docker.files import Entry, picked, tree
from sagespec.runtimes.protocol import ImageInfo, Tell
from sagespec.sources.build import BuildFolder
from sagespec.state.programs import Build, Builtin, Image, Program

CONFLICT = 409
LABEL_IMAGE = "sagespec.image"
LABEL_BUILD = "sagespec.build"
LABEL_BASE = "sagespec.base"
SHARED = "Dockerfile"  # beside the built-ins' folders: builds each that has none of its own, by the argument NAME
LOCKED = "requirements.txt"  # beside it: the packages that it installs
BASE = "base.Dockerfile"  # names the image that all are built from, by digest; given to them as the argument BASE
BASE_SETTING = "SAGESPEC_BASE_IMAGE"  # the environment's: another one
BUILT_IN = ("*/Dockerfile", "*/image.json")
# Given on to the builds of built-ins, for a network with a package index of its own. What a Dockerfile does not
# declare (ARG) the engine leaves out with a warning.
PIP_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")


class Images:
    """The programs of `folder`, and your own images, on one engine. Folders to build are relative to `root`."""

    def __init__(self, engine: Any, folder: Path, root: Path) -> None:
        self._engine = engine
        self._folder = folder
        self.root = root
        self._preparing = threading.Lock()  # a program that two jobs need is built once

    def prepare(self, program: Program, tell: Tell) -> str:
        with self._preparing, refusals(f"prepare the image of {program}"):
            if isinstance(program, Image) and program.digest:
                self._look_for(program, tell)
            reference = self.reference(program)
            if (image := self._inspect(reference)) is None:
                match program:
                    case Builtin(name):
                        self._build_builtin(name, reference, tell)
                    case Build():
                        self._build_folder(program, reference, tell)
                    case Image():
                        pull(self._engine, reference, tell)
                image = self._engine.inspect_image(reference)
        if isinstance(program, Image) and reference != program.reference:
            return program.digest  # it is pinned, and the engine has it
        return _digest(reference, image)

    def check(self, program: Program) -> None:
        """WorldError when the engine lacks its image, and cannot get it as things are here."""
        with refusals(f"look for the image of {program}"):
            if self._inspect(self.reference(program)):
                return
        if isinstance(program, Build):
            self._unchanged_folder(program)
        check_logins(program.reference if isinstance(program, Image) else "")

    def infos(self) -> tuple[ImageInfo, ...]:
        names = sorted({file.parent.name for pattern in BUILT_IN for file in self._folder.glob(pattern)})
        with refusals("list the images"):
            rows = self._engine.images(filters={"label": LABEL_IMAGE})
        present = {tag: row for row in rows for tag in row["RepoTags"] or ()}
        found = []
        for name in names:
            reference = self.reference(Builtin(name))
            row = present.get(reference)
            found.append(ImageInfo(name, reference, row["Id"] if row else "", row["Size"] if row else 0))
        return tuple(found)

    def built(self) -> tuple[ImageInfo, ...]:
        with refusals("list the images"):
            rows = [
                row for label in (LABEL_IMAGE, LABEL_BUILD) for row in self._engine.images(filters={"label": label})
            ]
        found = {
            tag: ImageInfo((row.get("Labels") or {}).get(LABEL_IMAGE, ""), tag, row["Id"], row["Size"], row["Created"])
            for row in rows
            for tag in row["RepoTags"] or ()
            if tag.startswith(("sagespec/", "sagespec-build/"))
        }
        return tuple(found[tag] for tag in sorted(found))

    def remove(self, reference: str) -> bool:
        with refusals(f"remove the image {reference}"):
            try:
                self._engine.remove_image(reference)
            except ImageNotFound:
                return True
            except APIError as error:
                if error.status_code == CONFLICT:  # a container has it
                    return False
                raise
        return True

    def reference(self, program: Program) -> str:
        """The image of `program`. A built-in's tag is a hash of its folders, so a new release builds a new image; so
        is that of a folder of your own, which is built once and serves what it trained."""
        if isinstance(program, Image):
            return self._trained_with(program) or program.reference
        if isinstance(program, Build):
            name = re.sub("[^a-z0-9]+", "-", Path(program.folder).name.lower()).strip("-")
            return f"sagespec-build/{name or 'folder'}:{program.context}"
        digest = hashlib.sha256()
        digest.update(os.environ.get(BASE_SETTING, "").encode())
        for member, content in self._context(program.name):
            digest.update(f"{member.name}\0{member.size}\0".encode())
            if content:
                digest.update(content.read())
        return f"sagespec/{program.name}:{digest.hexdigest()[:12]}"

    def digests(self, program: Program) -> frozenset[str]:
        """All by which its image is known: its id, and a digest of each registry that has it. Empty for one that the
        engine does not have."""
        if isinstance(program, Builtin) and not self.now(program):
            return frozenset()
        with refusals(f"look for the image of {program}"):
            image = self._inspect(self.reference(program))
        return frozenset({str(image["Id"]), *repo_digests(image).values()}) if image else frozenset()

    def now(self, program: Program) -> str:
        """What a container of it would be made from. A folder's image is known by what is in it: it never changes."""
        match program:
            case Builtin(name):
                return self.reference(program) if (self._folder / name).is_dir() else ""
            case Image(reference):
                return reference if self.has(reference) else ""
            case Build():
                return ""

    def has(self, reference: str) -> bool:
        with refusals(f"look for the image {reference}"):
            return self._inspect(reference) is not None

    def _trained_with(self, program: Image) -> str:
        """The exact image that `program.digest` stands for, by its registry's digest or its id; '' when the engine
        does not have it."""
        names = (f"{_repository(program.reference)}@{program.digest}", program.digest) if program.digest else ()
        return next((name for name in names if self._inspect(name)), "")

    def _look_for(self, program: Image, tell: Tell) -> None:
        """Fetch exactly that image from its registry, if it is from one, and report when its tag has moved on."""
        tagged = self._inspect(program.reference)
        if not self._trained_with(program) and (tagged is None or tagged["RepoDigests"]):
            with suppress(WorldError):  # gone: the tag's image stands in for it, and `prepare` reports it
                pull(self._engine, f"{_repository(program.reference)}@{program.digest}", tell)
        pinned = self._trained_with(program)
        if pinned and tagged and tagged["Id"] != self._engine.inspect_image(pinned)["Id"]:
            tell(f"{program.reference} has moved on; the model is served by the image that trained it, {pinned}")

    def _inspect(self, reference: str) -> Mapping[str, Any] | None:
        try:
            image: Mapping[str, Any] = self._engine.inspect_image(reference)
        except ImageNotFound:
            return None
        return image

    def bases(self) -> set[str]:
        """The images that built-in programs are built from."""
        return {self._base} - {""}

    @property
    def _base(self) -> str:
        """'' where the programs say nothing of it."""
        file = self._folder / BASE
        named = re.search(r"^FROM\s+(\S+)", file.read_text(), re.MULTILINE) if file.is_file() else None
        return os.environ.get(BASE_SETTING) or (named[1] if named else "")

    def _context(self, builtin: str) -> Iterator[Entry]:
        """What the Dockerfile of a built-in may copy from, its own folder and the toolkit; and what it starts from."""
        shared = {SHARED, LOCKED} if self._dockerfile(builtin) == SHARED else set()
        for name in sorted({"toolkit", builtin, BASE} | shared):
            if (self._folder / name).exists():
                yield from tree(self._folder / name, name, is_wanted=_is_source)

    def _dockerfile(self, builtin: str) -> str:
        """Its own, or the shared one; relative to the folder of images."""
        own = f"{builtin}/Dockerfile"
        if (self._folder / own).is_file():
            return own
        if (self._folder / builtin / "image.json").is_file() and (self._folder / SHARED).is_file():
            return SHARED
        raise WorldError(
            f"there is no built-in program {builtin!r}: {self._folder / own} is missing",
            fix="`sagespec images` lists the built-in programs",
        )

    def _base_here(self, tell: Tell) -> str:
        """The base image, on the engine now; where its digest cannot be pulled, what the engine has by its tag."""
        base = self._base
        by_tag, _, digest = base.partition("@")
        if not base or self._inspect(base):
            return base
        try:
            pull(self._engine, f"{_repository(by_tag)}@{digest}" if digest else base, tell)
        except WorldError as error:
            if not digest or self._inspect(by_tag) is None:
                fix = f"load it into the engine (docker load), or name one that is there by {BASE_SETTING}"
                raise WorldError(error.problems[0].what, why="built-in programs are built from it", fix=fix) from error
            tell(f"{base} cannot be pulled: the {by_tag} of this engine is used")
            return by_tag
        return base

    def _build_builtin(self, builtin: str, reference: str, tell: Tell) -> None:
        dockerfile, base = self._dockerfile(builtin), self._base_here(tell)
        given = {name: value for name in PIP_SETTINGS if (value := os.environ.get(name))}
        given |= {"NAME": builtin} if dockerfile == SHARED else {}
        build(
            self._engine,
            self._context(builtin),
            reference,
            tell,
            fix="the engine needs access to the package index: see `sagespec doctor`",
            dockerfile=dockerfile,
            buildargs=given | ({"BASE": base} if base else {}),
            labels={LABEL_IMAGE: builtin} | ({LABEL_BASE: base} if base else {}),
        )

    def _unchanged_folder(self, program: Build) -> BuildFolder:
        folder = BuildFolder(self.root / program.folder, program.dockerfile, dict(program.args))
        if folder.hash() != program.context:
            raise WorldError(
                f"the image of {program.folder} ({self.reference(program)}) is not on the engine, and the folder has "
                "changed since",
                why="a model is served by the same image that trained it",
                fix="check out the commit it was trained at (the manifest names it) and apply there, or load the image "
                "from a copy (docker load); to use the folder as it is now, raise the job's version",
            )
        return folder

    def _build_folder(self, program: Build, reference: str, tell: Tell) -> None:
        folder = self._unchanged_folder(program)
        members = picked(folder.path, folder.files())
        if outside := folder.outside_dockerfile:
            members = chain(members, tree(outside, folder.dockerfile_in_build))
        build(
            self._engine,
            members,
            reference,
            tell,
            fix=f"correct {Path(program.folder, program.dockerfile)}, or what it depends on",
            dockerfile=folder.dockerfile_in_build,
            buildargs=dict(program.args),
            labels={LABEL_BUILD: program.folder},
        )


def _is_source(file_name: str) -> bool:
    return file_name != "__pycache__" and not file_name.startswith(".")


def _repository(reference: str) -> str:
    repository, _ = docker.utils.parse_repository_tag(reference)
    return str(repository)


def _digest(reference: str, image: Mapping[str, Any]) -> str:
    """The digest the registry knows the image by; its id when it is from no registry."""
    repository = _repository(reference)
    known = repo_digests(image)
    return known.get(repository) or next(iter(known.values()), str(image["Id"]))


def repo_digests(image: Mapping[str, Any]) -> dict[str, str]:
    """By repository."""
    return dict(line.split("@", 1) for line in sorted(image["RepoDigests"] or ()))
