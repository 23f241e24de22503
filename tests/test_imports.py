"""Who may import whom, read from the sources: late imports and those under TYPE_CHECKING count like all others.

A unit is a module, or a package whose files are its own affair (`show`, `load`). A unit may import units of
lower rows, never one of its own row; what is allowed beyond that is named, with the reason, and goes when it is
no longer used.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SAGESPEC = Path(__file__).parents[1] / "sagespec"
IMAGES = Path(__file__).parents[1] / "images"

# From the top to the bottom. The reason says why the row stands above the next.
ROWS = [
    ("cli __main__ dashboard", "talk to people and browsers; nothing inside knows that they exist"),
    ("project", "the verbs, for the command line and for notebooks alike"),
    ("converge watch show status series doctor scaffold", "put stages together, or show what came of them"),
    ("load resolve observe reconcile apply train schema", "the stages: each does one thing to values"),
    (
        "gateway lock records archive builtins channels cache",
        "know what our things look like on an engine or on disk",
    ),
    (
        "runtimes runtimes.docker runtimes.process runtimes.process_shim stores stores.directory stores.s3",
        "know an engine or a store, and nothing of jobs, endpoints or plans",
    ),
    (
        "runtimes.docker.commands runtimes.docker.files runtimes.docker.launches runtimes.docker.streams "
        "runtimes.process_logs",
        "parts of the engines that need no SDK: what an engine takes and gives, as bytes and settings",
    ),
    ("runtimes.docker.engine", "the connection, and the one place that turns what the SDK raises into our errors"),
    ("runtimes.docker.gpus runtimes.machine", "what an engine or this machine says that it has"),
    ("buildfolder", "what a container is built from: `resolve` hashes it, the runtimes build and run it"),
    ("sources", "what is in a folder of the user's, the same for all who read or ship it"),
    ("plan contract xds metrics queue", "what will be done, what a container sees and says, what Envoy reads: data"),
    ("state", "the two sides that are compared"),
    ("manifest", "what the store keeps; `state` holds some of it"),
    ("spec events", "what users write and what happened: no other value is needed for them"),
    ("errors", "all layers raise them"),
]

# (who, whom): why, though it is not of a lower row.
NAMED = {
    ("__main__", "cli"): "python -m sagespec is the command line",
    ("watch", "converge"): "reads the value a pass ends with",
    ("show", "converge"): "shows the value a run ends with",
    ("show", "status"): "shows its values",
    ("show", "series"): "draws its values",
    ("doctor", "project"): "the type of what it examines; project imports doctor late",
    ("resolve", "load"): "its input is what load returns",
    ("apply", "train"): "one of its actions is so long that it has a file of its own",
    ("runtimes", "runtimes.docker"): "choose() imports the engine it has chosen, late",
    ("runtimes", "runtimes.process"): "choose() imports the engine it has chosen, late",
    ("runtimes.docker.launches", "runtimes.docker.files"): "mounts are named for /opt/ml as files are",
    ("runtimes.docker", "runtimes"): "implements the protocol",
    ("runtimes.process", "runtimes"): "implements the protocol",
    ("runtimes.process", "runtimes.process_shim"): "starts it, as a program",
    ("stores", "stores.directory"): "open_store() imports the store it has chosen, late",
    ("stores", "stores.s3"): "open_store() imports the store it has chosen, late",
    ("stores.directory", "stores"): "implements the protocol",
    ("stores.s3", "stores"): "implements the protocol",
}

# What is decided or described without touching anything: these may import so much and no more.
VALUES = "collections dataclasses datetime enum functools itertools math re typing"
PURE = {
    "reconcile": ("plan queue manifest state spec errors", VALUES, "the same snapshot must give the same plan"),
    "plan": ("state manifest errors", VALUES, "printed, compared and carried out, never asked for more"),
    "state": ("manifest spec errors", f"{VALUES} hashlib json", "hashes are of values alone"),
    "xds": ("state errors", f"{VALUES} hashlib json", "the gateway writes and asks; this only says what"),
    "queue": ("state", VALUES, "who starts next follows from who came when, and from nothing else"),
    "metrics": ("", VALUES, "the same lines must give the same series, whoever reads them"),
    "contract": ("state errors", f"{VALUES} json", "SageMaker's contract as data, the same on every engine"),
}
IMPURE_CALLS = {"now", "utcnow", "today", "open", "print", "input", "eval", "exec", "__import__"}

# Everything from outside the standard library: who may import it, and why nobody else.
OUTSIDERS = {
    "docker": ("runtimes.docker runtimes.docker.engine", "a third engine is a folder, not a rewrite"),
    "requests": ("runtimes.docker.engine", "the Docker SDK raises its errors"),
    "boto3": ("stores.s3", "whoever has no S3 never waits for it"),
    "botocore": ("stores.s3", "whoever has no S3 never waits for it"),
    "mypy_boto3_s3": ("stores.s3", "boto3's types"),
    "yaml": ("load", "one place knows how YAML is read, and remembers lines and columns"),
    "watchdog": ("watch", "one place is woken by files"),
    "flask": ("dashboard", "the serving programs of images/ bring their own"),
    "click": ("cli", "nothing else knows of options and arguments"),
    "rich": ("show", "nothing else knows of terminals"),
    "plotext": ("show", "nothing else draws"),
    "matplotlib": ("show", "nothing else draws"),
    "pydantic": ("spec manifest load builtins records lock train schema", "at the border: what is read from files"),
    "pydantic_core": ("spec load records", "at the border, where pydantic's own door is too slow or says too little"),
}

UNITS = [unit for units, _ in ROWS for unit in units.split()]
LEVEL = {unit: level for level, (units, _) in enumerate(ROWS) for unit in units.split()}


def unit_of(module: str) -> str:
    """The unit that a module inside of sagespec belongs to: itself, or the nearest package that is one."""
    name = module
    while name not in LEVEL and "." in name:
        name = name.rpartition(".")[0]
    assert name in LEVEL, f"sagespec.{module} is in no row of ROWS: say where it belongs"
    return name


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(SAGESPEC).with_suffix("").parts).removesuffix(".__init__")


def imports_of(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of each module a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write the import out in full"
            assert node.module is not None
            package = SAGESPEC.parent.joinpath(*node.module.split("."))
            for alias in node.names:
                is_module = (package / alias.name).is_dir() or (package / f"{alias.name}.py").is_file()
                yield node.lineno, f"{node.module}.{alias.name}" if is_module else node.module


def test_an_import_is_found_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nfrom sagespec import __version__, xds\n"
        "if TYPE_CHECKING:\n    from sagespec.project import Project\n"
        "def late():\n    import docker.errors\n    from sagespec.stores.s3 import S3Store\n"
    )
    assert sorted(imports_of(file)) == [
        (1, "typing"),
        (2, "sagespec"),
        (2, "sagespec.xds"),
        (4, "sagespec.project"),
        (6, "docker.errors"),
        (7, "sagespec.stores.s3"),
    ]


FILES = sorted(file for file in SAGESPEC.rglob("*.py") if file != SAGESPEC / "__init__.py")
FOUND = [(file, name_of(file), line, module) for file in FILES for line, module in imports_of(file)]
INSIDE = [
    (f"{file.relative_to(SAGESPEC.parent)}:{line}", unit_of(name), unit_of(module.removeprefix("sagespec.")))
    for file, name, line, module in FOUND
    if module.startswith("sagespec.")
]


def test_every_unit_imports_only_rows_below_it() -> None:
    wrong = [
        f"{place}: {who} imports {whom}, which is not below it"
        for place, who, whom in INSIDE
        if who != whom and LEVEL[whom] <= LEVEL[who] and (who, whom) not in NAMED
    ]
    assert not wrong, "\n".join(wrong)


def test_every_named_exception_is_needed() -> None:
    used = {(who, whom) for _, who, whom in INSIDE}
    unused = {pair for pair in NAMED if pair not in used}
    assert not unused


def test_the_package_itself_imports_only_what_it_makes_public() -> None:
    assert {module for _, module in imports_of(SAGESPEC / "__init__.py")} <= {
        "__future__",
        "typing",
        "sagespec.project",
        "sagespec.errors",
    }


@pytest.mark.parametrize("unit", PURE)
def test_what_decides_touches_nothing(unit: str) -> None:
    ours, theirs, reason = PURE[unit]
    allowed = {"__future__", *theirs.split()}
    wrong = [f"{place}: {whom}" for place, who, whom in INSIDE if who == unit and whom not in {unit, *ours.split()}]
    for file in (file for file in FILES if unit_of(name_of(file)) == unit):
        for line, module in imports_of(file):
            if not module.startswith("sagespec") and module.partition(".")[0] not in allowed:
                wrong.append(f"{file}:{line}: {module}")
        wrong += (f"{file}:{line}: calls {name}()" for line, name in calls_of(file) if name in IMPURE_CALLS)
    assert not wrong, f"{unit} is held tighter ({reason}):\n" + "\n".join(wrong)


def calls_of(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield node.lineno, name


def test_what_others_wrote_is_imported_in_one_place() -> None:
    wrong = []
    for file, name, line, module in FOUND:
        top = module.partition(".")[0]
        if top == "sagespec" or top in sys.stdlib_module_names:
            continue
        owners, reason = OUTSIDERS.get(top, ("", "it is not in the table"))
        if unit_of(name) not in owners.split():
            wrong.append(f"{file}:{line}: {module} belongs to {owners or 'nobody'} ({reason})")
    assert not wrong, "\n".join(wrong)


def test_programs_of_images_know_nothing_of_sagespec() -> None:
    """They run in containers that do not have it, as does any container written for SageMaker."""
    wrong = [
        f"{file}:{line}"
        for file in sorted(IMAGES.rglob("*.py"))
        for line, module in imports_of(file)
        if module.partition(".")[0] in {"sagespec", "docker", "boto3", "botocore", "yaml", "click", "rich", "watchdog"}
    ]
    assert not wrong, "\n".join(wrong)


def test_the_shim_of_processes_imports_little() -> None:
    """It stands in the way of every start, so it has nothing of ours and nothing of others."""
    modules = [module for _, module in imports_of(SAGESPEC / "runtimes" / "process_shim.py")]
    assert {module.partition(".")[0] for module in modules} <= sys.stdlib_module_names
