"""What every Runtime owes, as `sagespec.runtimes` says it, held against the fake, processes and Docker.

The program of these tests runs a Python script that the test puts into the container beforehand; the
fake is told by a `Behaviour` what that script would have done. Tests of what only a real program can
see have no such Behaviour and use `real_bench`.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.runtimes.protocol import Runtime
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch, Mount
from sagespec.state.observed import Container, ContainerState
from sagespec.state.programs import Builtin
from tests import built
from tests.fakes import Behaviour, FakeEngine, FakeRuntime

T = TypeVar("T")

WAIT_SECONDS = 90.0
EVERY_BYTE = bytes(range(256))
NOTHING = Behaviour()
FOREVER = Behaviour(lasts=None)

PROBE = """\
#!/usr/bin/env python3
import os, pathlib
base = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
exec((base / "script.py").read_text(), {"base": base})
"""
DOCKERFILE = """\
FROM {image}
COPY probe/ /usr/local/bin/
ENV PATH=/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
WORKDIR /
"""
SLEEP = "import time; time.sleep(600)"


@dataclass
class Bench:
    """A runtime under test, and what makes containers for it. `open` is a runtime for another project."""

    runtime: Runtime
    open: Callable[[str], Runtime]
    project_name: str
    engine: FakeEngine | None = None

    def launch(self, name: str = "churn", **fields: Any) -> Launch:
        """A launch for the job `name`, whose container is named after it."""
        address = Address("job", name, 1, instance=0)
        given = Launch(
            name=container_name(self.project_name, address, "1-abc"),
            address=address,
            hash="1-abc",
            program=Builtin("probe"),
            command="train",
        )
        return replace(given, **fields)

    def create(self, script: str = "", behaviour: Behaviour = NOTHING, **fields: Any) -> str:
        """The name of a new container that will run `script`."""
        launch = self.launch(**fields)
        if self.engine:
            self.engine.behave(launch.name, behaviour)
        self.runtime.create([launch])
        self.runtime.write(launch.name, {"script.py": script.encode()})
        return launch.name

    def run(self, script: str = "", behaviour: Behaviour = NOTHING, **fields: Any) -> str:
        """The name of a container that has run `script` to its end."""
        name = self.start(script, behaviour, **fields)
        self.until(name, ContainerState.EXITED)
        return name

    def start(self, script: str = SLEEP, behaviour: Behaviour = FOREVER, **fields: Any) -> str:
        name = self.create(script, behaviour, **fields)
        self.runtime.start(name)
        return name

    def in_state(self, state: ContainerState) -> str:
        if state is ContainerState.CREATED:
            return self.create()
        return self.start() if state is ContainerState.RUNNING else self.run()

    def inspect(self, name: str) -> Container:
        container = self.runtime.inspect(name)
        assert container is not None
        return container

    def until(self, name: str, state: ContainerState) -> Container:
        return wait_for(lambda: container if (container := self.inspect(name)).state is state else None)

    def file(self, name: str, path: str) -> bytes:
        """Content of a file once the program has written it."""
        return wait_for(lambda: self.runtime.read(name, path))


def wait_for(look: Callable[[], T | None]) -> T:
    give_up_at = time.monotonic() + WAIT_SECONDS
    while (found := look()) is None:
        assert time.monotonic() < give_up_at, "it did not come"
        time.sleep(0.02)
    return found


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
    open_runtime: Callable[[str], Runtime]
    match request.param:
        case "fake":
            engine = FakeEngine(builtins=("probe",))
            fake = engine

            def open_runtime(project_name: str) -> Runtime:
                return FakeRuntime(project_name, fake)
        case "process":

            def open_runtime(project_name: str) -> Runtime:
                return ProcessRuntime(project_name, tmp_path / "run", images)
        case _:
            (images / "probe" / "Dockerfile").write_text(DOCKERFILE.format(image=built.reference("echo")))

            def open_runtime(project_name: str) -> Runtime:
                from sagespec.runtimes.docker.runtime import DockerRuntime

                return DockerRuntime(project_name, images)

    with open_runtime(project_name) as runtime:
        with built.turn("probe"):
            runtime.prepare(Builtin("probe"), lambda _: None)
        yield Bench(runtime, open_runtime, project_name, engine)
        for container in runtime.containers():
            runtime.remove(container.name)
        runtime.destroy()


REAL = ["process", pytest.param("docker", marks=pytest.mark.docker)]
on_every_engine = pytest.mark.parametrize("bench", ["fake", *REAL], indirect=True)
on_real_engines = pytest.mark.parametrize("bench", REAL, indirect=True)
in_every_state = pytest.mark.parametrize(
    "state", [ContainerState.CREATED, ContainerState.RUNNING, ContainerState.EXITED], ids=lambda state: state.value
)

# -- what is there ---------------------------------------------------------------------------------


@on_every_engine
def test_containers_lists_every_state_sorted_by_name(bench: Bench) -> None:
    created = bench.create(name="b")
    running = bench.start(name="c")
    exited = bench.run("raise SystemExit(3)", Behaviour(exit_code=3), name="a")
    listed = bench.runtime.containers()
    assert [(c.name, c.state, c.exit_code) for c in listed] == [
        (exited, ContainerState.EXITED, 3),
        (created, ContainerState.CREATED, None),
        (running, ContainerState.RUNNING, None),
    ]


@on_every_engine
def test_a_container_keeps_its_address_and_hash(bench: Bench) -> None:
    addresses = ["job/Churn-eu@12#3", "endpoint/churn/candidate#0", "gateway"]
    for number, address in enumerate(map(Address.parse, addresses)):
        bench.create(name=str(number), address=address, hash=f"1-{number}fe")
    listed = bench.runtime.containers()
    assert sorted((str(c.address), c.hash) for c in listed) == [
        ("endpoint/churn/candidate#0", "1-1fe"),
        ("gateway", "1-2fe"),
        ("job/Churn-eu@12#3", "1-0fe"),
    ]
    assert all(replace(bench.inspect(c.name), started_at=c.started_at, restarts=0) == c for c in listed)


@on_every_engine
def test_inspect_of_nothing_is_none(bench: Bench) -> None:
    assert bench.runtime.inspect("sagespec_nobody") is None


@on_every_engine
def test_containers_of_other_projects_are_neither_seen_nor_touched(bench: Bench, project_name: str) -> None:
    name = bench.start()
    with bench.open(f"{project_name}-other") as other:
        assert other.containers() == ()
        assert other.inspect(name) is None
        other.stop(name, grace_seconds=0)
        other.remove(name)
        assert list(other.logs(name)) == []
        for touch in (
            lambda: other.start(name),
            lambda: other.write(name, {"a": b""}),
            lambda: other.fetch(name, 1, ["/"]),
        ):
            with pytest.raises(WorldError):
                touch()
        other.destroy()
    assert bench.inspect(name).state is ContainerState.RUNNING


# -- programs --------------------------------------------------------------------------------------


@on_every_engine
def test_prepare_gives_the_same_digest_each_time(bench: Bench) -> None:
    digests = {bench.runtime.prepare(Builtin("probe"), lambda _: None) for _ in range(2)}
    assert len(digests) == 1
    assert next(iter(digests))


@on_every_engine
def test_prepare_of_an_unknown_builtin_is_an_error_that_names_it(bench: Bench) -> None:
    with pytest.raises(WorldError, match="prob-e"):
        bench.runtime.prepare(Builtin("prob-e"), lambda _: None)


@on_every_engine
def test_images_names_the_builtins(bench: Bench) -> None:
    assert [image.name for image in bench.runtime.images() if image.digest] == ["probe"]


@on_every_engine
def test_checks_say_something_of_the_engine(bench: Bench) -> None:
    assert bench.runtime.checks()


# -- create and start ------------------------------------------------------------------------------


@on_every_engine
def test_created_is_not_started(bench: Bench) -> None:
    container = bench.inspect(bench.create())
    assert (container.state, container.exit_code, container.started_at) == (ContainerState.CREATED, None, None)


@on_every_engine
def test_a_second_create_leaves_the_first_as_it_is(bench: Bench) -> None:
    name = bench.create()
    bench.runtime.write(name, {"kept": b"1"})
    before = bench.inspect(name)
    bench.runtime.create([bench.launch(environment={"NEW": "1"}), bench.launch("other")])
    assert bench.inspect(name) == before
    assert bench.runtime.read(name, "kept") == b"1"
    assert len(bench.runtime.containers()) == 2


@on_every_engine
def test_a_second_create_leaves_a_running_one_running(bench: Bench) -> None:
    name = bench.start()
    before = bench.inspect(name)
    bench.runtime.create([bench.launch()])
    assert bench.inspect(name) == before


@on_every_engine
def test_start_says_when_and_a_second_start_changes_nothing(bench: Bench) -> None:
    name = bench.create(SLEEP, FOREVER)
    first = bench.runtime.start(name)
    assert first.state is ContainerState.RUNNING
    assert first.started_at is not None
    assert abs(first.started_at - datetime.now(UTC)) < timedelta(seconds=10)
    assert bench.runtime.start(name) == first


@on_every_engine
def test_starting_nothing_is_an_error(bench: Bench) -> None:
    with pytest.raises(WorldError, match="sagespec_nobody"):
        bench.runtime.start("sagespec_nobody")


@on_every_engine
@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_kept(bench: Bench, code: int) -> None:
    name = bench.run(f"raise SystemExit({code})", Behaviour(exit_code=code))
    assert bench.inspect(name).exit_code == code
    assert bench.runtime.saw_end(name)


@on_every_engine
def test_many_threads_may_use_one_runtime(bench: Bench) -> None:
    with ThreadPoolExecutor(6) as pool:
        names = list(pool.map(lambda number: bench.start(name=str(number)), range(6)))
        assert [c.state for c in bench.runtime.containers()] == [ContainerState.RUNNING] * 6
        list(pool.map(bench.runtime.remove, names))
    assert bench.runtime.containers() == ()


@on_real_engines
def test_death_by_a_signal_is_128_and_its_number(bench: Bench) -> None:
    script = "import os, subprocess; raise SystemExit(subprocess.run(['sh', '-c', 'kill -9 $$']).returncode + 128 + 18)"
    assert bench.inspect(bench.run(script)).exit_code == 137


@on_real_engines
@pytest.mark.parametrize("word", ["train", "serve"])
def test_the_program_gets_its_word_environment_and_tree(bench: Bench, word: str) -> None:
    script = """
