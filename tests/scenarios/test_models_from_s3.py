"""Models are copied from one store in S3 to another: what a kill has broken off is done again, and checked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from sagespec.project import Project
from sagespec.records.records import Records
from sagespec.state.addresses import job_address
from sagespec.stores.open import open_store
from tests.contracts.servers import S3Server, s3_server
from tests.scenarios.specs import job
from tests.scenarios.workspace import REPOSITORY, Workspace

pytestmark = pytest.mark.s3
DRIVER = Path(__file__).with_name("killed_apply.py")
HEAD = "apiVersion: sagespec/v1\nkind: Environment\n"
ONE, TWO = job_address("model", 1), job_address("model", 2)


@pytest.fixture(params=["rclone", "moto"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with s3_server(request.param, folder=tmp_path / "s3") as running:
        running.activate(monkeypatch)
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="acme-prod")
        yield running


@pytest.mark.slow
def test_a_model_gets_from_store_to_store_whatever_kills_its_copy(
    server: S3Server, tmp_path: Path, project_name: str
) -> None:
    team = Workspace(tmp_path / "project", project_name, "process")
    (team.root / "environments").mkdir()
    team.write(f"{HEAD}name: staging\nproject: {{store: {server.uri}/staging}}\n", "environments/staging.yaml")
    prod_file = f"{HEAD}name: prod\nproject: {{store: 's3://acme-prod/models'}}\nmodels_from: staging\njobs: never\n"
    team.write(prod_file, "environments/prod.yaml")
    team.write(job(1) + job(2))
    with Project(team.root, environment="staging") as staging, Project(team.root, environment="prod") as prod:
        assert staging.apply().ok
        there, here = staging.parts.records, prod.parts.records
        trained = there.manifests([ONE, TWO])

        for die_at in (2, 4):
            killed = subprocess.run(
                [sys.executable, str(DRIVER), str(team.root), str(die_at)],
                env={**os.environ, "SAGESPEC_ENV": "prod", "PYTHONPATH": str(REPOSITORY)},
                check=False,
            )
            assert killed.returncode == -signal.SIGKILL
            assert here.manifests([ONE, TWO]) == {}, "which is written last"
        key, content = there.job_key(TWO, "model.tar.gz"), b"not what was trained"
        was, _ = there.store.read(key) or (b"", "")
        there.store.write(key, content)
        refused = prod.apply(check=False)
        assert "model.tar.gz" in str(refused)
        assert set(here.manifests([ONE, TWO])) == {ONE}, "what is not what the manifest says is no model"

        there.store.write(key, was)
        assert prod.apply().ok
        copied = Records(open_store("s3://acme-prod/models"), f"{project_name}-prod").manifests([ONE, TWO])
        for address, manifest in copied.items():
            assert manifest.artifacts == trained[address].artifacts
            assert manifest.promoted_from
            assert manifest.promoted_from.store == f"{server.uri}/staging"
            for artifact in manifest.artifacts.values():
                here.store.download(here.job_key(address, artifact.key), tmp_path / "copy", sha256=artifact.sha256)
        assert set(copied) == {ONE, TWO}
        assert prod.plan().actions == ()
