"""Who may import whom, read from the sources: late imports and those under TYPE_CHECKING count like all others.

A unit is a module, or a package whose files are its own affair (`show`, `load`). docs/architecture.md has the same
bands. There is no exception; a new module goes where it needs none.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SAGESPEC = Path(__file__).parents[1] / "sagespec"
IMAGES = Path(__file__).parents[1] / "images"

# From top to bottom: bands, and inside a band its levels. A unit imports units of lower levels, never one of its own.
BANDS = [
    (
        "people",
        "talk to people and programs; nothing inside knows that they exist",
        "__main__ | cli | notebook | api dashboard | s3 web handles | project | writing | looking | show | verbs"
        " | documents monitoring notify webhook",
    ),
    ("loop", "put stages together, again and again", "watch | edits standby pull | converge | passes | apply"),
    ("doing", "effects, each safe to repeat", "parts serve | world | run | inputs | part"),
    ("knowing", "turn one thing into values; reconcile touches nothing", "observe resolve | load | reconcile"),
    (
        "engines",
        "know an engine or a store, and nothing of plans",
        "traffic | gateway | runtimes.choose | runtimes.swarm | runtimes.docker runtimes.process | runtimes.machine"
        " | runtimes.protocol runtimes.first_line runtimes.opened | secrets | records | stores.open stores.waits"
        " | stores.directory stores.s3 stores.bucket | buckets | stores.s3_problems | stores.keys"
        " | stores.protocol"
        " | forge sources repository clock scratch ports listener | own_git | children private",
    ),
    (
        "values",
        "data; imports no SDK, clock, logger or os",
        "events drift | plan contract | ongoing versions | causes | state | spec | errors"
        " | display masking frames evidence",
    ),
]

# What is decided or described without touching anything: these may import so much and no more.
VALUES = "collections dataclasses datetime enum functools itertools math re typing"
PURE = {
    "versions": ("causes state", VALUES, "told and never asked for more"),
    "causes": ("spec.environment errors", VALUES, "said, compared and never asked for more"),
    "reconcile": (
        "plan ongoing causes state spec errors display evidence",
        VALUES,
        "the same snapshot must give the same plan",
    ),
    "plan": (
        "ongoing versions causes state errors display",
        f"{VALUES} hashlib json",
        "printed, compared and carried out, never asked for more",
    ),
    "state": ("spec errors display evidence", f"{VALUES} hashlib json pydantic", "hashes are of values alone"),
    "gateway.table": ("gateway state errors", f"{VALUES} hashlib json", "the gateway writes and asks; this says what"),
    "gateway.routes": (
        "gateway state spec.split errors",
        f"{VALUES} json",
        "the gateway writes and asks; this says what",
    ),
    "gateway.keys": ("spec.split", VALUES, "the gateway writes and asks; this says what"),
    "gateway.lending": ("gateway.table state", VALUES, "the gateway writes and asks; this says what"),
    "gateway.documents": (
        "gateway contract state errors",
        f"{VALUES} json ipaddress",
        "the gateway writes and asks; this says what",
    ),
    "gateway.answers": ("gateway state errors", f"{VALUES} json", "reads what Envoy has said, and asks nothing"),
    "gateway.totals": ("gateway state errors", f"{VALUES} json", "reads what Envoy has said, and asks nothing"),
    "traffic.latencies": ("gateway.totals", f"{VALUES} struct", "the same readings must give the same figures"),
    "traffic.intervals": (
        "gateway.table gateway.totals traffic.latencies",
        VALUES,
        "the same readings must give the same figures",
    ),
    "traffic.ring": ("traffic.intervals traffic.latencies", f"{VALUES} struct", "time comes from whoever adds to it"),
    "run.faults": ("run contract state errors", f"{VALUES} pydantic", "the same ends must give the same verdict"),
    "run.bars": ("", VALUES, "every reader of a log must see the same"),
    "run.metrics": ("run.bars state", VALUES, "the same lines must give the same series, whoever reads them"),
    "verbs.changes": ("spec.values state", VALUES, "the same records must give the same rows"),
    "verbs.states": (
        "plan ongoing causes reconcile gateway.answers verbs.door_states verbs.notebook_states state errors display"
        " frames",
        VALUES,
        "the same snapshot must give the same rows",
    ),
    "verbs.door_states": ("state", VALUES, "the same snapshot must give the same words"),
    "verbs.endpoint_states": (
        "plan ongoing reconcile gateway.answers gateway.table verbs.lent verbs.states state errors",
        VALUES,
        "the same snapshot must give the same rows",
    ),
    "evidence": ("", VALUES, "the same counts must give the same verdict"),
    "contract": (
        "spec.secrets state errors",
        f"{VALUES} json",
        "SageMaker's contract as data, the same on every engine",
    ),
}
IMPURE_CALLS = {"now", "utcnow", "today", "open", "print", "input", "eval", "exec", "__import__"}

# Everything from outside the standard library: who may import it, and why nobody else.
OUTSIDERS = {
    "docker": (
        "runtimes.docker.builds runtimes.docker.network runtimes.docker.containers runtimes.docker.creation "
        "runtimes.docker.credentials runtimes.docker.engine runtimes.docker.images runtimes.docker.mounts "
        "runtimes.docker.runtime runtimes.docker.volumes runtimes.swarm",
        "another engine is another folder, not a rewrite",
    ),
    "requests": ("runtimes.docker.engine runtimes.swarm", "the Docker SDK raises its errors"),
    "cheroot": ("web.server web.requests", "another server is another file"),
    "IPython": ("notebook show handles", "there is a kernel only in a notebook"),
    "ipykernel": ("notebook", "there is a kernel only in a notebook"),
    "jupyterlab": ("notebook.child", "it runs in a process of its own"),
    "jupyter_core": ("notebook.kernelspec", "where kernels of a user are is Jupyter's to say"),
    "pandas": ("handles frames verbs.answers", "loaded where a frame comes, or is asked for"),
    "numpy": ("handles verbs.bodies", "loaded where an array comes, or is asked for"),
    "werkzeug": ("dashboard", "Flask's own errors and answers"),
    "jinja2": ("dashboard", "pages are the dashboard's"),
    "boto3": ("stores.s3 stores.s3_problems secrets api.sagemaker.imports.aws", "whoever has no S3 never waits for it"),
    "botocore": (
        "stores.s3 stores.s3_problems api secrets",
        "whoever has no S3 never waits for it; SageMaker's shapes are in it",
    ),
    "mypy_boto3_s3": ("stores.s3", "boto3's types"),
    "yaml": (
        "load.reading load.places load.syntax load.merge documents.emit documents.edit",
        "one room knows YAML, its lines and columns, and one writes it",
    ),
    "watchdog": ("edits", "one place is woken by files"),
    "flask": ("api s3 dashboard", "the serving programs of images/ bring their own"),
    "click": ("cli", "nothing else knows of options and arguments"),
    "rich": ("show", "nothing else knows of terminals"),
    "plotext": ("show", "nothing else draws"),
    "pathspec": ("sources.ignored", "loaded where there is a .sagespecignore"),
    "regex": ("run.patterns", "elsewhere Python's own will do"),
    "matplotlib": ("show", "nothing else draws"),
    "pydantic": (
        "spec state.manifest state.revision state.rollout state.progress state.counts state.tally state.rewards "
        "state.source state.sweeping load "
        "records.records records.repairs records.sources records.tallies records.rewards records.sweeping "
        "records.suspensions records.holder records.lease "
        "records.leases run.notes run.reads resolve.builtins run.faults",
        "at the border: what is read from files",
    ),
    "pydantic_core": (
        "spec load records.records",
        "at the border, where pydantic's own door is too slow or says too little",
    ),
}

LEVELS = [level.split() for _, _, units in BANDS for level in units.split(" | ")]
LEVEL = {unit: number for number, units in enumerate(LEVELS) for unit in units}


def unit_of(module: str) -> str:
    """The unit that a module inside of sagespec belongs to: itself, or the nearest package that is one."""
    name = module
    while name not in LEVEL and "." in name:
        name = name.rpartition(".")[0]
    assert name in LEVEL, f"sagespec.{module} is in no band of BANDS: say where it belongs"
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
        "from typing import TYPE_CHECKING\nfrom sagespec import __version__, plan\n"
        "if TYPE_CHECKING:\n    from sagespec.project import Project\n"
        "def late():\n    import docker.errors\n    from sagespec.stores.s3 import S3Store\n"
    )
    assert sorted(imports_of(file)) == [
        (1, "typing"),
        (2, "sagespec"),
        (2, "sagespec.plan"),
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


def test_every_unit_imports_only_what_is_below_it() -> None:
    wrong = [
        f"{place}: {who} imports {whom}, which is not below it"
        for place, who, whom in INSIDE
        if who != whom and LEVEL[whom] <= LEVEL[who]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_package_file_defines_anything() -> None:
    """A folder's code is in files with names, so that a traceback says which."""
    wrong = [
        f"{file}:{node.lineno}"
        for file in FILES
        if file.name == "__init__.py"
        for node in ast.parse(file.read_text()).body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not isinstance(node, ast.ImportFrom | ast.Import)
        and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_one_that_imports_it() -> None:
    graph: dict[str, set[str]] = {}
    for _, name, _, module in FOUND:
        if module.startswith("sagespec."):
            graph.setdefault(name, set()).add(module.removeprefix("sagespec."))
    circles = [name for name in graph if name in reachable(graph, name)]
    assert not circles


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """All that `start` imports, directly or through others."""
    seen: set[str] = set()
    ahead = set(graph.get(start, ()))
    while ahead:
        name = ahead.pop()
        seen.add(name)
        ahead |= graph.get(name, set()) - seen
    return seen


def test_the_package_itself_imports_only_what_it_makes_public() -> None:
    assert {module for _, module in imports_of(SAGESPEC / "__init__.py")} <= {
        "__future__",
        "importlib",
        "typing",
        "sagespec.project",
        "sagespec.reconcile.options",
        "sagespec.errors",
        "sagespec.notebook.extension",
        "sagespec.handles.channels",
        "sagespec.handles.deploying",
        "sagespec.handles.endpoints",
        "sagespec.handles.jobs",
        "sagespec.handles.training",
        "sagespec.converge",
        "sagespec.show.progress",
        "sagespec.verbs.answers",
    }


@pytest.mark.parametrize("part", PURE)
def test_what_decides_touches_nothing(part: str) -> None:
    ours, theirs, reason = PURE[part]
    allowed = {"__future__", *theirs.split()}
    wrong = []
    files = [file for file in FILES if belongs(name_of(file), part)]
    assert files, f"there is no sagespec.{part}"
    for file in files:
        for line, module in imports_of(file):
            inside = module.removeprefix("sagespec.")
            if module.startswith("sagespec"):
                if not any(belongs(inside, one) for one in (part, *ours.split())):
                    wrong.append(f"{file}:{line}: {module}")
            elif module.partition(".")[0] not in allowed:
                wrong.append(f"{file}:{line}: {module}")
        wrong += (f"{file}:{line}: calls {name}()" for line, name in calls_of(file) if name in IMPURE_CALLS)
    assert not wrong, f"{part} is held tighter ({reason}):\n" + "\n".join(wrong)


def belongs(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


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
        if not any(belongs(name, owner) for owner in owners.split()):
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
    """It stands in the way of every start, so it has nothing of others, and of ours only its own parts."""
    graph: dict[str, set[str]] = {}
    for _, name, _, module in FOUND:
        graph.setdefault(name, set()).add(module.removeprefix("sagespec."))
    modules = reachable(graph, "runtimes.process.shim")
    own = {name for name in modules if re.fullmatch(r"runtimes\.process\.(shim_\w+|restarts)", name)}
    assert {module.partition(".")[0] for module in modules - own} <= sys.stdlib_module_names
    assert not modules & {"signal", "pathlib", "typing", "dataclasses", "contextlib", "subprocess"}, "slow to import"