import json, os, sys
(base / "seen").write_text(json.dumps([os.path.basename(sys.argv[0]), os.environ["GIVEN"], str(base)]))
"""
    given = "two words, 'quotes' = ü\nand a line"
    name = bench.run(script, command=word, environment={"GIVEN": given})
    assert json.loads(bench.file(name, "seen")) == [word, given, bench.runtime.base_dir(name)]


@on_real_engines
def test_the_hosts_of_a_job_reach_each_other(bench: Bench) -> None:
    """By alias where the engine has names, else by SM_MASTER_ADDR and SM_MASTER_PORT, as in the toolkit."""
    script = """
import os, socket, time
place = (os.environ.get("SM_MASTER_ADDR") or "algo-1", int(os.environ.get("SM_MASTER_PORT") or 7777))
if os.environ["RANK"] == "0":
    with socket.create_server(("", place[1])) as server:
        for _ in range(2):
            connection, _ = server.accept()
            print("from", connection.recv(100).decode())
else:
    for _ in range(200):
        try:
            connection = socket.create_connection(place, 5)
            break
        except OSError:
            time.sleep(0.05)
    connection.sendall(os.environ["RANK"].encode())
"""
    names = tuple(bench.launch(f"host{rank}").name for rank in range(3))
    launches = [
        bench.launch(f"host{rank}", alias=f"algo-{rank + 1}", hosts=names, environment={"RANK": str(rank)})
        for rank in range(3)
    ]
    bench.runtime.create(launches[:2])  # cut off, and done again
    bench.runtime.create(launches)
    for name in names:
        bench.runtime.write(name, {"script.py": script.encode()})
        bench.runtime.start(name)
    assert [bench.until(name, ContainerState.EXITED).exit_code for name in names] == [0, 0, 0]
    assert sorted(bench.runtime.logs(names[0])) == ["from 1", "from 2"]


@on_real_engines
def test_a_published_port_is_reached_from_outside(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    name = bench.start(SERVER, command="serve", address=GATEWAY, publish=("127.0.0.1", port))
    bench.file(name, "port")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/given", timeout=10) as response:
        assert response.read() == b"GET /given"


@on_real_engines
def test_what_is_started_outlives_a_killed_starter(bench: Bench, images: Path, tmp_path: Path) -> None:
    script = "print('begun'); import time; time.sleep(0.5); raise SystemExit(4)"
    name = bench.create(script)
    starter = """
