"""N hosts of a job on N nodes: the model is that of N hosts on one machine."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer

from sagespec.state.addresses import job_address
from sagespec.state.labels import LABEL_PROJECT
from tests import built
from tests.scenarios.test_channels import job as pipe_job
from tests.scenarios.test_channels import put_parts, sizes
from tests.scenarios.test_frameworks import BringExample, also_on_one_host, archive_of, bring, tensors_in
from tests.scenarios.workspace import Workspace
from tests.swarm.cluster import Cluster

__all__ = ["bring"]  # a fixture

pytestmark = pytest.mark.swarm

JOBS: Mapping[str, tuple[str, str]] = {
    "linear-learner": ("{predictor_type: binary_classifier, wd: 0.001, epochs: 30}", "text/csv"),
    "kmeans": ("{k: 5, feature_dim: 31}", "text/csv;label_size=0"),
    "xgboost": ("{num_round: 8, objective: 'binary:logistic', max_depth: 3}", "text/csv"),
}
FILES = 4
ONE_A_NODE = f"resources: {{cpus: {(os.cpu_count() or 1) * 0.75}}}\n"  # no node has as much twice


@pytest.fixture(scope="session")
def algorithms() -> Sequence[str]:
    """Images on the engine of this machine, which is spoken to until a test has its cluster."""
    return [built.reference(name) for name in ("courier", *JOBS)]


@pytest.fixture(scope="session")
def pytorch() -> Sequence[str]:
    return [built.reference(name) for name in ("courier", "pytorch")]


@pytest.fixture(scope="session")
def echo() -> Sequence[str]:
    return [built.reference(name) for name in ("courier", "echo", "feeder")]


@pytest.fixture
def workspace(cluster: Cluster, tmp_path: Path, project_name: str) -> Workspace:
    runtime = f"{{swarm: {{registry: '{cluster.registry}/hosts', single_operator: true}}}}"
    found = Workspace(tmp_path / "swarm", project_name, runtime)
    found.edit("gateway: {", f"gateway: {{host: {cluster.manager.address}, open: true, ", "sagespec.yaml")
    return found


def write(workspace: Workspace, more: str = "") -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    (workspace.root / "data" / "parts").mkdir()
    for number in range(FILES):
        rows = np.column_stack([labels, features])[number::FILES]
        np.savetxt(workspace.root / f"data/parts/{number}.csv", rows, delimiter=",", fmt="%.9g")
    workspace.write(
        "---\n".join(
            f"apiVersion: sagespec/v1\nkind: TrainingJob\nname: {name}\nversion: 1\nalgorithm: {name}\ninstances: 2\n"
            f"hyperparameters: {hyperparameters}\nchannels:\n"
            f"  train: {{source: ../data/parts, content_type: {content_type}, distribution: sharded}}\n{more}"
            for name, (hyperparameters, content_type) in JOBS.items()
        )
    )


def files_of(workspace: Workspace, name: str) -> dict[str, bytes]:
    """Those of a model."""
    records, file = workspace.records(), workspace.root / f"{name}.tar.gz"
    records.store.download(records.job_key(job_address(name, 1), "model.tar.gz"), file)
    with tarfile.open(file) as archive:
        return {member.name: content.read() for member in archive if (content := archive.extractfile(member))}


def arrays_of(workspace: Workspace, name: str) -> dict[str, Any]:
    (content,) = (content for file, content in files_of(workspace, name).items() if file.endswith(".npz"))
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def predicted(workspace: Workspace) -> Any:
    booster = xgboost.Booster(model_file=bytearray(files_of(workspace, "xgboost")["xgboost-model"]))
    return booster.inplace_predict(load_breast_cancer(return_X_y=True)[0])


@pytest.mark.slow(150)
def test_two_nodes_find_the_models_of_one_machine(
    algorithms: Sequence[str], workspace: Workspace, cluster: Cluster, tmp_path: Path, project_name: str
) -> None:
    cluster.load(*algorithms)
    one_machine = Workspace(tmp_path / "process", f"{project_name}-here", "process")
    write(one_machine)
    one_machine.run("apply", timeout=900)
    write(workspace, ONE_A_NODE)
    workspace.run("apply", timeout=900)
    for name in ("linear-learner", "kmeans"):
        found, expected = arrays_of(workspace, name), arrays_of(one_machine, name)
        assert found.keys() == expected.keys()
        for field, value in expected.items():
            if value.dtype.kind == "f":
                np.testing.assert_allclose(found[field], value, rtol=1e-9, err_msg=f"{name} {field}")
            else:
                np.testing.assert_array_equal(found[field], value, f"{name} {field}")
    np.testing.assert_array_equal(predicted(workspace), predicted(one_machine))
    read = [job["read"]["train"]["line"] for job in workspace.json("status")["jobs"]]
    assert all(line.startswith(f"train: {FILES} files, 569 rows") for line in read)


@pytest.mark.slow(90)
def test_two_nodes_find_the_network_of_one(
    pytorch: Sequence[str], workspace: Workspace, cluster: Cluster, bring: BringExample
) -> None:
    cluster.load(*pytorch)
    bring("pytorch")
    also_on_one_host(workspace, "pytorch")
    specs = workspace.root / "specs" / "pytorch.yaml"
    two, one, _ = specs.read_text().split("---\n")
    specs.write_text(f"{two}{ONE_A_NODE}---\n{one}")
    workspace.run("apply", timeout=900)
    of_two, of_one = (
        tensors_in(archive_of(workspace, job)["digits.pt"]) for job in ("digits-pytorch", "digits-pytorch-alone")
    )
    for ours, theirs in zip(of_two, of_one, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.slow(60)
def test_the_hosts_of_a_job_are_fed_where_they_are_and_leave_no_files(
    echo: Sequence[str], workspace: Workspace, cluster: Cluster
) -> None:
    cluster.load(*echo)
    put_parts(workspace.root / "data" / "parts")
    channels = "{train: {source: ../data/parts, input_mode: pipe, distribution: sharded}}"
    workspace.write(pipe_job(1, channels, instances=2, read_pipes="train=2") + ONE_A_NODE)
    workspace.run("apply")
    assert (sizes(workspace, 1, "algo-1"), sizes(workspace, 1, "algo-2")) == ([10101] * 2, [1010] * 2)
    ours = {"label": f"{LABEL_PROJECT}={workspace.name}"}
    volumes = [volume for node in cluster.nodes for volume in node.engine.volumes(ours)["Volumes"] or ()]
    assert len(volumes) == 6, "each host has one, and so has its feeder, and one that they share"
    assert [file for volume in volumes for file in Path(volume["Mountpoint"]).rglob("*") if file.is_file()] == []
