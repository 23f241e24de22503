"""What sagespec has built on a Docker engine, and the removal of one image."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.docker.runtime import DockerRuntime

pytestmark = pytest.mark.docker


@pytest.fixture
def runtime(project_name: str, tmp_path: Path) -> Iterator[DockerRuntime]:
    with DockerRuntime(project_name, images_dir(), tmp_path) as docker:
        yield docker


def built(label: str, reference: str) -> None:
    import docker

    text = f'FROM scratch\nLABEL {label}="echo"\nLABEL of="{reference}"\nCMD ["/none"]\n'
    docker.from_env().images.build(fileobj=io.BytesIO(text.encode()), tag=reference, rm=True)


def test_an_image_of_another_release_is_listed_and_removed_unless_a_container_has_it(runtime: DockerRuntime) -> None:
    import docker

    engine, own = docker.from_env(), uuid4().hex[:12]
    builtin, folder = f"sagespec/echo:{own}", f"sagespec-build/echo:{own}"
    built("sagespec.image", builtin)
    built("sagespec.build", folder)
    found = {image.reference: image for image in runtime.built_images()}
    assert (found[builtin].name, found[folder].name) == ("echo", "")
    assert found[builtin].created_at > 0
    container = engine.containers.create(builtin)
    assert not runtime.remove_image(builtin)
    container.remove()
    assert runtime.remove_image(builtin)
    assert runtime.remove_image(folder)
    assert runtime.remove_image(folder), "gone already"
    left = {image.reference for image in runtime.built_images()}
    assert not left & {builtin, folder}
