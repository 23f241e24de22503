"""A runtime of each kind, with its program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.runtimes.protocol import Runtime
from sagespec.state.programs import Builtin
from tests import built
from tests.contracts.bench import (
    DOCKERFILE,
    PROBE,
    SECRETS,
    Bench,
)
from tests.fakes import FakeEngine, FakeRuntime
from tests.swarm.cluster import Cluster


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    (folder / "probe").mkdir()
    (folder / "probe" / "image.json").write_text('{"kind": "test"}')
    for word in ("train", "serve"):
        (folder / "probe" / word).write_text(PROBE)
        (folder / "probe" / word).chmod(0o755)
    return folder


@pytest.fixture
def bench(request: pytest.FixtureRequest, project_name: str, images: Path, tmp_path: Path) -> Iterator[Bench]:
    engine: FakeEngine | None = None
    opened = ""
    published_at = "127.0.0.1"
    open_runtime: Callable[[str], Runtime]
    match request.param:
        case "fake":
            engine = FakeEngine(builtins=("probe",))
            fake = engine

            def open_runtime(project_name: str) -> Runtime:
                return FakeRuntime(project_name, fake)
        case "process":
            opened = f"""
from pathlib import Path
from sagespec.runtimes.process.runtime import ProcessRuntime
runtime = ProcessRuntime({project_name!r}, Path({str(tmp_path / "run")!r}), Path({str(images)!r}))
"""

            def open_runtime(project_name: str) -> Runtime:
                return ProcessRuntime(project_name, tmp_path / "run", images, open_secret=SECRETS.__getitem__)
        case "swarm":
            echo, courier = built.reference("echo"), built.reference("courier")  # on the engine of this machine
            cluster: Cluster = request.getfixturevalue("cluster")
            cluster.load(echo, courier)
            (images / "probe" / "Dockerfile").write_text(DOCKERFILE.format(image=echo))
            published_at, registry = cluster.manager.address, f"{cluster.registry}/contracts"
            opened = f"""
from pathlib import Path
from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.swarm.runtime import SwarmRuntime
runtime = SwarmRuntime({project_name!r}, Path({str(images)!r}), registry={registry!r}, own_images=images_dir())
"""

            def open_runtime(project_name: str) -> Runtime:
                from sagespec.runtimes.swarm.runtime import SwarmRuntime

                return SwarmRuntime(
                    project_name,
                    images,
                    open_secret=SECRETS.__getitem__,
                    registry=registry,
                    own_images=images_dir(),
                )
        case _:
            (images / "probe" / "Dockerfile").write_text(DOCKERFILE.format(image=built.reference("echo")))

            opened = f"""
from pathlib import Path
from sagespec.runtimes.docker.runtime import DockerRuntime
runtime = DockerRuntime({project_name!r}, Path({str(images)!r}))
"""

            def open_runtime(project_name: str) -> Runtime:
                from sagespec.runtimes.docker.runtime import DockerRuntime

                return DockerRuntime(project_name, images, open_secret=SECRETS.__getitem__)

    with open_runtime(project_name) as runtime:
        with built.turn("probe"):
            runtime.prepare(Builtin("probe"), lambda _: None)
        yield Bench(runtime, open_runtime, project_name, opened, engine, published_at)
        for container in runtime.containers():
            runtime.remove(container.name)
        runtime.destroy()
