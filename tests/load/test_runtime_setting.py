"""`runtime` in sagespec.yaml: a name, or a Swarm with what it needs to be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.errors import Problem, SpecError
from sagespec.load.load import load
from sagespec.spec.project import ProjectSettings

HEAD = "apiVersion: sagespec/v1\nkind: Project\nname: demo\n"
GATEWAY = "gateway: {host: 10.0.0.1, open: true}\n"
SWARM = "runtime: {swarm: {registry: 'registry.lan:5000/acme/'}}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    return tmp_path


def settings(root: Path, text: str) -> ProjectSettings:
    (root / "sagespec.yaml").write_text(HEAD + text)
    return load([], root).project


def problem(root: Path, text: str) -> Problem:
    with pytest.raises(SpecError) as caught:
        settings(root, text)
    (only,) = caught.value.problems
    return only


@pytest.mark.parametrize("name", ["auto", "docker", "process"])
def test_a_name_is_enough_for_one_machine(root: Path, name: str) -> None:
    found = settings(root, f"runtime: {name}\n")
    assert (found.runtime_name, found.swarm) == (name, None)


def test_a_swarm_has_a_registry_and_may_have_more_managers(root: Path) -> None:
    text = "store: s3://acme/ml\nruntime:\n  swarm:\n    registry: 10.0.0.9:5000\n    managers: [tcp://10.0.0.2:2376]\n"
    found = settings(root, text + GATEWAY)
    assert found.runtime_name == "swarm"
    assert found.swarm
    assert (found.swarm.registry, found.swarm.managers) == ("10.0.0.9:5000", ("tcp://10.0.0.2:2376",))
    assert not found.swarm.single_operator


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("runtime: swarm", "4:10", "runtime: needs a registry"),
        ("runtime: swarn", "4:10", "runtime is swarn, but must be auto, docker or process"),
        ("runtime: {swarm: {}}", "4:11", "runtime.swarm.registry is missing"),
        ("runtime: {swarm: {registry: 'https://r.lan'}}", "4:29", '"https://r.lan" is an address'),
        ("runtime: {swarm: {registry: Acme}}", "4:29", '"Acme" is not a place in a registry'),
        ("runtime: {swarm: {registry: 'r.lan/a:1'}}", "4:29", '"r.lan/a:1" is not a place in a registry'),
        ("runtime: {swarm: {registry: r.lan, managers: [10.0.0.2]}}", "4:47", '"10.0.0.2" is not an engine\'s address'),
        ("runtime: {swarm: {registry: r.lan, operator: ada}}", "4:36", "runtime.swarm.operator is not a field"),
    ],
)
def test_what_is_wrong_is_said_once_at_its_place(root: Path, text: str, place: str, said: str) -> None:
    found = problem(root, f"{text}\nstore: s3://acme/ml\n{GATEWAY}")
    assert str(found.where) == f"sagespec.yaml:{place}"
    assert said in found.what
    assert found.fix


@pytest.mark.parametrize(("store", "place"), [("store: ../store\n", "4:8"), ("", "4:10")])
def test_a_store_on_a_disk_is_for_a_single_operator(root: Path, store: str, place: str) -> None:
    found = problem(root, store + SWARM + GATEWAY)
    assert str(found.where) == f"sagespec.yaml:{place}"
    assert "would not see" in found.what
    alone = settings(root, store + SWARM.replace("}}", ", single_operator: true}}") + GATEWAY)
    assert alone.swarm
    assert alone.swarm.registry == "registry.lan:5000/acme", "the slash at the end means nothing"


@pytest.mark.parametrize(
    ("gateway", "place"),
    [("", "5:10"), ("gateway: {port: 9000}\n", "6:10"), ("gateway: {host: '::1'}\n", "6:17")],
)
def test_a_swarm_cannot_keep_the_gateway_to_its_own_machine(root: Path, gateway: str, place: str) -> None:
    found = problem(root, "store: s3://acme/ml\n" + SWARM + gateway)
    assert str(found.where) == f"sagespec.yaml:{place}"
    assert "publishes on all addresses" in found.what
    assert "gateway.host" in found.fix


def test_an_environment_may_move_the_project_to_a_swarm(root: Path) -> None:
    (root / "environments").mkdir()
    (root / "environments" / "prod.yaml").write_text(
        "apiVersion: sagespec/v1\nkind: Environment\nname: prod\n"
        "project:\n  name: demo-prod\n  store: s3://acme/ml\n  runtime: {swarm: {registry: registry.lan:5000/acme}}\n"
        f"  {GATEWAY}"
    )
    assert settings(root, "runtime: docker\n").runtime_name == "docker"
    assert load([], root, environment="prod").project.runtime_name == "swarm"


@pytest.mark.filterwarnings("error")
def test_it_is_written_as_it_was_read(root: Path) -> None:
    given = {"swarm": {"registry": "registry.lan:5000/acme", "single_operator": True}}
    found = settings(root, "runtime: {swarm: {registry: 'registry.lan:5000/acme', single_operator: true}}\n" + GATEWAY)
    assert found.model_dump(exclude_unset=True)["runtime"] == given
    assert settings(root, "runtime: docker\n").model_dump(exclude_unset=True)["runtime"] == "docker"
