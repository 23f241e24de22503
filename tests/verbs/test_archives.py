"""Archives of the user's own in S3 go by their whole names; only a channel's prefix may end inside one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.errors import SagespecError
from sagespec.project import Project
from sagespec.stores.open import open_store
from tests.contracts.servers import s3_server

CODE = """
kind: TrainingJob
name: churn
version: 1
framework: sklearn
entry_point: train.py
source_dir: {uri}
"""
MODEL = """
kind: Endpoint
name: churn
variants:
  - {{name: only, model: {uri}, algorithm: xgboost}}
"""


@pytest.mark.s3
@pytest.mark.parametrize(("spec", "name"), [(CODE, "sourcedir.tar.gz"), (MODEL, "model.tar.gz")], ids=["code", "model"])
def test_the_object_beside_an_archive_is_never_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, name: str
) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "sagespec.yaml").write_text("apiVersion: sagespec/v1\nkind: Project\nname: demo\n")
    with s3_server("moto") as server, Project(tmp_path, runtime="process") as project:
        server.activate(monkeypatch)
        uri = f"{server.uri}/{name}"
        (tmp_path / "specs" / "one.yaml").write_text("apiVersion: sagespec/v1" + spec.format(uri=uri))
        open_store(server.uri).write(f"{name}.sha256", b"of another")
        with pytest.raises(SagespecError, match=f"there is no object {uri}"):
            project.validate()
        open_store(server.uri).write(name, b"an archive")
        project.validate()
