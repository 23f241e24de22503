"""The programs that local processes run: the built-ins of images/, and folders of your own.

`Programs` finds the program of a launch, checks that it can run here, and names what it was by a digest.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
from pathlib import Path

from sagespec.errors import WorldError, did_you_mean
from sagespec.runtimes.process.executable import check_executable
from sagespec.runtimes.protocol import ImageInfo, Use
from sagespec.sources.build import BuildFolder
from sagespec.state.launches import Launch
from sagespec.state.programs import Build, Builtin, Image, Program

MODULES = (
    "numpy",
    "scipy",
    "sklearn",
    "xgboost",
    "lightgbm",
    "fasttext",
    "pyarrow",
    "flask",
    "orjson",
    "envoy",
)

_WORDS = ("serve", "train")  # a built-in has one of these programs, or both
_NEEDS_DOCKER = "start Docker (or point DOCKER_HOST at one) and run with --runtime docker, or use a built-in algorithm"


class Programs:
    """`images` holds the built-ins; folders of your own are relative to `root`."""

    def __init__(self, images: Path, root: Path) -> None:
        self.folder = images
        self.root = root

    def check(self, use: Use) -> None:
        """WorldError when it cannot run here."""
        self._check(use.program)
        if use.isolated:
            raise WorldError(
                "network: none cannot be had without Docker",
                why="a local process has the networks of this machine; to cut it off takes rights that it lacks",
                fix="start Docker (or point DOCKER_HOST at one) and run with --runtime docker, or remove network",
            )
        if not isinstance(use.program, Build):
            return
        if use.entrypoint:
            raise WorldError(
                f"entrypoint {' '.join(use.entrypoint)} cannot run without Docker",
                why="it names a program inside an image, and without Docker there is none",
                fix=f"{_NEEDS_DOCKER}; or remove entrypoint, and `train` is run",
            )
        if not (program := self._folder_of(use.program) / use.command).is_file():
            raise WorldError(
                f"there is no executable file `{use.command}` in {use.program.folder}",
                why="without Docker nothing is built, so the folder itself has to hold the programs",
                fix=f"add it (chmod +x), or run with --runtime docker: {program}",
            )
        check_executable(program, f"{use.program.folder}/{use.command}")

    def _check(self, program: Program) -> Path:
        """Its folder. A built-in's packages must be installed; a folder of one's own must be as it was."""
        folder = self._folder_of(program)
        if isinstance(program, Build):
            self._check_unchanged(folder, program)
            check_executable(folder / "train", f"{program.folder}/train")
        else:
            _check_packages(folder)
        return folder

    def prepare(self, program: Program) -> str:
        """A hash of the program's files; there is nothing to build."""
        folder = self._check(program)
        return program.context if isinstance(program, Build) else self._digest(folder.name)

    def now(self, program: Program) -> str:
        """A built-in by what its files are now. The files are those of the installed release: earlier ones are gone."""
        is_there = isinstance(program, Builtin) and program.name and (self.folder / program.name).is_dir()
        return f"{program}@{self._digest(str(program)).removeprefix('sha256:')[:12]}" if is_there else ""

    def _check_unchanged(self, folder: Path, program: Build) -> None:
        if BuildFolder(folder, program.dockerfile, dict(program.args)).hash() != program.context:
            raise WorldError(
                f"{program.folder} has changed since {program} was requested",
                why="a model is served by the same program that trained it",
                fix="check out the commit it was trained at (the manifest names it) and apply there; to use the folder "
                "as it is now, raise the job's version",
            )

    def infos(self) -> tuple[ImageInfo, ...]:
        folders = sorted({path.parent for word in _WORDS for path in self.folder.glob(f"*/{word}")})
        return tuple(ImageInfo(folder.name, str(folder), self._digest(folder.name)) for folder in folders)

    def _folder_of(self, program: Program) -> Path:
        if isinstance(program, Image):
            raise WorldError(
                f"image {program.reference} cannot run without Docker",
                why="the process runtime runs the built-ins, and folders (build:) with `train` and `serve` in them",
                fix=_NEEDS_DOCKER,
            )
        if isinstance(program, Build):
            folder = self.root / program.folder
            if not (folder / "train").is_file():
                raise WorldError(
                    f"{program.folder} cannot run without Docker: there is no executable file `train` in it",
                    why="without Docker nothing is built, so the folder itself has to hold the programs",
                    fix=f"{_NEEDS_DOCKER}; or put executables named train and serve there",
                )
            return folder
        folder = self.folder / program.name
        if not program.name or not any((folder / word).is_file() for word in _WORDS):
            known = [image.name for image in self.infos()]
            raise WorldError(
                f"there is no built-in {program.name!r}",
                why=f"{self.folder} holds {', '.join(known) or 'none'}",
                fix=did_you_mean(program.name, known) or "install sagespec again, or name a built-in",
            )
        return folder

    def command(self, launch: Launch) -> list[str]:
        """What is run: a built-in by this Python, a program of your own as it is."""
        program = self._folder_of(launch.program) / launch.command
        if not isinstance(launch.program, Build):
            return [sys.executable, str(program)]
        return [str(program), *launch.arguments]

    def _digest(self, builtin: str) -> str:
        digest = hashlib.sha256()
        for folder in (self.folder / builtin, self.folder / "toolkit"):
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(self.folder).as_posix()
                if path.is_file() and not re.search(r"(^|/)(\.|__pycache__/)", name):
                    digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return f"sha256:{digest.hexdigest()}"


def _check_packages(folder: Path) -> None:
    """WorldError when the built-in in `folder` needs packages that this Python does not have."""
    description = folder / "image.json"
    requires = json.loads(description.read_bytes()).get("requires", {}) if description.is_file() else {}
    missing = [module for module in requires.get("modules", ()) if importlib.util.find_spec(module) is None]
    if missing:
        install = f"{sys.executable} -m pip install 'sagespec[{requires['extra']}]', or " if requires["extra"] else ""
        raise WorldError(
            f"{folder.name} needs {', '.join(missing)}, which {sys.executable} does not have",
            why="the process runtime runs programs with the packages of this Python",
            fix=f"{install}run with --runtime docker",
        )
