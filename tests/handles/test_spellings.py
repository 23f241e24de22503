"""Names that differ in case alone: nothing is written, since every spec of the project would be wrong then."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.errors import SpecError
from sagespec.handles.variants import EndpointSpec
from sagespec.handles.written import write_job
from sagespec.project import Project


def test_another_spelling_is_refused_before_it_is_written(tmp_path: Path, project_name: str) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    (tmp_path / "sagespec.yaml").write_text(f"apiVersion: sagespec/v1\nkind: Project\nname: {project_name}\n")
    (tmp_path / "d.csv").write_text("0,1\n1,2\n")
    document = {
        "apiVersion": "sagespec/v1", "kind": "TrainingJob", "algorithm": "xgboost",
        "hyperparameters": {"num_round": 1}, "channels": {"train": "../../d.csv"},
    }  # fmt: skip
    endpoint = {"apiVersion": "sagespec/v1", "kind": "Endpoint", "variants": [{"name": "a", "model": "Churn@1"}]}
    with Project(tmp_path, runtime="process") as project:
        write_job(project.parts, {**document, "name": "Churn"})
        EndpointSpec(project.parts, "Shop").write({**endpoint, "name": "Shop"})
        before = sorted(path.name for path in specs.rglob("*.yaml"))

        with pytest.raises(SpecError, match="only in upper and lower case"):
            write_job(project.parts, {**document, "name": "churn"})
        with pytest.raises(SpecError, match="only in upper and lower case"):
            EndpointSpec(project.parts, "shop").write({**endpoint, "name": "shop"})
        assert sorted(path.name for path in specs.rglob("*.yaml")) == before
        assert not project.plan().refused
