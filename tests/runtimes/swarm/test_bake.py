"""Baking a model into an image: what is in it, and that the same is made once. The engine need not be in a Swarm."""

from __future__ import annotations

import io
import os
import resource
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sagespec.runtimes.docker.files import Entry, rebased, tree
from sagespec.runtimes.swarm.bake import LABEL_BAKED, LABEL_PROGRAM, Bakery
from sagespec.runtimes.swarm.registry import Registry
from tests import registries

pytestmark = [pytest.mark.docker, pytest.mark.registry]

VOLUME = 'FROM scratch\nADD said /said\nVOLUME /opt/ml\nCMD ["/none"]\n'


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, docker_client: Any) -> Iterator[str]:
    with registries.running(tmp_path_factory.mktemp("registry")) as address:
        yield address
        registries.forget(docker_client, address)


@pytest.fixture
def registry(address: str, docker_client: Any) -> Registry:
    return Registry(docker_client, f"{address}/acme")


@pytest.fixture
def program(registry: Registry, docker_client: Any) -> str:
    """A program that declares a volume where its model is to be, in the registry."""
    return pushed(docker_client, registry, VOLUME)


def pushed(client: Any, registry: Registry, dockerfile: str) -> str:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in (("Dockerfile", dockerfile), ("said", registry.place)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    target = registry.name("program", "1")
    list(client.build(fileobj=io.BytesIO(stream.getvalue()), custom_context=True, tag=target, decode=True))
    return f"{registry.name('program')}@{registry.push(target, target, lambda _: None)}"


def members_of(folder: Path) -> Callable[[], Iterable[Entry]]:
    def members() -> Iterator[Entry]:
        for info, content in tree(folder, "x"):
            info.name = info.name.partition("/")[2]
            if info.name:
                yield info, content

    return members


def inside(client: Any, image: str) -> dict[str, tuple[int, bytes]]:
    """Mode and content of the files that a container of it sees below /opt/ml, by name."""
    client.pull(image)
    container = client.create_container(image)["Id"]
    try:
        stream, _ = client.get_archive(container, "/opt/ml/")
        return {
            info.name: (info.mode & 0o777, content.read()) for info, content in rebased(stream) if content is not None
        }
    finally:
        client.remove_container(container, v=True)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "ml"
    (folder / "model" / "code").mkdir(parents=True)
    (folder / "model" / "weights").write_bytes(b"w" * 3000)
    (folder / "model" / "code" / "run").write_text("#!/bin/sh\n")
    (folder / "model" / "code" / "run").chmod(0o755)
    (folder / "model" / ("long" * 40)).write_text("long\n")
    return folder


def test_what_is_baked_is_seen_even_where_the_program_declares_a_volume(
    registry: Registry, docker_client: Any, program: str, model: Path
) -> None:
    told: list[str] = []
    image = Bakery(docker_client, registry, "c1uster").bake(
        program, members_of(model), told.append, labels={"sagespec.project": "acme"}
    )
    assert image.startswith(f"{registry.place}/baked-c1uster@sha256:")
    assert told[0].startswith("baking 0.0 MiB into ")
    found = inside(docker_client, image)
    assert found["model/weights"] == (0o644, b"w" * 3000)
    assert found["model/code/run"] == (0o755, b"#!/bin/sh\n")
    assert found[f"model/{'long' * 40}"] == (0o644, b"long\n")
    labels = docker_client.inspect_image(image)["Config"]["Labels"]
    assert labels["sagespec.baked-project"] == "acme"
    assert "sagespec.project" not in labels, "or its containers would be taken for the project's own"
    assert labels[LABEL_PROGRAM] == program
    assert labels[LABEL_BAKED]


def test_the_same_is_neither_built_nor_pushed_twice(
    registry: Registry, docker_client: Any, program: str, model: Path
) -> None:
    first, told = Bakery(docker_client, registry, "c2"), list[str]()
    image = first.bake(program, members_of(model), told.append)
    assert told
    told.clear()
    (model / "model" / "weights").touch()  # another time
    again = Bakery(docker_client, registry, "c2").bake(program, lambda: turned(members_of(model)()), told.append)
    assert (again, told) == (image, []), "in whatever order, and whoever bakes it"
    assert first.bake(program, members_of(model), told.append, labels={"sagespec.project": "other"}) != image
    (model / "model" / "weights").write_bytes(b"v" * 3000)
    assert first.bake(program, members_of(model), told.append) != image


def turned(members: Iterable[Entry]) -> Iterator[Entry]:
    """Files alone, and in another order."""
    held = [(info, io.BytesIO(content.read()) if content else None) for info, content in members]
    return reversed(held)


def test_what_has_no_files_is_the_program_itself(
    registry: Registry, docker_client: Any, program: str, tmp_path: Path
) -> None:
    (tmp_path / "ml" / "model").mkdir(parents=True)
    assert Bakery(docker_client, registry, "c3").bake(program, members_of(tmp_path / "ml"), print) == program


def test_a_large_model_is_not_held_in_memory_nor_kept_on_our_engine(
    registry: Registry, docker_client: Any, program: str, tmp_path: Path
) -> None:
    folder = tmp_path / "ml"
    folder.mkdir()
    with (folder / "weights").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
    told: list[str] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Bakery(docker_client, registry, "c4").bake(program, members_of(folder), told.append)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 32 * 1024, f"{grown} KiB more than before, for 64 MiB"
    assert any(line.endswith("of 64 MiB") for line in told), "how far it is"
    left = [tag for image in docker_client.images() for tag in image["RepoTags"] or ()]
    assert not [tag for tag in left if tag.startswith(f"{registry.place}/baked-c4")]
