"""Images of a private registry: pulled with the engine's own login, and served as they were when they trained."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.programs import Image, Program
from tests import registries

pytestmark = [pytest.mark.docker, pytest.mark.registry]


@dataclass
class Registry:
    """A real registry that asks for a name and a password."""

    address: str
    client: Any

    def push(self, said: str, name: str, tag: str = "1") -> str:
        """Push an image that differs by what it says; its digest in the registry. None of it stays on the engine."""
        repository = f"{self.address}/{name}"
        self.client.import_image_from_data(tar_of(said), repository=repository, tag=tag)
        lines = self.client.push(repository, tag=tag, auth_config=registries.LOGIN, stream=True, decode=True)
        digest = next(line["aux"]["Digest"] for line in lines if "Digest" in line.get("aux", {}))
        self.client.remove_image(f"{repository}:{tag}", force=True)
        return str(digest)


def tar_of(text: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("said")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, docker_client: Any) -> Iterator[Registry]:
    with registries.running(tmp_path_factory.mktemp("registry"), login=True) as address:
        yield Registry(address, docker_client)
        registries.forget(docker_client, address)


@pytest.fixture
def logged_in(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `docker login`."""
    registries.log_in(tmp_path, registry.address)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


def prepare(program: Program) -> tuple[str, list[str]]:
    lines: list[str] = []
    with DockerRuntime("test-registry", images_dir()) as runtime:
        return runtime.prepare(program, lines.append), lines


@pytest.mark.usefixtures("logged_in")
def test_a_private_image_is_pulled_with_the_login_of_the_docker_command(registry: Registry) -> None:
    digest = registry.push("one", "private")
    program = Image(f"{registry.address}/private:1")
    found, lines = prepare(program)
    assert found == digest
    assert lines[0] == f"pulling {program.reference}"
    assert prepare(program) == (digest, [])


def test_without_a_login_the_error_says_to_log_in(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.push("two", "closed")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(WorldError, match=r"closed:1 is not on the engine and could not be pulled") as refused:
        prepare(Image(f"{registry.address}/closed:1"))
    assert "docker login" in refused.value.problems[0].fix


@pytest.mark.usefixtures("logged_in")
def test_what_trained_a_model_is_fetched_and_used_though_its_tag_has_moved(registry: Registry) -> None:
    trained, moved = registry.push("three", "moving"), registry.push("four", "moving")
    image = f"{registry.address}/moving:1"
    assert prepare(Image(image))[0] == moved != trained
    found, lines = prepare(Image(image, digest=trained))
    assert found == trained
    assert any(line.startswith(f"{image} has moved on") for line in lines)
    with DockerRuntime("test-registry", images_dir()) as runtime:
        assert runtime._images.reference(Image(image, digest=trained)).endswith(f"/moving@{trained}")


@pytest.mark.usefixtures("logged_in")
def test_where_what_trained_a_model_is_gone_its_tag_stands_in(registry: Registry) -> None:
    digest = registry.push("five", "gone")
    image = f"{registry.address}/gone:1"
    assert prepare(Image(image, digest=f"sha256:{'0' * 64}"))[0] == digest


def test_an_image_of_no_registry_is_known_by_its_id(docker_client: Any, registry: Registry) -> None:
    for said in ("six", "seven"):
        docker_client.import_image_from_data(tar_of(said), repository=f"{registry.address}/local", tag="1")
        if said == "six":
            trained = docker_client.inspect_image(f"{registry.address}/local:1")["Id"]
            docker_client.tag(trained, f"{registry.address}/kept")
    image = f"{registry.address}/local:1"
    assert prepare(Image(image))[0] != trained
    with DockerRuntime("test-registry", images_dir()) as runtime:
        found = runtime.digests_of(Image(image))
    assert docker_client.inspect_image(image)["Id"] in found
    assert trained not in found, "so a job of it is stale"
    assert prepare(Image(image, digest=trained))[0] == trained
