"""Containers of users' own, as they are written for SageMaker, trained and served on real engines.

The folders of containers/ are built once (tests/built.py): images on SageMaker's own toolkits from PyPI, AWS's
bring-your-own layout with nginx, and one that holds a binary and nothing else.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris

from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus, Manifest
from tests import built
from tests.scenarios.specs import endpoint
from tests.scenarios.workspace import Workspace

CONTAINERS = Path(__file__).parent / "containers"
NUMBERS = {"a.csv": "1\n2\n", "b.csv": "6\n"}  # their mean is 3

docker = pytest.mark.docker
slow = pytest.mark.slow


@pytest.fixture
def docker_workspace(tmp_path: Path, project_name: str, evidence: Path) -> Workspace:
    built.own_ready()
    place = Workspace(tmp_path / "project", project_name, "docker")
    return _with_containers(place)


@pytest.fixture
def process_workspace(tmp_path: Path, project_name: str, evidence: Path) -> Workspace:
    place = Workspace(tmp_path / "project", project_name, "process")
    return _with_containers(place)


def _with_containers(place: Workspace) -> Workspace:
    shutil.copytree(CONTAINERS, place.root / "containers", ignore=shutil.ignore_patterns("__pycache__"))
    (place.root / "data" / "numbers").mkdir()
    for name, text in NUMBERS.items():
        (place.root / "data" / "numbers" / name).write_text(text)
    return place


def a_job(fields: str, *, version: int = 1, channel: str = "train: ../data/numbers") -> str:
    return (
        f"---\napiVersion: sagespec/v1\nkind: TrainingJob\nname: own\nversion: {version}\n"
        f"channels: {{{channel}}}\n{fields}"
    )


def manifest_of(workspace: Workspace, version: int = 1) -> Manifest:
    address = job_address("own", version)
    return workspace.records().manifests([address])[address]


def archive_of(workspace: Workspace, name: str, version: int = 1) -> dict[str, bytes]:
    """The files of model.tar.gz or output.tar.gz in the store, by their names in it."""
    records = workspace.records()
    file = workspace.root / name
    records.store.download(records.job_key(job_address("own", version), name), file)
    with tarfile.open(file) as archive:
        members = ((member.name, archive.extractfile(member)) for member in archive)
        return {name: content.read() for name, content in members if content}


def predict(workspace: Workspace, body: str, **headers: Any) -> tuple[int, str]:
    with workspace.project() as project:
        answer = project.invoke("answers", body.encode(), check=False, **headers)
        return answer.status, answer.body.decode()


# -- AWS's layout, and a bare binary ---------------------------------------------------------------


@docker
@slow
def test_the_bring_your_own_layout_trains_and_serves(docker_workspace: Workspace, docker_client: Any) -> None:
    iris = load_iris()
    classes = [iris.target_names[label] for label in iris.target]
    rows = [",".join(map(str, [name, *row])) for name, row in zip(classes, iris.data, strict=True)]
    (docker_workspace.root / "data" / "iris.csv").write_text("\n".join(rows) + "\n")
    fields = "build: ../containers/byo\nhyperparameters: {max_leaf_nodes: 5}\n"
    docker_workspace.write(a_job(fields, channel="training: ../data/iris.csv") + endpoint("one own@1 1"))
    assert "training complete: 5 leaves" in docker_workspace.run("apply", timeout=400).stdout

    samples = [row.split(",", 1) for row in rows[::10]]
    status, text = predict(docker_workspace, "\n".join(features for _, features in samples))
    assert status == 200
    right = sum(said == label for said, (label, _) in zip(text.split(), samples, strict=True))
    assert right >= 14  # of 15
    assert predict(docker_workspace, "{}", content_type="application/json")[0] == 424

    (program, digest), *_ = manifest_of(docker_workspace).images.items()
    served_by = docker_client.inspect_container(docker_workspace.names()["endpoint/answers/one#0"])["Image"]
    assert program.startswith("containers/byo@")
    assert digest == served_by


@docker
@slow
def test_an_image_with_a_binary_and_nothing_else_trains_and_serves(docker_workspace: Workspace) -> None:
    docker_workspace.write(
        a_job("build: ../containers/binary\nmetrics: [{name: mean, regex: 'mean=([0-9.]+)'}]\n")
        + endpoint("one own@1 1")
    )
    docker_workspace.run("apply", timeout=400)
    assert predict(docker_workspace, "any") == (200, "3\n")
    assert archive_of(docker_workspace, "model.tar.gz") == {"mean": b"3\n"}
    assert manifest_of(docker_workspace).metrics == {"mean": 3.0}


@docker
@slow
def test_what_a_program_writes_down_is_why_it_failed(docker_workspace: Workspace) -> None:
    (docker_workspace.root / "data" / "words").mkdir()
    (docker_workspace.root / "data" / "words" / "a.csv").write_text("none\n")
    docker_workspace.write(a_job("build: ../containers/binary\n", channel="train: ../data/words"))
    docker_workspace.run("apply", code=1, timeout=400)
    manifest = manifest_of(docker_workspace)
    assert (manifest.status, manifest.reason) == (
        JobStatus.FAILED,
        "ClientError: the channel train holds no numbers",
    )


@docker
@slow
def test_a_changed_folder_is_another_job_and_its_image_serves_what_it_trained(docker_workspace: Workspace) -> None:
    docker_workspace.write(a_job("build: ../containers/binary\n") + endpoint("one own@1 1"))
    docker_workspace.run("apply", timeout=400)
    docker_workspace.edit("there is no channel train", "where is the channel train", "containers/binary/mean.c")
    refused = docker_workspace.run("plan", code=1).stdout
    assert "build" in refused
    assert "version" in refused
    docker_workspace.write(a_job("build: ../containers/binary\n", version=2) + endpoint("one own@1 1", "two own@2 0"))
    docker_workspace.run("apply", timeout=400)
    images = {next(iter(manifest_of(docker_workspace, version).images.values())) for version in (1, 2)}
    assert len(images) == 2
    assert predict(docker_workspace, "any", variant="two") == (200, "3\n")


# -- SageMaker's own toolkits ----------------------------------------------------------------------

SCRIPT = "entry_point: train.py\nsource_dir: ../containers/script\n"
HYPERPARAMETERS = "hyperparameters: {scale: 2, name: x, layers: [1, 2], map: {b: 1, a: z}, nothing: 'null', o: true}\n"
# The platform's alone: the toolkit's child gets them as they are, or they are the SDK's drivers'.
NOT_THE_TOOLKITS = {
    *("SM_INPUT_DATA_DIR", "SM_OUTPUT_FAILURE", "SM_SOURCE_DIR", "SM_ENTRY_SCRIPT", "SM_HOST_COUNT"),
    *("SM_CURRENT_HOST_RANK", "SM_MASTER_ADDR", "SM_MASTER_PORT", "SM_STUDIO_LOCAL_MODE"),
}


@docker
@slow
def test_the_toolkits_train_and_serve_a_script(docker_workspace: Workspace) -> None:
    fields = f"build: ../containers/toolkits\n{SCRIPT}{HYPERPARAMETERS}instances: 2\n"
    docker_workspace.write(a_job(fields) + endpoint("one own@1 1 entry_point: inference.py"))
    docker_workspace.run("apply", timeout=600)
    assert json.loads(archive_of(docker_workspace, "model.tar.gz")["mean.json"]) == {"mean": 6.0}
    status, text = predict(docker_workspace, "[[1, 2], [3, 4]]", content_type="application/json")
    assert (status, json.loads(text)) == (200, [[7.0, 8.0], [9.0, 10.0]])
    status, text = predict(docker_workspace, "1,2\n", content_type="text/csv", accept="text/csv")
    assert (status, text.split()) == (200, ["7.0", "8.0"])


@docker
@slow
def test_a_script_that_fails_under_the_toolkit_is_told_with_its_reason(docker_workspace: Workspace) -> None:
    docker_workspace.write(a_job(f"build: ../containers/toolkits\n{SCRIPT}hyperparameters: {{scale: 2, fail: true}}\n"))
    docker_workspace.run("apply", code=1, timeout=600)
    manifest = manifest_of(docker_workspace)
    assert manifest.status is JobStatus.FAILED
    assert manifest.reason.startswith("AlgorithmError: ")
    assert "ExecuteUserScriptError" in manifest.reason


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sagemaker-training, unmodified, installed from PyPI."""
    if not shutil.which("cc"):
        pytest.skip("sagemaker-training has a part in C, and there is no compiler")
    folder = tmp_path_factory.mktemp("toolkit")
    venv.create(folder, with_pip=True)
    pip_install(folder / "bin" / "python", "sagemaker-training==5.*")
    return folder


