"""How data reach the containers, on real engines: files, read-only views, pipes; and what is fetched only once."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import shutil
import socketserver
import struct
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.stores.open import open_store
from tests.contracts.servers import Kind, metered, s3_server
from tests.scenarios.test_s3_store import pump
from tests.scenarios.workspace import Workspace

PARTS = {f"part-{number}.csv": bytes([48 + number]) * 10**number for number in range(5)}  # a sum tells which


def job(version: int, channels: str, *, instances: int = 1, **hyperparameters: str | float) -> str:
    return f"""\
---
apiVersion: sagespec/v1
kind: TrainingJob
name: model
version: {version}
algorithm: echo
instances: {instances}
hyperparameters: {json.dumps(hyperparameters)}
channels: {channels}
"""


def put_parts(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, content in PARTS.items():
        (folder / name).write_bytes(content)


def manifest(workspace: Workspace, version: int) -> Manifest:
    with workspace.project() as project:
        return project.manifest(job_address("model", version))


def record(workspace: Workspace, version: int) -> dict[str, Any]:
    """What the job of the first host wrote down."""
    content = workspace.records().store.read(f"{workspace.name}/jobs/model/{version}/model.tar.gz")
    assert content is not None
    with tarfile.open(fileobj=io.BytesIO(content[0])) as tar:
        member = tar.extractfile("echo.json")
        assert member is not None
        return dict(json.load(member))


def files(record: Mapping[str, Any], channel: str) -> dict[str, str]:
    """Hash by path of what a job saw below a channel's folder."""
    begin = f"data/{channel}/"
    found = {path: facts["sha256"] for path, facts in record["input"].items()}
    return {path.removeprefix(begin): sha256 for path, sha256 in found.items() if path.startswith(begin)}


def hashes(*names: str) -> dict[str, str]:
    return {name: hashlib.sha256(PARTS[name]).hexdigest() for name in names}


def sizes(workspace: Workspace, version: int, host: str) -> list[int]:
    """How many bytes each epoch of `train` had on a host."""
    log = workspace.records().store.read(f"{workspace.name}/jobs/model/{version}/logs/{host}.log")
    assert log is not None
    return [int(size) for size in re.findall(r"train epoch \d+: (\d+) bytes", log[0].decode())]


def assert_nothing_left(workspace: Workspace) -> None:
    assert workspace.containers() == ()
    left = [*(workspace.root / ".sagespec" / "channels").glob("*"), *workspace.root.rglob(".volume-*")]
    assert left == []
    if workspace.runtime == "docker":
        import docker

        client = docker.DockerClient.from_env(version="auto").api
        try:
            assert client.volumes(filters={"name": f"sagespec_{workspace.name}_"})["Volumes"] in (None, [])
        finally:
            client.close()


def test_files_are_seen_where_sagemaker_has_them_and_the_users_own_stay_as_they_are(workspace: Workspace) -> None:
    put_parts(workspace.root / "data" / "parts" / "sub")
    (workspace.root / "data" / "listed").write_text('[{"prefix": "parts/"}, "sub/part-3.csv", "sub/part-1.csv"]')
    channels = """{
      file: ../data/parts, fast: {source: ../data/parts, input_mode: fastfile}, one: ../data/parts/sub/part-2.csv,
      own: {source: ../data/parts, writable: true}, listed: {source: ../data/listed, data_type: manifest}}"""
    workspace.write(
        job(1, channels, write_to="data/file/sub/part-0.csv")
        + job(2, channels, write_to="data/own/sub/part-0.csv")
        + job(3, channels, write_to="data/fast/new.csv")
    )
    workspace.run("apply")

    seen = record(workspace, 1)
    everything = {f"sub/{name}": sha256 for name, sha256 in hashes(*PARTS).items()}
    assert files(seen, "fast") == everything
    assert files(seen, "one") == hashes("part-2.csv")
    assert files(seen, "listed") == {
        f"sub/{name}": sha256 for name, sha256 in hashes("part-1.csv", "part-3.csv").items()
    }
    assert "data/listed-manifest" in seen["input"]
    assert files(seen, "file") == everything
    assert seen["inputdataconfig"]["fast"]["TrainingInputMode"] == "FastFile"
    read_only = workspace.runtime == "docker"
    assert seen["written"] == ("Read-only file system" if read_only else "written")
    assert record(workspace, 2)["written"] == "written"
    assert record(workspace, 3)["written"] == ("Read-only file system" if read_only else "written")
    for name, content in PARTS.items():
        assert (workspace.root / "data" / "parts" / "sub" / name).read_bytes() == content
    assert sorted(path.name for path in (workspace.root / "data" / "parts").iterdir()) == ["sub"]
    assert_nothing_left(workspace)