import os, signal, sys
from pathlib import Path
kind, project_name, run, images, name = sys.argv[1:]
if kind == "docker":
    from sagespec.runtimes.docker.runtime import DockerRuntime
    runtime = DockerRuntime(project_name, Path(images))
else:
    from sagespec.runtimes.process.runtime import ProcessRuntime
    runtime = ProcessRuntime(project_name, Path(run), Path(images))
runtime.start(name)
os.killpg(os.getpgid(0), signal.SIGKILL)
"""
    arguments = [bench.runtime.name, bench.project_name, str(tmp_path / "run"), str(images), name]
    ended = subprocess.run([sys.executable, "-c", starter, *arguments], start_new_session=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    with bench.open(bench.project_name) as found_again:
        assert [c.name for c in found_again.containers()] == [name]
        assert list(found_again.logs(name, follow=True)) == ["begun"]
    assert bench.until(name, ContainerState.EXITED).exit_code == 4


# -- stop and remove -------------------------------------------------------------------------------


@on_every_engine
def test_stop_lets_the_program_end_by_itself(bench: Bench) -> None:
    script = """
import signal, sys, time
def end(*_):
    (base / "model.txt").write_text("kept")
    sys.exit(5)
signal.signal(signal.SIGTERM, end)
(base / "ready").write_text("1")
time.sleep(600)
"""
    behaviour = Behaviour(lasts=None, on_sigterm=5, files={"ready": b"1", "model.txt": b"kept"})
    name = bench.start(script, behaviour)
    bench.file(name, "ready")
    bench.runtime.stop(name, grace_seconds=20)
    container = bench.inspect(name)
    assert (container.state, container.exit_code) == (ContainerState.EXITED, 5)
    assert bench.runtime.read(name, "model.txt") == b"kept"


@on_every_engine
def test_stop_kills_who_ignores_it_after_the_grace(bench: Bench) -> None:
    script = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(base / "ready").write_text("1")
time.sleep(600)
"""
    name = bench.start(script, Behaviour(lasts=None, on_sigterm=None, files={"ready": b"1"}))
    bench.file(name, "ready")
    began = time.monotonic()
    bench.runtime.stop(name, grace_seconds=1)
    assert 0.9 < time.monotonic() - began < 10
    assert bench.inspect(name).exit_code == 137


