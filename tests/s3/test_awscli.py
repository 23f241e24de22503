"""The AWS CLI, as it is: `aws s3` and the parts of `aws s3api` that people use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests import sdks

pytestmark = pytest.mark.mlflow


def aws(url: str, *arguments: str, code: int = 0) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }
    program = sdks.python("mlflow").with_name("aws")
    ended = subprocess.run(
        [sdks.python("mlflow"), program, *arguments], env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == code, ended.stderr
    return ended.stdout + ended.stderr


def test_files_and_folders_go_up_are_synced_and_come_back(url: str, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    (source / "deep").mkdir(parents=True)
    (source / "a b.csv").write_text("1,2")
    (source / "deep" / "big").write_bytes(os.urandom(1 << 20) * 20)

    aws(url, "s3", "mb", "s3://cli-bucket")
    aws(url, "s3", "sync", str(source), "s3://cli-bucket/data")
    assert aws(url, "s3", "sync", str(source), "s3://cli-bucket/data") == ""  # nothing has changed
    assert "PRE deep/" in aws(url, "s3", "ls", "s3://cli-bucket/data/")
    aws(url, "s3", "cp", "s3://cli-bucket/data/deep/big", "s3://cli-bucket/copy")
    aws(url, "s3", "mv", "s3://cli-bucket/copy", "s3://cli-bucket/moved")
    aws(url, "s3", "cp", "--recursive", "s3://cli-bucket/", str(back))
    assert (back / "data" / "a b.csv").read_text() == "1,2"
    for name in ("data/deep/big", "moved"):
        assert (back / name).read_bytes() == (source / "deep" / "big").read_bytes()
    assert "BucketNotEmpty" in aws(url, "s3", "rb", "s3://cli-bucket", code=1)
    aws(url, "s3", "rb", "--force", "s3://cli-bucket")
    assert "404" in aws(url, "s3api", "head-bucket", "--bucket", "cli-bucket", code=255)
