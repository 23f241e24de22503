"""The images that tests need, each built once for all of them.

Builds take turns by locks of this machine, so that of two workers which need an image one builds it and the
other waits and finds it. `python -m tests.built` builds all of them ahead; CI runs it beside the first tests.
"""

from __future__ import annotations

import fcntl
import functools
import ipaddress
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sagespec.runtimes.choose import images_dir
from sagespec.sources.build import BuildFolder
from sagespec.state.programs import Build, Builtin, Program

SMALL = ("gateway", "echo", "feeder", "courier")
OWN_CONTAINERS = Path(__file__).parent / "scenarios" / "containers"
OWN = ("toolkits", "byo", "binary")
TORCH = ("pytorch", "huggingface")
APART = {**dict.fromkeys(TORCH, "torch"), "tensorflow": "tensorflow", "mxnet": "mxnet"}  # the lock of each
CPU_TORCH = "torch==2.13.0+cpu"
INDEX_PORT = 31997


def ready(*builtins: str) -> None:
    """Have these built-in programs' images on the engine."""
    for name in builtins:
        _ready(name)


def reference(builtin: str) -> str:
    """The image of a built-in program, which is on the engine then."""
    from sagespec.runtimes.docker.runtime import DockerRuntime

    ready(builtin)
    with DockerRuntime("images", images_dir()) as runtime:
        return next(image.reference for image in runtime.images() if image.name == builtin)


def own_ready() -> None:
    """Have the images of scenarios/containers on the engine."""
    for name in OWN:
        _own_ready(name)


@functools.cache
def _ready(name: str) -> None:
    with turn(APART.get(name, "plain")):
        if name in TORCH and not _is_there(name):
            with torch_for_cpu():
                _prepare(Builtin(name))
        else:
            _prepare(Builtin(name))


@functools.cache
def _own_ready(name: str) -> None:
    folder = BuildFolder(OWN_CONTAINERS / name)
    with turn("own"):
        _prepare(Build(f"containers/{name}", folder.hash(), "Dockerfile"))


@contextmanager
def turn(name: str) -> Iterator[None]:
    """Build alone what all call by this name."""
    folder = Path(tempfile.gettempdir()) / f"sagespec-tests-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prepare(program: Program) -> None:
    from sagespec.runtimes.docker.runtime import DockerRuntime

    with DockerRuntime("images", images_dir(), OWN_CONTAINERS.parent) as runtime:
        runtime.prepare(program, lambda _line: None)


def _is_there(builtin: str) -> bool:
    from sagespec.runtimes.docker.runtime import DockerRuntime

    with DockerRuntime("images", images_dir()) as runtime:
        return any(image.name == builtin and image.digest for image in runtime.images())


@contextmanager
def torch_for_cpu() -> Iterator[None]:
    """PyTorch's own index has the wheels for CPUs. Where it is not reached, but pip here knows such a wheel, the
    builds are given that by an index of our own; what PyPI has instead is gigabytes of CUDA."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "PIP_EXTRA_INDEX_URL" in os.environ or not _download_torch(folder / "simple" / "torch"):
            yield
            return
        # The port is always the same, as the engine finds a layer again by its arguments.
        address = _bridge()
        with ThreadingHTTPServer((address, INDEX_PORT), partial(_Quiet, directory=name)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            index = {"PIP_EXTRA_INDEX_URL": f"http://{address}:{INDEX_PORT}/simple", "PIP_TRUSTED_HOST": address}
            with patch.dict(os.environ, index):
                yield
            server.shutdown()


def _download_torch(folder: Path) -> bool:
    target = ("--only-binary", ":all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *target, "--dest", str(folder))
    return subprocess.run([*pip, CPU_TORCH], capture_output=True, check=False).returncode == 0


def _bridge() -> str:
    """This machine's address as containers see it."""
    import docker

    client = docker.DockerClient.from_env(version="auto").api
    try:
        bridge: Mapping[str, Any] = client.inspect_network("bridge")["IPAM"]["Config"][0]
    finally:
        client.close()
    return str(bridge.get("Gateway") or next(ipaddress.ip_network(bridge["Subnet"]).hosts()))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


def main(names: list[str]) -> None:
    """Those named; or all, in the order in which tests need them, what takes longest beside the rest."""
    if names:
        ready(*names)
        return
    ready(*SMALL)
    with subprocess.Popen([sys.executable, "-m", "tests.built", *APART]):
        ready(*sorted(file.parent.name for file in images_dir().glob("*/serve") if file.parent.name not in APART))
        own_ready()


if __name__ == "__main__":
    main(sys.argv[1:])