def pip_install(python: Path, *words: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(command, check=True)


@slow
def test_the_toolkit_trains_a_script_without_docker(process_workspace: Workspace, toolkit: Path) -> None:
    train = process_workspace.root / "containers" / "local" / "train"
    train.parent.mkdir()
    train.write_text(
        f"#!{toolkit}/bin/python\nimport json, os, pathlib, sys\n"
        f"os.environ['PATH'] = '{toolkit}/bin:' + os.environ['PATH']\n"
        "given = {name: text for name, text in os.environ.items() if name.startswith('SM_')}\n"
        "base = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])\n"
        "(base / 'output/data/given.json').write_text(json.dumps(given))\n"
        "from sagemaker_training.cli.train import main\nsys.exit(main())\n"
    )
    train.chmod(0o755)
    process_workspace.write(a_job(f"build: ../containers/local\n{SCRIPT}{HYPERPARAMETERS}"))
    process_workspace.run("apply", timeout=300)
    assert json.loads(archive_of(process_workspace, "model.tar.gz")["mean.json"]) == {"mean": 6.0}

    # What the toolkit told the script is what we tell every program.
    output = archive_of(process_workspace, "output.tar.gz")
    given, told = json.loads(output["given.json"]), json.loads(output["environment.json"])
    assert given.pop("SM_NETWORK_INTERFACE_NAME") == "lo"  # where processes meet; the toolkit has the contract's
    assert told.pop("SM_NETWORK_INTERFACE_NAME") == "eth0"
    assert told == {name: given[name] for name in told}
    assert given.keys() - told.keys() <= NOT_THE_TOOLKITS


# -- SageMaker's SDK 3 -----------------------------------------------------------------------------

INSTALLER = "sagemaker/core/utils/install_requirements.py"


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the SDK's ModelTrainer uploads as the channel sm_drivers for a script train.py, out of its wheels."""
    folder = tmp_path_factory.mktemp("sdk")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, "sagemaker-train", "sagemaker-core"], check=True)
    wanted = ("sagemaker/train/container_drivers/", "sagemaker/train/templates.py", INSTALLER)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(wanted)])
    channel = folder / "sagemaker" / "train" / "container_drivers"
    shutil.copy(folder / INSTALLER, channel / "scripts")
    template = module_at(folder / "sagemaker" / "train" / "templates.py")
    script = template["TRAIN_SCRIPT_TEMPLATE"].format(
        working_dir="cd /opt/ml/input/data/code \n",
        install_requirements=template["INSTALL_REQUIREMENTS"].format(requirements_file="requirements.txt"),
        execute_driver=template["EXECUTE_BASIC_SCRIPT_DRIVER"],
    )
    (channel / "sm_train.sh").write_text(script)
    (channel / "sourcecode.json").write_text(json.dumps({"source_dir": "src", "entry_script": "train.py"}))
    (channel / "distributed.json").write_text("{}")
    return channel


def module_at(file: Path) -> Mapping[str, Any]:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


@docker
@slow
def test_the_drivers_of_sdk_3_train_a_script(docker_workspace: Workspace, drivers: Path) -> None:
    shutil.copytree(drivers, docker_workspace.root / "sm_drivers")
    folder = "/opt/ml/input/data/sm_drivers"
    fields = (
        "build: ../containers/toolkits\n"
        "entrypoint: [/bin/bash]\n"
        f"arguments: [-c, 'chmod +x {folder}/sm_train.sh && {folder}/sm_train.sh']\n"
        "hyperparameters: {scale: 2}\n"
    )
    channels = "train: ../data/numbers, code: ../containers/script, sm_drivers: {source: ../sm_drivers, writable: true}"
    docker_workspace.write(a_job(fields, channel=channels))
    said = docker_workspace.run("apply", timeout=600).stdout
    assert "Running Basic Script driver" in said
    model = archive_of(docker_workspace, "model.tar.gz")
    assert json.loads(model["mean.json"]) == {"mean": 6.0}
    assert "code/requirements.txt" in model