@on_every_engine
def test_stop_of_what_does_not_run_is_fine(bench: Bench) -> None:
    bench.runtime.stop("sagespec_nobody", grace_seconds=5)
    created, exited = bench.create(name="a"), bench.run("raise SystemExit(3)", Behaviour(exit_code=3), name="b")
    for name in (created, exited, exited):
        bench.runtime.stop(name, grace_seconds=5)
    assert [c.state for c in bench.runtime.containers()] == [ContainerState.CREATED, ContainerState.EXITED]
    assert bench.inspect(exited).exit_code == 3


@on_every_engine
@in_every_state
def test_remove_leaves_nothing_and_may_be_repeated(bench: Bench, state: ContainerState) -> None:
    name = bench.in_state(state)
    bench.runtime.write(name, {"old": b"1"})
    bench.runtime.remove(name)
    bench.runtime.remove(name)
    assert bench.runtime.inspect(name) is None
    assert bench.runtime.containers() == ()
    bench.runtime.create([bench.launch()])
    assert bench.inspect(name).state is ContainerState.CREATED
    assert bench.runtime.read(name, "old") is None
    assert list(bench.runtime.logs(name)) == []


@on_every_engine
def test_destroy_may_be_repeated(bench: Bench) -> None:
    bench.runtime.remove(bench.create())
    bench.runtime.destroy()
    bench.runtime.destroy()
    assert bench.runtime.containers() == ()


# -- files -----------------------------------------------------------------------------------------


@on_every_engine
@in_every_state
def test_written_files_are_read_back_byte_for_byte(bench: Bench, state: ContainerState) -> None:
    name = bench.in_state(state)
    if state is not ContainerState.EXITED:
        bench.runtime.write(name, {"deep/down/bytes": EVERY_BYTE, "empty": b"", "deep/twice": b"1"})
        bench.runtime.write(name, {"deep/twice": b"22"})
        read = [bench.runtime.read(name, path) for path in ("deep/down/bytes", "empty", "deep/twice")]
        assert read == [EVERY_BYTE, b"", b"22"]
    assert bench.runtime.read(name, "missing") is None
    assert bench.runtime.read(name, "missing/file") is None


