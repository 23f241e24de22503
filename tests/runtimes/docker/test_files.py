"""Files in and out of containers of a real engine."""

from __future__ import annotations

import io
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.launches import Launch
from tests.runtimes.docker.probe import run, until

pytestmark = pytest.mark.docker


def test_put_follows_links_and_keeps_what_may_be_executed(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "deep" / "empty").mkdir(parents=True)
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o700)
    (source / "secret").write_text("s")
    (source / "secret").chmod(0o600)
    (tmp_path / "outside").write_text("linked")
    (source / "deep" / "link").symlink_to(tmp_path / "outside")
    (source / ("ü" * 60)).write_text("named")
    (launch,) = a_job("cd /opt/ml/input/data/train; find . -mindepth 1 -printf '%y %m %U %P\\n' | sort")
    runtime.create([launch])
    runtime.put(launch.name, "input/data/train", source)
    runtime.start(launch.name)
    assert list(runtime.logs(launch.name, follow=True))[1:] == [
        "d 755 0 deep",
        "d 755 0 deep/empty",
        "f 644 0 deep/link",
        "f 644 0 secret",
        f"f 644 0 {'ü' * 60}",
        "f 755 0 run",
    ]
    assert runtime.read(launch.name, "input/data/train/deep/link") == b"linked"


def test_put_says_which_file_could_not_be_read(
    runtime: DockerRuntime, a_server: Callable[..., Launch], tmp_path: Path
) -> None:
    runtime.create([a_server()])
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "again").symlink_to(tmp_path / "loop")
    with pytest.raises(WorldError, match=r"cannot read .*dangling: No such file"):
        runtime.put(a_server().name, "model", tmp_path / "dangling")
    with pytest.raises(WorldError, match="again is a link to a folder that contains it"):
        runtime.put(a_server().name, "model", tmp_path / "loop")
    assert runtime.inspect(a_server().name)


def test_large_files_pass_through_without_being_held(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]], tmp_path: Path
) -> None:
    size = 200 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
        file.write(b"begin")
        file.seek(size - 3)
        file.write(b"end")
    (launch,) = a_job("true")
    runtime.create([launch])
    tracemalloc.start()
    runtime.put(launch.name, "model/large", tmp_path / "large")
    received = sum(len(piece) for piece in runtime.get(launch.name, "model"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received > size
    assert peak < 20 << 20


def test_get_is_relative_to_the_folder_whatever_the_names(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    long = "n" * 120
    (launch,) = a_job(
        f"mkdir -p /data/real/sub; cd /data/real; echo one > sub/{long}; ln sub/{long} hard; ln -s sub/{long} soft; "
        "mkdir -p /opt/ml; ln -s /data/real /opt/ml/model"
    )
    run(runtime, launch)
    with tarfile.open(fileobj=io.BytesIO(b"".join(runtime.get(launch.name, "model")))) as archive:
        names = sorted(archive.getnames())
        assert names == ["hard", "soft", "sub", f"sub/{long}"]
        assert {archive.extractfile(name).read() for name in ("hard", f"sub/{long}")} == {b"one\n"}  # type: ignore[union-attr]
        assert archive.getmember("soft").linkname == f"sub/{long}"


def test_get_of_nothing_is_an_empty_tar(runtime: DockerRuntime, a_job: Callable[..., list[Launch]]) -> None:
    (launch,) = a_job("true")
    runtime.create([launch])
    with tarfile.open(fileobj=io.BytesIO(b"".join(runtime.get(launch.name, "model")))) as archive:
        assert archive.getnames() == []


def test_read_gives_a_file_in_any_state_and_none_where_there_is_none(
    runtime: DockerRuntime, a_server: Callable[..., Launch]
) -> None:
    launch = a_server("cd /opt/ml/output; ln -s /opt/ml/output/failure link; touch linked; exec sleep 100")
    runtime.create([launch])
    runtime.write(launch.name, {"output/failure": b"why\x00"})
    assert runtime.read(launch.name, "output/failure") == b"why\x00"
    runtime.start(launch.name)
    until(lambda: runtime.read(launch.name, "output/linked") == b"")
    assert runtime.read(launch.name, "output/link") is None, "what a container left is not followed anywhere"
    runtime.stop(launch.name, grace_seconds=0)
    assert runtime.read(launch.name, "output/failure") == b"why\x00"
    assert runtime.read(launch.name, "output/success") is None
    assert runtime.read(launch.name, "output") is None


WATCH = """
import ctypes, os, struct
libc = ctypes.CDLL(None)
watch = libc.inotify_init()
os.makedirs("/opt/ml/xds")
libc.inotify_add_watch(watch, b"/opt/ml/xds", 0x80)  # IN_MOVED_TO, the event that Envoy waits for
print("watching", flush=True)
while True:
    data = os.read(watch, 4096)
    while data:
        (size,) = struct.unpack_from("I", data, 12)
        name = data[16 : 16 + size].rstrip(b"\\0").decode()
        print(name, open("/opt/ml/xds/" + name).read(), flush=True)
        data = data[16 + size :]
"""


def test_write_in_a_running_container_moves_whole_files_into_place_in_order(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any
) -> None:
    launch = a_server(environment={"SCRIPT": 'exec python3 -c "$WATCH"', "WATCH": WATCH})
    runtime.create([launch])
    runtime.start(launch.name)
    until(lambda: "watching" in list(runtime.logs(launch.name)))
    runtime.write(launch.name, {"xds/b.json": b"1", "xds/a.json": b"2"})
    runtime.write(launch.name, {"xds/b.json": b"3"})
    until(lambda: len(list(runtime.logs(launch.name))) == 5)
    assert list(runtime.logs(launch.name))[2:] == ["b.json 1", "a.json 2", "b.json 3"]
    inside = docker_client.exec_create(launch.name, ["ls", "-A", "/opt/ml/xds"])["Id"]
    assert docker_client.exec_start(inside) == b"a.json\nb.json\n"
