"""A DockerRuntime with one built-in program, and launches of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.addresses import Address
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch
from tests import built
from tests.runtimes.docker.probe import HASH, PROBE, reference, silent, write_program


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like images/, with one program: it runs whatever the variable SCRIPT says."""
    echo = built.reference("echo")
    folder = tmp_path_factory.mktemp("images")
    write_program(folder, "probe", f'FROM {echo}\nCOPY probe/program /bin/program\nENTRYPOINT ["/bin/program"]\n')
    (folder / "probe" / "program").write_text('#!/bin/sh\necho "asked to $*"\neval "$SCRIPT"\n')
    (folder / "probe" / "program").chmod(0o755)
    (folder / "toolkit").mkdir()
    (folder / "toolkit" / "lib.py").write_text("VALUE = 1\n")
    return folder


@pytest.fixture
def runtime(project_name: str, images: Path) -> Iterator[DockerRuntime]:
    with DockerRuntime(project_name, images) as runtime:
        runtime.prepare(PROBE, silent)
        yield runtime


@pytest.fixture
def a_server(project_name: str) -> Callable[..., Launch]:
    """Launches of one variant's instances that run a script."""

    def launch(script: str = "exec sleep 1000", instance: int = 0, **fields: Any) -> Launch:
        address = Address("endpoint", "churn", 0, "stable", instance)
        given: dict[str, Any] = {
            "name": container_name(project_name, address, HASH),
            "address": address,
            "hash": HASH,
            "program": PROBE,
            "command": "serve",
            "environment": {"SCRIPT": script},
        }
        return Launch(**given | fields)

    return launch


@pytest.fixture
def a_job(project_name: str) -> Callable[..., list[Launch]]:
    """Launches of all hosts of one job."""

    def launch(script: str, hosts: int = 1, version: int = 1) -> list[Launch]:
        addresses = [Address("job", "churn", version, "", instance) for instance in range(hosts)]
        names = tuple(container_name(project_name, address, HASH) for address in addresses)
        return [
            Launch(
                name=name,
                address=address,
                hash=HASH,
                program=PROBE,
                command="train",
                environment={"SCRIPT": script},
                alias=f"algo-{index + 1}",
                hosts=names,
            )
            for index, (name, address) in enumerate(zip(names, addresses, strict=True))
        ]

    return launch


@pytest.fixture
def a_folder(runtime: DockerRuntime, tmp_path: Path, project_name: str) -> Iterator[Path]:
    """A folder to build, with a link and an argument; its images, which are its alone, are removed afterwards."""
    folder = tmp_path / f"My {project_name}"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text(
        f'FROM {reference(runtime)}\nARG SAID=nothing\nRUN echo "said $SAID"\nCOPY . /ctx/\nENTRYPOINT ["sh", "-c"]\n'
    )
    (folder / "sub/run.sh").write_text("cd /ctx; find . | sort; readlink link; test -x sub/run.sh && echo may run\n")
    (folder / "sub/run.sh").chmod(0o755)
    (folder / "link").symlink_to("sub/run.sh")
    (folder / "secret").write_text("x")
    (folder / ".dockerignore").write_text("secret\n")
    yield folder
    for image in runtime._engine.images(filters={"label": "sagespec.build"}):
        if any(tag.startswith(f"sagespec-build/my-{project_name}:") for tag in image["RepoTags"] or ()):
            runtime._engine.remove_image(image["Id"], force=True)