@on_real_engines
def test_a_watcher_sees_whole_files_only(bench: Bench) -> None:
    script = """
import time
torn = set()
(base / "ready").write_text("1")
while not (base / "enough").exists():
    content = (base / "watched").read_bytes()
    if len(content) != 500000 or len(set(content)) != 1:
        torn.add(len(content))
(base / "torn").write_text(str(sorted(torn)))
"""
    name = bench.create(script)
    bench.runtime.write(name, {"watched": b"0" * 500000})
    bench.runtime.start(name)
    bench.file(name, "ready")
    for digit in (b"1", b"2", b"3"):
        bench.runtime.write(name, {"watched": digit * 500000})
    bench.runtime.write(name, {"enough": b""})
    assert bench.file(name, "torn") == b"[]"


@on_every_engine
@pytest.mark.parametrize("state", [ContainerState.CREATED, ContainerState.RUNNING], ids=lambda state: state.value)
def test_put_copies_files_and_folders_and_merges(bench: Bench, state: ContainerState, tmp_path: Path) -> None:
    big = os.urandom(3_000_000)
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "big").write_bytes(big)
    (source / "every byte").write_bytes(EVERY_BYTE)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "far").write_bytes(b"far")
    (source / "folder").symlink_to(tmp_path / "linked")
    (source / "file").symlink_to(tmp_path / "linked" / "far")
    name = bench.in_state(state)
    bench.runtime.put(name, "input/data/train", source)
    bench.runtime.put(name, "input/data/train/sub/one", tmp_path / "linked" / "far")
    bench.runtime.put(name, "input/data/train/sub", tmp_path / "linked")
    assert members(bench.runtime.get(name, "input/data")) == {
        "train/every byte": EVERY_BYTE,
        "train/file": b"far",
        "train/folder/far": b"far",
        "train/sub/big": big,
        "train/sub/far": b"far",
        "train/sub/one": b"far",
    }
    (tmp_path / "linked" / "far").write_bytes(b"changed")
    assert bench.runtime.read(name, "input/data/train/sub/one") == b"far"


@on_real_engines
def test_what_is_put_belongs_to_the_program(bench: Bench, tmp_path: Path) -> None:
    """It may be changed in place without a trace at its source, and scripts stay executable."""
    (tmp_path / "data").write_bytes(b"before")
    (tmp_path / "data").chmod(0o444)
    (tmp_path / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "run.sh").chmod(0o755)
    script = """
import subprocess
(base / "data").write_text("after")
(base / "said").write_bytes(subprocess.run([base / "run.sh"], capture_output=True).stdout)
"""
    name = bench.create(script)
    for path in ("data", "run.sh"):
        bench.runtime.put(name, path, tmp_path / path)
    bench.runtime.start(name)
    bench.until(name, ContainerState.EXITED)
    assert bench.runtime.read(name, "said") == b"ran\n"
    assert bench.runtime.read(name, "data") == b"after"
    assert (tmp_path / "data").read_bytes() == b"before"


@on_every_engine
@pytest.mark.parametrize("state", [ContainerState.RUNNING, ContainerState.EXITED], ids=lambda state: state.value)
def test_get_gives_a_folder_as_tar_in_every_state(bench: Bench, state: ContainerState) -> None:
    script = """
import time
(base / "model" / "deep").mkdir(parents=True)
(base / "model" / "deep" / "bytes").write_bytes(bytes(range(256)))
(base / "model" / ("x" * 150)).write_text("long name")
(base / "model" / "ünïcode").write_text("name")
(base / "modelling").write_text("not of the folder")
(base / "ready").write_text("1")
"""
    files = {
        "model/deep/bytes": EVERY_BYTE,
        "model/" + "x" * 150: b"long name",
        "model/ünïcode": b"name",
        "modelling": b"not of the folder",
        "ready": b"1",
    }
    if state is ContainerState.RUNNING:
        name = bench.start(f"{script}\ntime.sleep(600)", Behaviour(lasts=None, files=files))
        bench.file(name, "ready")
    else:
        name = bench.run(script, Behaviour(files=files))
    assert members(bench.runtime.get(name, "model")) == {
        "deep/bytes": EVERY_BYTE,
        "x" * 150: b"long name",
        "ünïcode": b"name",
    }


