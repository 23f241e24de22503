"""The programs that local processes run: built-ins and folders of your own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.runtimes.protocol import Use
from sagespec.sources.build import BuildFolder
from sagespec.state.programs import Build, Builtin, Image
from tests.runtimes.process.probe import (
    a_launch,
)


def test_packages_that_are_not_installed_are_named_with_what_to_install(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    requires = {"modules": ["json", "no_such_package"], "extra": "pytorch"}
    (tmp_path / "images" / "probe" / "image.json").write_text(json.dumps({"requires": requires}))
    with pytest.raises(WorldError, match=r"probe needs no_such_package(.|\n)*pip install 'sagespec\[pytorch\]'"):
        runtime.prepare(Builtin("probe"), lambda _: None)


def test_an_image_of_ones_own_needs_docker_and_is_told_so(runtime: ProcessRuntime) -> None:
    program = Image("registry/mine:1")
    for ask in (
        lambda: runtime.check(Use(program, "train")),
        lambda: runtime.prepare(program, print),
        lambda: runtime.create([a_launch(program=program)]),
    ):
        with pytest.raises(WorldError, match=r"registry/mine:1 cannot run without Docker[\s\S]*fix  start Docker"):
            ask()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of the user's with a program: an executable script of no language of ours."""
    folder = tmp_path / "container"
    folder.mkdir()
    (folder / "train").write_text('#!/bin/sh\necho "$0 $*"; echo "$SAGEMAKER_BASE_DIR"; echo "path=$PYTHONPATH"\n')
    (folder / "train").chmod(0o755)
    return folder


def of_folder(folder: Path) -> Build:
    return Build(str(folder), BuildFolder(folder).hash(), "Dockerfile")


def test_a_folder_of_ones_own_runs_by_itself_without_docker(runtime: ProcessRuntime, own: Path) -> None:
    launch = a_launch(program=of_folder(own), arguments=("--fast",))
    assert isinstance(launch.program, Build)
    assert runtime.prepare(launch.program, print) == launch.program.context
    runtime.create([launch])
    runtime.start(launch.name)
    lines = list(runtime.logs(launch.name, follow=True))
    assert lines == [f"{own / 'train'} --fast", runtime.base_dir(launch.name), "path="]


def test_a_folder_that_changed_is_not_run_as_what_it_was(runtime: ProcessRuntime, own: Path) -> None:
    program = of_folder(own)
    (own / "train").write_text("#!/bin/sh\n")
    with pytest.raises(WorldError, match=r"has changed since[\s\S]*raise the job's version"):
        runtime.prepare(program, print)


def test_a_folder_without_programs_needs_docker_and_is_told_so(runtime: ProcessRuntime, own: Path) -> None:
    with pytest.raises(WorldError, match="there is no executable file `serve`"):
        runtime.create([a_launch(program=of_folder(own), command="serve")])
    with pytest.raises(WorldError, match="entrypoint sh cannot run without Docker"):
        runtime.create([a_launch(program=of_folder(own), entrypoint=("sh",))])
    (own / "train").unlink()
    with pytest.raises(WorldError, match=r"cannot run without Docker: there is no executable file `train`"):
        runtime.prepare(of_folder(own), print)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#!/bin/sh\r\necho\r\n", r"/train has Windows line ends \(CRLF\)[\s\S]*save it with LF"),
        (b"#!/usr/bin/env sh\r\necho\r\n", r"/train has Windows line ends \(CRLF\)"),
        (b"echo\n", r"/train does not say what runs it: its first line must name its interpreter"),
        (
            b"#!/usr/bin/python9 -u\n",
            r"/train is to be run by /usr/bin/python9 -u \(its first line\), which this machine",
        ),
        (b"#!/usr/bin/env -S python9 -u\n", r"/train is to be run by /usr/bin/env -S python9 -u"),
        (b"#!/bin/sh\n", r"/train is not executable\n  fix  chmod \+x"),
    ],
)
def test_a_program_that_cannot_run_is_told_before_it_starts(
    runtime: ProcessRuntime, own: Path, content: bytes, said: str
) -> None:
    (own / "train").write_bytes(content)
    (own / "train").chmod(0o644 if "not executable" in said else 0o755)
    program = of_folder(own)
    for ask in (lambda: runtime.prepare(program, print), lambda: runtime.check(Use(program, "train"))):
        with pytest.raises(WorldError, match=said):
            ask()


def test_the_digest_follows_the_programs_files(runtime: ProcessRuntime, tmp_path: Path) -> None:
    def digest() -> str:
        return runtime.prepare(Builtin("probe"), lambda _: None)

    before = digest()
    (tmp_path / "images" / "probe" / "__pycache__").mkdir()
    (tmp_path / "images" / "probe" / "__pycache__" / "x.pyc").touch()
    assert digest() == before
    (tmp_path / "images" / "toolkit").mkdir()
    (tmp_path / "images" / "toolkit" / "new.py").touch()
    assert digest() != before