def test_pipes_give_each_epoch_to_one_reader(workspace: Workspace) -> None:
    """In order, unpacked, as records, read only in part; and a channel that nobody opens disturbs nobody."""
    put_parts(workspace.root / "data" / "parts")
    (workspace.root / "data" / "packed").mkdir()
    for name, content in PARTS.items():
        (workspace.root / "data" / "packed" / f"{name}.gz").write_bytes(gzip.compress(content))
    channels = """{
      train: {source: ../data/parts, input_mode: pipe},
      packed: {source: ../data/packed, input_mode: pipe, compression: gzip},
      wrapped: {source: ../data/packed, input_mode: pipe, compression: gzip, record_wrapper: recordio},
      unread: {source: ../data/parts, input_mode: pipe}, file: ../data/parts}"""
    pipes = "train=3 packed=1 wrapped=1"
    workspace.write(job(1, channels, read_pipes=pipes) + job(2, channels, read_pipes="train=3", first_bytes=3))
    workspace.run("apply")

    seen = record(workspace, 1)
    in_order = b"".join(PARTS.values())
    whole = hashlib.sha256(in_order).hexdigest()
    assert [epoch["sha256"] for epoch in seen["pipes"]["train"]] == [whole] * 3
    assert [epoch["sha256"] for epoch in seen["pipes"]["packed"]] == [whole]
    records = b"".join(
        struct.pack("<II", 0xCED7230A, len(content)) + content + bytes(-len(content) % 4) for content in PARTS.values()
    )
    assert [epoch["sha256"] for epoch in seen["pipes"]["wrapped"]] == [hashlib.sha256(records).hexdigest()]
    assert all(epoch["is_fifo"] for epochs in seen["pipes"].values() for epoch in epochs)
    assert files(seen, "file") == hashes(*PARTS)
    assert seen["inputdataconfig"]["wrapped"]["RecordWrapperType"] == "RecordIO"
    partly = record(workspace, 2)["pipes"]["train"]
    assert [base64.b64decode(epoch["begin"]) for epoch in partly][::2] == [in_order[:3]] * 2
    assert partly[1]["sha256"] == whole
    assert_nothing_left(workspace)


def test_two_hosts_share_the_objects_and_a_seed_deals_them_anew_each_epoch(workspace: Workspace) -> None:
    put_parts(workspace.root / "data" / "parts")
    sharded = "{train: {source: ../data/parts, input_mode: pipe, distribution: sharded%s}}"
    workspace.write(
        job(1, sharded % "", instances=2, read_pipes="train=2")
        + job(2, sharded % ", shuffle_seed: 1", instances=2, read_pipes="train=3")
    )
    workspace.run("apply")

    assert (sizes(workspace, 1, "algo-1"), sizes(workspace, 1, "algo-2")) == ([10101] * 2, [1010] * 2)
    first, second = sizes(workspace, 2, "algo-1"), sizes(workspace, 2, "algo-2")
    assert [one + other for one, other in zip(first, second, strict=True)] == [11111] * 3
    assert len(set(first)) > 1
    assert manifest(workspace, 1).exit_codes == {"algo-1": 0, "algo-2": 0}
    assert manifest(workspace, 1).inputs["train"].objects == 5
    assert_nothing_left(workspace)


def test_pipes_go_on_when_sagespec_is_killed(workspace: Workspace) -> None:
    put_parts(workspace.root / "data" / "parts")
    workspace.write(job(1, "{train: {source: ../data/parts, input_mode: pipe}}", read_pipes="train=4", epoch_pause=0.7))
    with workspace.running("apply") as first:
        assert first.stdout is not None
        assert any("train epoch 0" in line for line in first.stdout)
    assert {"job/model@1#0", "job/model@1/feeder#0"} == workspace.names().keys()
    assert "job/model@1  running" in workspace.run("status").stdout
    planned = workspace.run("plan").stdout
    assert "picked up" in planned, planned
    workspace.run("apply")
    assert sizes(workspace, 1, "algo-1") == [11111] * 4
    assert manifest(workspace, 1).status is JobStatus.COMPLETED
    assert_nothing_left(workspace)


