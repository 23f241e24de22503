"""Damaged specs: text- and tree-level mutations of valid ones, the same for the same seed.

`complaint` states what must hold for every one of them. `python -m tests.mutations 5000 7` looks for
mutations of seed 7 that break it.
"""

from __future__ import annotations

import copy
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagespec.errors import SpecError
from sagespec.load.files import LINE_BREAK
from sagespec.load.load import load
from sagespec.spec.schema import EXAMPLES

VALID = "---\n".join(text for kind, text in EXAMPLES.items() if kind not in ("Project", "Environment", "Source"))
PROJECT = b"apiVersion: sagespec/v1\nkind: Project\nname: mutations\n"
LONGEST_SECONDS = 2.0


@dataclass(frozen=True)
class Mutation:
    what: str
    data: bytes


def complaint(data: bytes) -> str:
    """What `load` says of a file with this content, "" if it accepts it.

    Fails if it raises anything but a SpecError, one with a problem that has no text or no place inside
    the file, or takes too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "spec.yaml")
        file.write_bytes(data)
        Path(folder, "sagespec.yaml").write_bytes(PROJECT)
        start = time.process_time()
        try:
            load([file], Path(folder))
        except SpecError as error:
            refused = error
        else:
            return ""
        finally:
            assert time.process_time() - start < LONGEST_SECONDS
    lines = LINE_BREAK.split(data.decode("utf-8-sig", errors="replace"))
    assert refused.problems
    for problem in refused.problems:
        assert problem.what.strip(), problem
        assert "pydantic" not in str(problem), problem
        assert "Input should" not in str(problem), problem
        assert problem.where, problem
        assert problem.where.file == "spec.yaml", problem
        assert 1 <= problem.where.line <= len(lines), problem
        assert 1 <= problem.where.column <= len(lines[problem.where.line - 1]) + 1, problem
    return str(refused)


def mutations(count: int, seed: int) -> Iterator[Mutation]:
    chance = random.Random(seed)
    for _ in range(count):
        if chance.random() < 0.5:
            what, data = _of_text(VALID, chance)
        else:
            what, data = _of_tree(chance)
        yield Mutation(what, data)


def text_mutations(text: str, count: int, seed: int) -> Iterator[Mutation]:
    """Of a text of one's own."""
    chance = random.Random(seed)
    yield from (Mutation(*_of_text(text, chance)) for _ in range(count))


# -- text ------------------------------------------------------------------------------------------


def _delete_line(lines: list[str], at: int, chance: random.Random) -> None:
    del lines[at]


def _double_line(lines: list[str], at: int, chance: random.Random) -> None:
    lines.insert(at, lines[at])


def _swap_lines(lines: list[str], at: int, chance: random.Random) -> None:
    other = chance.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]


def _indent(lines: list[str], at: int, chance: random.Random) -> None:
    lines[at] = " " * chance.randint(1, 5) + lines[at]


def _outdent(lines: list[str], at: int, chance: random.Random) -> None:
    lines[at] = lines[at].lstrip()


def _insert(lines: list[str], at: int, chance: random.Random) -> None:
    column = chance.randrange(len(lines[at]) + 1)
    sign = chance.choice("\t:\"'-#{}[],&*!|>%@`?~ \x00\x85\u2028\ufeffé😀") + chance.choice(["", " "])
    lines[at] = lines[at][:column] + sign + lines[at][column:]


def _delete_character(lines: list[str], at: int, chance: random.Random) -> None:
    column = chance.randrange(len(lines[at]) or 1)
    lines[at] = lines[at][:column] + lines[at][column + 1 :]


def _replace_value(lines: list[str], at: int, chance: random.Random) -> None:
    name, colon, _ = lines[at].partition(": ")
    lines[at] = name + colon + chance.choice(_ODD_SCALARS)


_ODD_SCALARS = [
    *("no", "On", "~", "", '""', "010", "1:30", "1_000", "2024-01-01", "1.10", "1e999", ".nan", "-.inf", "9" * 5000),
    *(
        "!!python/name:os.system",
        "!x y",
        "*a",
        "&a",
        "&a [*a]",
        "{",
        "]",
        "|",
        "> x",
        "<<",
        "? x",
        "@x",
        "%x",
        "'",
        '"\\q"',
    ),
    *("0x1F", "- x", "a: b", "[a, b]", "{a: {b: c}}", "x" * 5000, "\u00e9", "1" + "0" * 400 + ".5"),
]
_TEXT_CHANGES: list[Callable[[list[str], int, random.Random], None]] = [
    _delete_line,
    _double_line,
    _swap_lines,
    _indent,
    _outdent,
    _insert,
    _delete_character,
    _replace_value,
]


