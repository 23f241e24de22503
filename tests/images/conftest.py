"""Builders for the images' tests: an /opt/ml tree, `train` and `serve` as real processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.ports import free_port

IMAGES = Path(__file__).parents[2] / "images"
DEADLINE_SECONDS = 90


@dataclass
class Tree:
    """One host's /opt/ml."""

    base: Path
    image: str
    env: dict[str, str] = field(default_factory=dict)

    def write_config(self, name: str, document: Mapping[str, object]) -> None:
        path = self.base / "input/config" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))

    def write_channel(self, name: str, text: str | bytes, *, file_name: str = "part-0") -> None:
        path = self.base / "input/data" / name / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def start(self, program: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, program],
            cwd=IMAGES / self.image,
            env=clean_environment() | {"SAGEMAKER_BASE_DIR": str(self.base)} | self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def train(self, **env: str) -> tuple[int, str]:
        """Exit code and printed lines."""
        process = self.start("train", **env)
        printed, _ = process.communicate(timeout=DEADLINE_SECONDS)
        return process.returncode, printed

    def end_of_serve(self, **env: str) -> tuple[int, str]:
        """Exit code and last line of a server that ends by itself."""
        address = {"SAGEMAKER_BIND_TO_HOST": "127.0.0.1", "SAGEMAKER_BIND_TO_PORT": str(free_port())}
        with self.start("serve", **({"SAGEMAKER_MODEL_SERVER_WORKERS": "1"} | address | env)) as process:
            printed, _ = process.communicate(timeout=DEADLINE_SECONDS)
        return process.returncode, printed.splitlines()[-1]

    @property
    def failure(self) -> str:
        path = self.base / "output/failure"
        return path.read_text() if path.exists() else ""

    @property
    def model(self) -> Path:
        return self.base / "model"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Served:
    """A running `serve`."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Reply:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, dict(headers or {}))  # type: ignore[arg-type]
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def invoke(self, body: object, content_type: str = "", accept: str = "", **headers: str) -> Reply:
        named = {"Content-Type": content_type, "Accept": accept} | headers
        return self.ask("POST", "/invocations", body, {name: value for name, value in named.items() if value})

    def wait_until_it_answers(self) -> Reply:
        give_up_at = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < give_up_at and self.process.poll() is None:
            with contextlib.suppress(OSError):
                return self.ask("GET", "/ping")
            time.sleep(0.02)
        raise AssertionError(f"no answer: {self.process.communicate(timeout=5)[0]}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode


def clean_environment() -> dict[str, str]:
    ours = ("SAGEMAKER_", "SM_", "ECHO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "PYTHONPATH": str(IMAGES),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextlib.contextmanager
def serving(tree: Tree, *, workers: int = 1, **env: str) -> Iterator[Served]:
    port = free_port()
    settings = {
        "SAGEMAKER_BIND_TO_HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
    }
    process = tree.start("serve", **settings | env)
    try:
        yield Served(process, port)
    finally:
        if process.poll() is None:
            process.kill()
        with process:  # reads what is left and closes the pipe
            pass


MakeTree = Callable[..., Tree]


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """`make_tree(image, hyperparameters, channels, content_type=, host=, hosts=, replicated=)`."""
    return tree_maker(tmp_path)


@pytest.fixture(scope="module")
def make_module_tree(tmp_path_factory: pytest.TempPathFactory) -> MakeTree:
    """The same for a model that several tests share."""
    return tree_maker(tmp_path_factory.mktemp("job"))


def tree_maker(folder: Path) -> MakeTree:
    def make(
        image: str,
        hyperparameters: Mapping[str, object] | None = None,
        channels: Mapping[str, str | bytes] | None = None,
        *,
        content_type: str = "text/csv",
        host: str = "algo-1",
        hosts: tuple[str, ...] = ("algo-1",),
        replicated: tuple[str, ...] = (),
    ) -> Tree:
        tree = Tree(folder / host, image)
        tree.write_config("hyperparameters", {name: str(value) for name, value in (hyperparameters or {}).items()})
        tree.write_config("resourceconfig", {"current_host": host, "hosts": list(hosts)})
        given = channels or {}
        inputs = {
            name: {
                "ContentType": content_type,
                "S3DistributionType": "FullyReplicated" if name in replicated else "ShardedByS3Key",
            }
            for name in given
        }
        tree.write_config("inputdataconfig", inputs)
        for name, text in given.items():
            tree.write_channel(name, text)
        return tree

    return make


@pytest.fixture
def run_hosts() -> Callable[[list[Tree]], list[tuple[int, str]]]:
    """Train on several hosts at once, as the process runtime does: exit code and print-out of each."""

    def run(trees: list[Tree]) -> list[tuple[int, str]]:
        env = {"SM_MASTER_ADDR": "127.0.0.1", "SM_MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
        processes = [tree.start("train", **env) for tree in reversed(trees)]  # the master comes last
        printed = [process.communicate(timeout=DEADLINE_SECONDS)[0] for process in processes]
        codes = [process.returncode for process in processes]
        return list(zip(reversed(codes), reversed(printed), strict=True))

    return run


@pytest.fixture
def serve() -> Callable[..., contextlib.AbstractContextManager[Served]]:
    return serving


@pytest.fixture(scope="module")
def serve_for_module() -> Callable[..., contextlib.AbstractContextManager[Served]]:
    return serving


@pytest.fixture
def make_wheel() -> Callable[[Path, str], Path]:
    """A package that needs numpy and holds ANSWER, so that no test asks a package index."""
    return wheel_of


def wheel_of(folder: Path, name: str) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "import sklearn\nANSWER = 42\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: numpy\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path