def test_a_feeder_that_dies_fails_the_job_as_the_platforms_fault(workspace: Workspace) -> None:
    put_parts(workspace.root / "data" / "parts")
    workspace.write(
        job(1, "{train: {source: ../data/parts, input_mode: pipe}}", read_pipes="train=100", epoch_pause=0.3)
        + "retries: 0\n"
    )
    with workspace.running("apply") as applying:
        assert applying.stdout is not None
        assert any("train epoch 0" in line for line in applying.stdout)
        with workspace.engine() as engine:
            engine.stop(workspace.names()["job/model@1/feeder#0"], grace_seconds=5)
        applying.communicate(timeout=120)
    found = manifest(workspace, 1)
    assert found.status is JobStatus.FAILED
    assert found.reason.startswith("InternalServerError: job/model@1/feeder#0, which feeds the pipes, exited"), found
    assert_nothing_left(workspace)


def test_what_cannot_be_fed_is_told_by_channel_and_object(workspace: Workspace) -> None:
    put_parts(workspace.root / "data" / "parts")
    channels = "{train: {source: ../data/parts, input_mode: pipe, compression: gzip}}"
    workspace.write(job(1, channels, read_pipes="train=2"))
    workspace.run("apply", code=1)
    assert manifest(workspace, 1).reason == "ClientError: channel train: part-0.csv cannot be unpacked: " + (
        "Not a gzipped file (b'0')"
    )
    assert_nothing_left(workspace)


@pytest.mark.s3
def test_a_second_job_fetches_nothing_that_the_first_had(workspace: Workspace, tmp_path: Path) -> None:
    kind: Kind = "moto" if workspace.runtime == "docker" else "rclone"
    with s3_server(kind, folder=tmp_path / "s3") as server, metered(server) as meter:
        workspace.environment = dict(meter.server.environment)
        with workspace.project():
            store = open_store(f"{server.uri}/in")
            for name, content in PARTS.items():
                store.write(name, content)
        inside_names = f"{{source: '{server.uri}/in/part-', input_mode: pipe}}"  # of the same objects
        file, pipe = f"{{train: {{source: '{server.uri}/in/'}}}}", f"{{train: {inside_names}}}"
        workspace.write(job(1, file))
        workspace.run("apply")
        assert len(meter.fetches) == len(PARTS)
        meter.reset()
        workspace.write(job(1, file) + job(2, pipe, read_pipes="train=1"), "specs/all.yaml")
        workspace.run("apply")
        assert meter.fetches == []
    assert files(record(workspace, 1), "train") == hashes(*PARTS)
    assert sizes(workspace, 2, "algo-1") == [11111]
    assert manifest(workspace, 1).inputs["train"].fingerprint == manifest(workspace, 2).inputs["train"].fingerprint
    assert_nothing_left(workspace)


@contextmanager
def engine_over_tcp() -> Iterator[str]:
    """The local engine's socket at a TCP address, as a remote engine would be."""
    import socket

    class Pass(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect("/var/run/docker.sock")
                back = threading.Thread(target=pump, args=(engine, self.request), daemon=True)
                back.start()
                pump(self.request, engine)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pass) as listener:
        listener.daemon_threads = True
        listener.block_on_close = False
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        yield f"tcp://127.0.0.1:{listener.server_address[1]}"
        listener.shutdown()


@pytest.mark.docker
def test_to_a_remote_engine_everything_is_copied(tmp_path: Path, project_name: str, evidence: Path) -> None:
    assert evidence.is_dir()
    with engine_over_tcp() as address:
        workspace = Workspace(tmp_path / "project", project_name, "docker", environment={"DOCKER_HOST": address})
        put_parts(workspace.root / "data" / "parts")
        channels = "{file: ../data/parts, train: {source: ../data/parts, input_mode: pipe}}"
        workspace.write(job(1, channels, read_pipes="train=2", write_to="data/file/part-0.csv"))
        workspace.run("apply")
        seen = record(workspace, 1)
        assert seen["written"] == "written", "a copy, not a mount"
        assert files(seen, "file") == hashes(*PARTS)
        assert sizes(workspace, 1, "algo-1") == [11111] * 2
        assert_nothing_left(workspace)
        workspace.run("destroy", "--yes")
        shutil.rmtree(workspace.root)