@on_every_engine
def test_get_of_a_missing_folder_is_an_empty_tar(bench: Bench) -> None:
    assert members(bench.runtime.get(bench.create(), "missing")) == {}


@on_every_engine
def test_putting_into_nothing_or_from_nothing_is_an_error(bench: Bench, tmp_path: Path) -> None:
    name = bench.create()
    with pytest.raises(WorldError):
        bench.runtime.put("sagespec_nobody", "input", tmp_path)
    with pytest.raises(WorldError, match="absent"):
        bench.runtime.put(name, "input", tmp_path / "absent")


# -- mounts


@on_every_engine
def test_what_is_mounted_is_seen_beside_what_is_put(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "sub" / "a").write_bytes(EVERY_BYTE)
    (tmp_path / "data" / "b").write_bytes(b"b")
    assert bench.runtime.mounts(tmp_path / "data", "b") in ("read-only", "links")
    name = bench.create(mounts=(Mount("input/data/train", str(tmp_path / "data")),))
    bench.runtime.write(name, {"input/data/other": b"put"})
    assert bench.runtime.read(name, "input/data/train/sub/a") == EVERY_BYTE
    assert bench.runtime.read(name, "input/data/train/b") == b"b"
    assert bench.runtime.read(name, "input/data/other") == b"put"
    bench.runtime.remove(name)
    assert (tmp_path / "data" / "b").read_bytes() == b"b"


