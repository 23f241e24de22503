"""Images of programs: which one a program runs from, whether the engine has it, building and pulling it.

`DockerRuntime` prepares a program with it before it creates containers, and `sagespec images` lists
what is here. A built-in program is a folder of images/ and is built; a user's own image is pulled.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound

from sagespec.errors import WorldError
from sagespec.runtimes import ImageInfo, Progress
from sagespec.runtimes.docker.engine import engine_address, explanation, refusals
from sagespec.runtimes.docker.files import Entry, tar, tree
from sagespec.state import Program

LABEL_IMAGE = "sagespec.image"


class Images:
    """The programs of `folder`, and images of users' own, on one engine."""

    def __init__(self, engine: Any, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self._preparing = threading.Lock()  # a program that two jobs need is built once

    def prepare(self, program: Program, progress: Progress) -> str:
        reference = self.reference(program)
        with self._preparing, refusals(f"prepare the image {reference}"):
            try:
                image = self._engine.inspect_image(reference)
            except ImageNotFound:
                if program.builtin:
                    self._build(program.builtin, reference, progress)
                else:
                    self._pull(reference, progress)
                image = self._engine.inspect_image(reference)
        return _digest(reference, image)

    def infos(self) -> tuple[ImageInfo, ...]:
        names = sorted(file.parent.name for file in self._folder.glob("*/Dockerfile"))
        with refusals("list the images"):
            rows = self._engine.images(filters={"label": LABEL_IMAGE})
        present = {tag: row for row in rows for tag in row["RepoTags"] or ()}
        found = []
        for name in names:
            reference = self.reference(Program(builtin=name))
            row = present.get(reference)
            found.append(ImageInfo(name, reference, row["Id"] if row else "", row["Size"] if row else 0))
        return tuple(found)

    def reference(self, program: Program) -> str:
        """The image of `program`. A built-in's tag is a hash of its folders, so a new release builds anew."""
        if program.image:
            return program.image
        digest = hashlib.sha256()
        for member, content in self._context(program.builtin):
            digest.update(f"{member.name}\0{member.size}\0".encode())
            if content:
                digest.update(content.read())
        return f"sagespec/{program.builtin}:{digest.hexdigest()[:12]}"

    def bases(self) -> set[str]:
        """The images that Dockerfiles of built-in programs start from."""
        files = self._folder.glob("*/Dockerfile")
        return {base for file in files for base in re.findall(r"^FROM\s+(\S+:\S+)", file.read_text(), re.MULTILINE)}

    def _context(self, builtin: str) -> Iterator[Entry]:
        """What the Dockerfile of a built-in may copy from: its own folder and the toolkit."""
        if not (self._folder / builtin / "Dockerfile").is_file():
            raise WorldError(
                f"there is no built-in program {builtin!r}: {self._folder / builtin / 'Dockerfile'} is missing",
                fix="`sagespec images` lists the built-in programs",
            )
        for folder in sorted({"toolkit", builtin}):
            if (self._folder / folder).is_dir():
                yield from tree(self._folder / folder, folder, is_wanted=_is_source)

    def _build(self, builtin: str, reference: str, progress: Progress) -> None:
        progress(f"building {reference}")
        last_lines: deque[str] = deque(maxlen=20)
        for step in self._engine.build(
            fileobj=tar(self._context(builtin)),
            custom_context=True,
            dockerfile=f"{builtin}/Dockerfile",
            tag=reference,
            labels={LABEL_IMAGE: builtin},
            rm=True,
            forcerm=True,
            decode=True,
        ):
            for line in str(step.get("stream", "")).splitlines():
                if line.strip():
                    last_lines.append(line.rstrip())
                    progress(line.rstrip())
            if "error" in step:
                raise WorldError(
                    f"the built-in image {reference} could not be built: {str(step['error']).strip()}",
                    why="the build ended with\n" + "\n".join(f"       {line}" for line in last_lines),
                    fix="the engine needs the base image and a way to the package index: see `sagespec doctor`",
                )

    def _pull(self, reference: str, progress: Progress) -> None:
        progress(f"pulling {reference}")
        repository, tag = docker.utils.parse_repository_tag(reference)
        told = set()
        try:
            for step in self._engine.pull(repository, tag=tag or "latest", stream=True, decode=True):
                if "error" in step:
                    raise _image_missing(reference, str(step["error"]))
                line = ": ".join(str(step[field]) for field in ("id", "status") if field in step)
                if line not in told:  # one line a layer and stage, not one a percent
                    told.add(line)
                    progress(line)
        except APIError as error:
            raise _image_missing(reference, explanation(error)) from error


def _is_source(file_name: str) -> bool:
    return file_name != "__pycache__" and not file_name.startswith(".")


def _image_missing(reference: str, said: str) -> WorldError:
    return WorldError(
        f"the image {reference} is not on the engine and could not be pulled: {said}",
        fix="check the name; for a private registry `docker login` first; an image of your own must be built on, "
        f"or loaded into, the engine at {engine_address()}",
    )


def _digest(reference: str, image: Mapping[str, Any]) -> str:
    """The digest the registry knows the image by; its id when it is from no registry."""
    repository, _ = docker.utils.parse_repository_tag(reference)
    known: dict[str, str] = dict(line.split("@", 1) for line in sorted(image["RepoDigests"] or ()))
    return known.get(repository) or next(iter(known.values()), str(image["Id"]))
