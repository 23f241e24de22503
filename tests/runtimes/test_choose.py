"""The runtimes by name: one table, and what a name that is not in it leads to."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.choose import LOADERS, SWARM_AGAIN, choose
from sagespec.spec.runtimes import RUNTIME_NAMES
from sagespec.spec.swarm import SwarmSettings

SAGESPEC = Path(__file__).parents[2] / "sagespec"


def test_every_runtime_that_a_spec_can_name_can_be_opened() -> None:
    assert tuple(LOADERS) == RUNTIME_NAMES


def test_a_runtime_is_opened_under_its_name(tmp_path: Path) -> None:
    runtime, said = choose("process", "acme", tmp_path)
    assert (runtime.name, said) == ("process", "runtime process (local programs, no isolation): as requested")


def test_a_name_that_no_runtime_has_opens_none(tmp_path: Path) -> None:
    with pytest.raises(WorldError) as caught:
        choose("podman", "acme", tmp_path)
    (problem,) = caught.value.problems
    assert (problem.what, problem.fix) == ("there is no runtime podman", "use one of auto, docker, process, swarm")


def test_a_swarm_is_not_opened_without_a_registry(tmp_path: Path) -> None:
    with pytest.raises(WorldError) as caught:
        choose("swarm", "acme", tmp_path)
    (problem,) = caught.value.problems
    assert "names no registry" in problem.what
    assert "registry:" in problem.fix


def test_a_project_on_a_swarm_without_its_registry_is_told_the_way_back(tmp_path: Path) -> None:
    for wanted in ("auto", "swarm"):
        with pytest.raises(WorldError) as caught:
            choose(wanted, "acme", tmp_path, last="swarm")
        (problem,) = caught.value.problems
        assert (problem.why, problem.fix) == ("this project runs on a Swarm", SWARM_AGAIN)


def test_auto_takes_no_swarm_where_the_engine_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(WorldError, match="no Docker engine answers"):
        choose("auto", "acme", tmp_path, swarm=SwarmSettings(registry="registry.lan:5000"))


def test_the_runtimes_are_listed_in_one_file() -> None:
    """A type that lists them a second time is one that the next runtime is missing from."""
    lists = [path.relative_to(SAGESPEC).as_posix() for path in SAGESPEC.rglob("*.py") if _lists_runtimes(path)]
    assert lists == ["spec/runtimes.py"]


def test_nobody_asks_for_a_runtime_by_its_name() -> None:
    """What it can do is in the protocol: a name is for people, and says nothing of the next runtime."""
    asking = [path.name for path in SAGESPEC.rglob("*.py") if re.search(r"runtime\.name (==|!=|in) ", path.read_text())]
    assert asking == []


def _lists_runtimes(path: Path) -> bool:
    text = path.read_text()
    if not any(f'"{name}"' in text for name in RUNTIME_NAMES):
        return False
    nodes = ast.walk(ast.parse(text))
    literals = (node.slice for node in nodes if isinstance(node, ast.Subscript) and _is_literal(node.value))
    return any(
        isinstance(part, ast.Constant) and part.value in RUNTIME_NAMES for found in literals for part in ast.walk(found)
    )


def _is_literal(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "Literal"