def _of_text(text: str, chance: random.Random) -> tuple[str, bytes]:
    lines, names = text.splitlines(), []
    for _ in range(chance.randint(1, 3)):
        change = chance.choice(_TEXT_CHANGES)
        change(lines, chance.randrange(len(lines)), chance)
        names.append(change.__name__.strip("_"))
    data = chance.choice(["\n", "\n", "\r\n"]).join(lines).encode()
    if chance.random() < 0.1:
        at = chance.randrange(len(data))
        data = data[:at] + bytes(chance.randrange(256) for _ in range(chance.randint(1, 4))) + data[at:]
        names.append("bytes")
    return "+".join(names), data


# -- trees -----------------------------------------------------------------------------------------

TREES: list[dict[str, Any]] = [
    {
        "apiVersion": "sagespec/v1",
        "kind": "TrainingJob",
        "name": "churn",
        "version": 3,
        "algorithm": "xgboost",
        "hyperparameters": {"objective": "binary:logistic", "num_round": 100, "eta": 0.1},
        "channels": {"train": {"source": "s3://acme/train/", "distribution": "sharded"}, "test": "s3://acme/test/"},
        "instances": 2,
        "resources": {"cpus": 1.5, "memory": "2GiB"},
        "environment": {"MODE": "fast"},
        "stopping": {"max_runtime": "1h"},
        "protect": True,
    },
    {
        "apiVersion": "sagespec/v1",
        "kind": "Endpoint",
        "name": "churn",
        "variants": [
            {"name": "stable", "model": "churn@2", "weight": 90, "instances": 2, "environment": {"A": "b"}},
            {"name": "own", "model": "s3://acme/model.tar.gz", "image": "acme/serve:1", "resources": {"cpus": 1}},
        ],
        "rollout": {"healthy_within": "2m", "min_healthy": 3, "replace": "always"},
    },
]

_ODD_VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        10**18,
        10**25,
        1e300,
        "",
        " ",
        "x",
        "no",
        "3",
        "x" * 5000,
        "a\nb\tc",
        "\u2028é😀",
    ),
    *([], [[]], [1, "a"], {}, {"a": {"b": [1]}}, {"": 1}, "s3://", "~/x", "../..", "churn@0", "90 days", "2 gb"),
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in entries:
        yield (*path, step)
        yield from _places(inner, (*path, step))


def mutated_tree(chance: random.Random) -> tuple[str, Any]:
    """A valid document with one to three changes, and the names of these."""
    tree, names = copy.deepcopy(chance.choice(TREES)), []
    for _ in range(chance.randint(1, 3)):
        *above, last = chance.choice(list(_places(tree)) or [("name",)])
        holder = tree
        for step in above:
            holder = holder[step]
        change = chance.choice(["drop", "replace", "replace", "rename", "nest", "add", "repeat"])
        names.append(f"{change} {'.'.join(map(str, (*above, last)))}")
        if change == "drop":
            del holder[last]
        elif change == "replace":
            holder[last] = copy.deepcopy(chance.choice(_ODD_VALUES))
        elif change == "nest":
            holder[last] = {str(last): holder[last]} if chance.random() < 0.5 else [holder[last]]
        elif isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[:1]) * chance.choice([1, 20]))
        elif change == "rename":
            holder[chance.choice([f"{last}s", str(last).upper(), str(last)[1:], "x" * 300])] = holder.pop(last)
        elif change == "add":
            holder[chance.choice(["extra", "model", "weight", "source", "a b", "", "1"])] = chance.choice(_ODD_VALUES)
        else:
            holder.update({f"{last}{n}": holder[last] for n in range(chance.choice([2, 150]))})
    return ", ".join(names), tree


def _of_tree(chance: random.Random) -> tuple[str, bytes]:
    what, tree = mutated_tree(chance)
    # JSON is YAML; with ensure_ascii also what YAML could only hold escaped gets through.
    return what, json.dumps(tree, indent=chance.choice([None, 1]), ensure_ascii=chance.random() < 0.3).encode()


if __name__ == "__main__":
    for number, mutation in enumerate(mutations(int(sys.argv[1]), int(sys.argv[2]))):
        try:
            complaint(mutation.data)
        except Exception as broken:
            print(f"-- {number}: {mutation.what}: {broken!r}\n{mutation.data[:2000]!r}")
