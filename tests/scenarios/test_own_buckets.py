"""Buckets of the project's own as sources: without a server, a key or a copy; and what is said where there is none."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from sagespec.buckets.layout import Layout, folder_of
from sagespec.buckets.writing import incoming, make_bucket, put
from sagespec.inputs.channels import contents_of, input_of
from sagespec.state.desired import DesiredChannel
from sagespec.stores.open import open_store
from tests.contracts.servers import s3_server
from tests.scenarios.test_channels import PARTS, assert_nothing_left, files, hashes, job, manifest, record
from tests.scenarios.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CODE = """
kind: TrainingJob
name: scripted
version: 1
framework: sklearn
entry_point: train.py
source_dir: s3://demo/code/sourcedir.tar.gz
channels: {train: s3://demo/parts/}
"""
SCRIPT = """
import os, pathlib
found = sorted(path.name for path in pathlib.Path(os.environ["SM_CHANNEL_TRAIN"]).iterdir())
pathlib.Path(os.environ["SM_MODEL_DIR"], "seen").write_text(" ".join(found))
"""


def fill(root: Path, objects: dict[str, bytes]) -> None:
    layout = Layout(folder_of(root))
    make_bucket(layout, "demo")
    for key, data in objects.items():
        with incoming(layout) as content:
            content.stream.write(data)
            put(layout, "demo", key, content, etag=hashlib.md5(data, usedforsecurity=False).hexdigest())


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address and no keys, so that any attempt to reach S3 fails."""
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_channels_are_read_where_they_lie(workspace: Workspace, no_aws: None) -> None:
    fill(workspace.root, {f"parts/{name}": content for name, content in PARTS.items()})
    fill(workspace.root, {"odd/": b"", "odd/part-0.csv": PARTS["part-0.csv"], "list": b'[{"prefix": "s3://demo/parts/"}, "part-3.csv"]'})  # fmt: skip  # noqa: E501
    channels = """{file: s3://demo/parts, fast: {source: s3://demo/parts/, input_mode: fastfile},
      one: s3://demo/parts/part-2.csv, begins: s3://demo/parts/part-, odd: s3://demo/odd/,
      listed: {source: s3://demo/list, data_type: manifest}, own: {source: s3://demo/parts, writable: true}}"""
    workspace.write(job(1, channels, write_to="data/own/part-0.csv"))

    workspace.run("apply")

    seen = record(workspace, 1)
    for name in ("file", "fast", "begins", "own"):
        assert files(seen, name) == hashes(*PARTS)
    assert files(seen, "one") == hashes("part-2.csv")
    assert files(seen, "odd") == hashes("part-0.csv")
    assert files(seen, "listed") == hashes("part-3.csv")
    assert not (workspace.root / ".sagespec" / "cache").exists()  # nothing was fetched
    bucket = workspace.root / ".sagespec" / "s3" / "demo"
    assert {path.name: path.read_bytes() for path in (bucket / "parts").iterdir()} == PARTS
    assert workspace.json("plan")["actions"] == []
    assert_nothing_left(workspace)
    read = manifest(workspace, 1).inputs["file"]
    channel = DesiredChannel("file", "s3://demo/parts")
    assert (read.source, read.objects) == ("s3://demo/parts", len(PARTS))
    assert input_of(channel, contents_of(channel, workspace.root)).fingerprint == read.fingerprint


def test_a_script_may_lie_in_one(workspace: Workspace, no_aws: None) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(SCRIPT)
        tar.addfile(member, io.BytesIO(SCRIPT.encode()))
    fill(workspace.root, {"code/sourcedir.tar.gz": archive.getvalue(), "parts/a.csv": b"1"})
    workspace.write(f"apiVersion: sagespec/v1{CODE}")

    workspace.run("apply")

    model = workspace.records().store.read(f"{workspace.name}/jobs/scripted/1/model.tar.gz")
    assert model is not None
    with tarfile.open(fileobj=io.BytesIO(model[0])) as tar:
        seen = tar.extractfile("seen")
        assert seen is not None
        assert seen.read() == b"a.csv"
    assert workspace.json("plan")["actions"] == []


def test_data_count_as_the_same_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec's key does not tell which way its bucket was read, and neither does the fingerprint of its data."""
    root = tmp_path / "project"
    with s3_server("ours", bucket="demo", folder=folder_of(root)) as server:
        server.activate(monkeypatch)
        s3: S3Client = boto3.session.Session(region_name="us-east-1").client("s3", endpoint_url=server.endpoint)
        (tmp_path / "big").write_bytes(b"x" * (9 << 20))
        s3.upload_file(str(tmp_path / "big"), "demo", "data/big")  # in parts: its ETag is no MD5
        s3.put_object(Bucket="demo", Key="data/a.csv", Body=b"1")
        near = open_store("s3://demo/data", root=root, create=False)
        far = open_store("s3://demo/data", create=False)

        assert type(near) is not type(far)
        assert near.entries() == far.entries()
        assert near.uri == far.uri


def test_a_bucket_that_is_missing_is_told_with_the_folder_it_would_be(workspace: Workspace, no_aws: None) -> None:
    workspace.write(job(1, "{train: s3://demo/parts}"))

    said = workspace.run("apply", code=None)

    folder = workspace.root.resolve() / ".sagespec" / "s3" / "demo"
    assert said.returncode != 0
    assert f"if it is meant to be a bucket of this project, make the folder {folder}" in " ".join(
        (said.stdout + said.stderr).split()
    )
