"""The figures the code keeps to: short files and functions, and few parameters that only their order tells apart.

CONTRIBUTING.md names them. If a file must be longer, its docstring says why, and the test names it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parents[1]
TREES = ["sagespec", "images"]
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60
MOST_POSITIONAL = 5

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files_of(tree: str) -> list[Path]:
    return sorted(file for file in (ROOT / tree).rglob("*.py") if file.name != "__init__.py")


def functions_of(tree: str) -> Iterator[tuple[str, Function]]:
    for file in files_of(tree):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, Function):
                yield f"{file.relative_to(ROOT)}:{node.lineno} {node.name}", node


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def positional(function: Function) -> int:
    arguments = [*function.args.posonlyargs, *function.args.args]
    return sum(argument.arg not in ("self", "cls") for argument in arguments)


@pytest.mark.parametrize("tree", TREES)
def test_no_file_is_long(tree: str) -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files_of(tree)}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE} == {}
    assert median(lengths.values()) <= 125


@pytest.mark.parametrize("tree", TREES)
def test_functions_are_short(tree: str) -> None:
    lengths = {name: lines_of(function) for name, function in functions_of(tree)}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}
    assert median(lengths.values()) <= 7
    assert quantiles(lengths.values(), n=10)[-1] <= 20


@pytest.mark.parametrize("tree", TREES)
def test_parameters_past_the_fifth_have_names_at_the_call(tree: str) -> None:
    counts = {name: positional(function) for name, function in functions_of(tree)}
    assert {name: count for name, count in counts.items() if count > MOST_POSITIONAL} == {}