@on_real_engines
def test_a_program_reads_what_is_mounted_and_adds_nothing_to_it(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data" / "a").write_text("given")
    script = """
folder = base / "input/data/train"
(base / "said").write_text(" ".join(f"{path.name}:{path.read_text()}" for path in folder.iterdir()))
try:
    (folder / "new").write_text("added")
except OSError:
    pass
"""
    name = bench.run(script, mounts=(Mount("input/data/train", str(tmp_path / "data")),))
    assert bench.runtime.read(name, "said") == b"a:given"
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["a"]


@pytest.mark.docker
@pytest.mark.parametrize("bench", ["docker"], indirect=True)
def test_where_a_mount_is_read_only_no_file_can_be_written(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data" / "a").write_text("given")
    (tmp_path / "data" / "a").chmod(0o666)
    assert bench.runtime.mounts(tmp_path / "data", "a") == "read-only"
    script = 'open(base / "input/data/train/a", "w")'
    name = bench.run(script, mounts=(Mount("input/data/train", str(tmp_path / "data")),))
    assert bench.inspect(name).exit_code == 1
    assert "Read-only file system" in "".join(bench.runtime.logs(name))
    assert (tmp_path / "data" / "a").read_text() == "given"


@on_every_engine
def test_a_volume_is_shared_by_those_that_name_it_and_goes_with_the_last(bench: Bench) -> None:
    first = bench.create(name="a", mounts=(Mount("input/data", volume=f"sagespec_{bench.project_name}_v"),))
    second = bench.create(name="b", mounts=(Mount("pipes", volume=f"sagespec_{bench.project_name}_v"),))
    bench.runtime.write(first, {"input/data/word": b"shared"})
    assert bench.runtime.read(second, "pipes/word") == b"shared"
    bench.runtime.remove(first)
    assert bench.runtime.read(second, "pipes/word") == b"shared"
    bench.runtime.remove(second)
    third = bench.create(name="c", mounts=(Mount("pipes", volume=f"sagespec_{bench.project_name}_v"),))
    assert bench.runtime.read(third, "pipes/word") is None


@on_real_engines
def test_a_fifo_in_a_volume_leads_from_one_container_to_the_other(bench: Bench) -> None:
    volume = f"sagespec_{bench.project_name}_v"
    writer = """
import os
os.mkfifo(base / "pipes/train_0")
(base / "pipes/train_0").write_text("through the pipe")
"""
    reader = """
import time
while not (base / "input/data/train_0").exists():
    time.sleep(0.01)
(base / "said").write_text((base / "input/data/train_0").read_text())
"""
    bench.start(writer, name="a", mounts=(Mount("pipes", volume=volume),))
    name = bench.run(reader, name="b", mounts=(Mount("input/data", volume=volume),))
    assert bench.runtime.read(name, "said") == b"through the pipe"


def members(stream: Iterator[bytes]) -> dict[str, bytes]:
    """Name and content of the files in a tar."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}  # type: ignore[union-attr]


# -- what the engine has ---------------------------------------------------------------------------


@on_every_engine
def test_an_engine_knows_what_it_has(bench: Bench) -> None:
    capacity = bench.runtime.capacity()
    assert 0 < capacity.cpus <= 4096
    assert capacity.memory > 64 * 2**20
    assert bench.runtime.capacity() == capacity


@on_every_engine
def test_a_list_tells_what_containers_were_given(bench: Bench) -> None:
    bench.create(name="a", cpus=0.5, memory=256 * 2**20)
    bench.create(name="b")
    assert [(c.cpus, c.memory, c.gpus) for c in bench.runtime.containers()] == [
        (0.5, 256 * 2**20, ()),
        (None, None, ()),
    ]


@on_every_engine
def test_more_gpus_than_there_are_is_told_with_the_figures(bench: Bench) -> None:
    beyond = len(bench.runtime.capacity().gpus) + 1
    with pytest.raises(WorldError, match=rf"job/churn@1#0 needs {beyond} GPUs? of its own, and of {beyond - 1} there"):
        bench.create(gpus=beyond)
    assert bench.runtime.containers() == ()


# -- logs ------------------------------------------------------------------------------------------


@on_every_engine
def test_logs_are_lines_in_order_and_broken_text_is_replaced(bench: Bench) -> None:
    script = """
import sys
print("first")
sys.stdout.flush()
sys.stdout.buffer.write("grün \\xff\\n".encode("latin-1"))
print()
sys.stdout.buffer.write("zweiter Weg: ü\\n".encode())
sys.stdout.buffer.write(b"no newline")
"""
    lines = ["first", "gr\ufffdn \ufffd", "", "zweiter Weg: ü", "no newline"]
    name = bench.run(script, Behaviour(lines=lines))
    assert list(bench.runtime.logs(name)) == lines
    assert list(bench.runtime.logs(name)) == lines
    assert list(bench.runtime.logs(name, follow=True)) == lines


@on_real_engines
def test_logs_hold_both_streams(bench: Bench) -> None:
    script = "import os; os.write(1, b'out\\n'); os.write(2, b'error\\n')"
    assert sorted(bench.runtime.logs(bench.run(script))) == ["error", "out"]


@on_every_engine
@pytest.mark.parametrize("tail", [0, 1, 3, 1000, 1001])
def test_tail_gives_the_last_lines(bench: Bench, tail: int) -> None:
    lines = [f"line {number}" for number in range(1000)]
    name = bench.run("for number in range(1000): print('line', number)", Behaviour(lines=lines))
    assert list(bench.runtime.logs(name, tail=tail)) == lines[max(0, 1000 - tail) :]
    assert list(bench.runtime.logs(name, tail=tail, follow=True)) == lines[max(0, 1000 - tail) :]


@on_every_engine
def test_followed_logs_come_as_they_are_printed_and_end_with_the_container(bench: Bench) -> None:
    script = "import time; print('first'); time.sleep(0.7); print('last'); raise SystemExit(2)"
    name = bench.start(script, Behaviour(lines=["first"], lasts=0.7, last_lines=["last"], exit_code=2))
    lines = bench.runtime.logs(name, follow=True)
    assert next(lines) == "first"
    assert bench.inspect(name).state is ContainerState.RUNNING
    assert list(lines) == ["last"]
    assert bench.until(name, ContainerState.EXITED).exit_code == 2


@on_every_engine
@pytest.mark.parametrize("follow", [False, True])
def test_lines_keep_the_time_at_which_they_were_printed(bench: Bench, follow: bool) -> None:
    script = """
import pathlib, sys, time
(base / "begun").write_text(str(time.time()))
print("first")
time.sleep(0.7)
sys.stdout.write("la")
sys.stdout.flush()
time.sleep(0.3)
sys.stdout.write("st\\nno newline")
"""
    behaviour = Behaviour(lines=["first"], lasts=1.0, last_lines=["last", "no newline"])
    name = bench.start(script, behaviour)
    begun_at = time.time() if bench.engine else float(bench.file(name, "begun"))
    if not follow:
        bench.until(name, ContainerState.EXITED)
        time.sleep(0.3)  # whenever it is read, the times are those of the printing
    timed = list(bench.runtime.timed_logs(name, follow=follow))
    assert [line for _, line in timed] == ["first", "last", "no newline"]
    assert [at - begun_at for at, _ in timed] == pytest.approx([0.0, 1.0, 1.0], abs=0.25)
    assert list(bench.runtime.timed_logs(name, tail=1)) == timed[-1:]
    assert list(bench.runtime.timed_logs("sagespec_nobody")) == []


@on_every_engine
def test_following_ends_when_the_container_is_removed(bench: Bench) -> None:
    name = bench.start("import time; print('first'); time.sleep(600)", Behaviour(lines=["first"], lasts=None))
    lines = bench.runtime.logs(name, follow=True)
    assert next(lines) == "first"
    bench.runtime.remove(name)
    assert list(lines) == []


@on_every_engine
def test_there_are_no_logs_of_nothing_and_none_before_the_start(bench: Bench) -> None:
    assert list(bench.runtime.logs("sagespec_nobody", follow=True)) == []
    assert list(bench.runtime.logs(bench.create())) == []


# -- fetch and events ------------------------------------------------------------------------------

SERVER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        body = f"{self.command} {self.path}".encode()
        self.send_response(503 if self.path == "/busy" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
host = os.environ.get("SAGEMAKER_BIND_TO_HOST", "0.0.0.0")
server = HTTPServer((host, int(os.environ.get("SAGEMAKER_BIND_TO_PORT", 8080))), Handler)
admin = HTTPServer(("127.0.0.1", 0), Handler)
(base / "port.new").write_text(str(admin.server_port))
(base / "port.new").rename(base / "port")
import threading
threading.Thread(target=admin.serve_forever, daemon=True).start()
server.serve_forever()
"""


@on_every_engine
def test_fetch_asks_the_gateway_from_within(bench: Bench) -> None:
    answers = {"/a?b=c": b"GET /a?b=c", "/d": b"GET /d"}
    behaviour = Behaviour(lasts=None, files={"port": b"9901"}, answers=answers)
    name = bench.start(SERVER, behaviour, command="serve", address=GATEWAY)
    port = int(bench.file(name, "port"))
    assert bench.runtime.fetch(name, port, ["/a?b=c", "/d"]) == [b"GET /a?b=c", b"GET /d"]
    assert bench.runtime.fetch(name, port, []) == []
    with pytest.raises(WorldError, match="/busy"):
        bench.runtime.fetch(name, port, ["/a?b=c", "/busy"])


@on_every_engine
def test_fetch_posts(bench: Bench) -> None:
    behaviour = Behaviour(lasts=None, files={"port": b"9901"}, answers={"/drain": b"POST /drain"})
    name = bench.start(SERVER, behaviour, command="serve", address=GATEWAY)
    port = int(bench.file(name, "port"))
    assert bench.runtime.fetch(name, port, ["/drain"], post=True) == [b"POST /drain"]


@on_every_engine
def test_fetch_of_what_does_not_listen_is_an_error(bench: Bench) -> None:
    created = bench.create(command="serve", address=GATEWAY)
    with pytest.raises(WorldError):
        bench.runtime.fetch(created, 9901, ["/stats"])
    silent = bench.start(name="b", command="serve", address=GATEWAY)
    with pytest.raises(WorldError, match="/stats"):
        bench.runtime.fetch(silent, 9901, ["/stats"])


@on_every_engine
def test_events_name_what_starts_dies_and_goes(bench: Bench) -> None:
    quick, slow = bench.create(name="a"), bench.create(SLEEP, FOREVER, name="b")
    with bench.runtime.events() as events:
        bench.runtime.start(quick)
        assert next(events) == quick
        bench.until(quick, ContainerState.EXITED)
        bench.runtime.start(slow)
        assert next(name for name in events if name == slow)
        bench.runtime.remove(slow)
        assert next(name for name in events if name == slow)


@on_every_engine
def test_leaving_the_events_ends_a_waiting_reader(bench: Bench) -> None:
    got: list[str] = []
    with bench.runtime.events() as events:
        reader = threading.Thread(target=lambda: got.extend(events))
        reader.start()
        time.sleep(0.1)  # so that it waits already
    reader.join(10)
    assert not reader.is_alive()
    assert got == []
