"""YAML files to specs, or to every problem in all of them at once, each with its place.

`project` calls `load` on every pass; `resolve` and `reconcile` read what it returns. Three steps:
find the files, read each into plain data with positions (`_Reading`), fill the models of `spec` and
put what pydantic objects to into a person's words (`_Words`). Nothing outside the files is looked at,
except whether a local path that a spec names exists.

YAML is read where versions 1.1 and 1.2 agree; a plain word or number that they read differently
(no, 010, 1:30, 2024-01-01) is refused rather than guessed.
"""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from stat import S_ISREG
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sagespec.errors import Origin, Problem, SpecError, did_you_mean
from sagespec.spec import API_VERSION, KINDS, Endpoint, Model, Project, Spec, TrainingJob, named_job, quoted
from sagespec.state import Address, endpoint_address, job_address

try:
    from yaml import CBaseLoader as _Loader
except ImportError:  # PyYAML built without libyaml: the same, ten times slower
    from yaml import BaseLoader as _Loader  # type: ignore[assignment]

PROJECT_FILE = "sagespec.yaml"
LARGEST_FILE = 4 * 2**20
MOST_NODES = 200_000  # a file's values, aliases written out: 1,000 endpoints are some 30,000
DEEPEST = 50

Path_ = tuple[str | int, ...]


# -- what comes out --------------------------------------------------------------------------------


@dataclass(frozen=True)
class LoadedSpec:
    """One document. `origins` maps field paths ("variants.0.model") to places; `origin` is its first line.

    folder: where its file is; relative paths in the spec start there.
    """

    spec: Spec
    origin: Origin
    origins: Mapping[str, Origin]
    folder: Path

    @property
    def address(self) -> Address:
        return address_of(self.spec)

    def origin_of(self, path: str) -> Origin:
        """The place of a field, or of the nearest one around it that is written."""
        while path and path not in self.origins:
            path = path.rpartition(".")[0]
        return self.origins.get(path, self.origin)

    def local_path(self, source: str) -> Path | None:
        """Where a path or file:// address in this spec points; None for what is not local (s3://…)."""
        if source.startswith("s3://"):
            return None
        return Path(os.path.normpath(self.folder / source.removeprefix("file://")))


@dataclass(frozen=True)
class Loaded:
    """What all files say: the project's settings and the specs, sorted by file and place.

    File names in origins are relative to `root`, or absolute for files outside it.
    """

    root: Path
    project: Project
    project_origins: Mapping[str, Origin]
    specs: tuple[LoadedSpec, ...] = ()
    files: tuple[str, ...] = ()  # every file that was read, so that "no specs" can say where it looked


def address_of(spec: Spec) -> Address:
    match spec:
        case TrainingJob():
            return job_address(spec.name, spec.version)
        case Endpoint():
            return endpoint_address(spec.name)


def find_root(start: Path) -> Path:
    """The nearest of `start` and the folders above it that holds sagespec.yaml."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise SpecError(
        f"no {PROJECT_FILE} in {start} or in any folder above it",
        why="it marks the root of a project and holds its settings",
        fix="run `sagespec init` in the folder that should be the root",
    )


def load(paths: Sequence[Path], root: Path, *, check_paths: bool = True) -> Loaded:
    """Everything in the files and folders `paths`, with the settings of `root`.

    Raises SpecError with all problems of all files, sorted by place. check_paths: whether local data
    that a spec names must be there already.
    """
    root = root.absolute()
    problems: list[Problem] = []
    project_file = root / PROJECT_FILE
    project, project_origins = _load_project(project_file, root, problems)
    files = [file for file in _find_files(paths, root, problems) if not _same_file(file, project_file)]
    specs = [spec for file in files for spec in _load_specs(file, root, problems)]
    problems += _clashes(specs)
    if check_paths:
        problems += [problem for spec in specs for problem in _missing_paths(spec)]
    if problems or project is None:
        raise SpecError(sorted(set(problems), key=lambda problem: (problem.where or Origin(""), problem.what)))
    return Loaded(
        root=root,
        project=project,
        project_origins=project_origins,
        specs=tuple(sorted(specs, key=lambda spec: spec.origin)),
        files=tuple(_shown_name(file, root) for file in files),
    )


def unresolved_models(loaded: Loaded) -> tuple[tuple[Problem, Address], ...]:
    """The variants whose model no TrainingJob in the specs makes, with the job each names.

    The caller drops those whose model the store already holds.
    """
    jobs = [item.address for item in loaded.specs if item.address.kind == "job"]
    versions: dict[str, list[int]] = defaultdict(list)
    for job in jobs:
        versions[job.name].append(job.version)
    found = []
    for item in loaded.specs:
        for index, variant in enumerate(item.spec.variants if isinstance(item.spec, Endpoint) else ()):
            named = named_job(variant.model)
            if not named or job_address(*named) in jobs:
                continue
            name, version = named
            known = ", ".join(f"{name}@{number}" for number in sorted(versions[name]))
            fix = f"the specs define {known}" if known else did_you_mean(name, sorted(versions))
            path = f"variants.{index}.model"
            problem = Problem(
                f"{path} is {variant.model}, but no spec defines that job",
                about=str(item.address),
                why="an endpoint serves the models of jobs in the specs or in the store",
                fix=fix or f"add a TrainingJob named {name} with version: {version}",
                where=item.origin_of(path),
            )
            found.append((problem, job_address(name, version)))
    return tuple(found)


# -- files -----------------------------------------------------------------------------------------


def _find_files(paths: Sequence[Path], root: Path, problems: list[Problem]) -> list[Path]:
    """The files named and those of the folders named, sorted, each once however it is reached."""
    found: dict[str, Path] = {}
    for path in paths:
        path = root / path
        for file in [path] if not path.is_dir() else _walk(path, root, problems, above=()):
            found.setdefault(os.path.realpath(file), file)
    return sorted(found.values())


def _walk(folder: Path, root: Path, problems: list[Problem], above: tuple[str, ...]) -> Iterator[Path]:
    """The *.yaml and *.yml below `folder`; links are followed, what is hidden is not."""
    real = os.path.realpath(folder)
    if real in above:
        problems.append(
            Problem(
                "is a link to a folder it is in",
                fix="remove the link",
                where=Origin(_shown_name(folder, root)),
            )
        )
        return
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        problems.append(_unreadable(folder, root, error))
        return
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry, root, problems, (*above, real))
        elif entry.suffix in (".yaml", ".yml"):
            yield entry


def _read_text(file: Path, root: Path, problems: list[Problem]) -> str | None:
    """The file's characters; None, with the problem noted, for what cannot be a spec."""
    try:
        # Not opened before it is known to be a plain file: a named pipe would wait for ever.
        status = file.stat()
        if not S_ISREG(status.st_mode):
            problems.append(Problem("is not a file", fix="name a YAML file or a folder", where=_top(file, root)))
            return None
        if status.st_size > LARGEST_FILE:
            problems.append(
                Problem(
                    f"is {status.st_size / 2**20:.0f} MiB, and a spec file may have {LARGEST_FILE // 2**20}",
                    fix="keep data out of the spec folders; split a large spec file",
                    where=_top(file, root),
                )
            )
            return None
        data = file.read_bytes()[: LARGEST_FILE + 1]
    except OSError as error:
        problems.append(_unreadable(file, root, error))
        return None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        problems.append(Problem("is written in UTF-16", fix="save the file as UTF-8", where=_top(file, root)))
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        problems.append(
            Problem(
                f"byte 0x{data[error.start]:02x} is not UTF-8",
                fix="save the file as UTF-8",
                where=_place(before, _shown_name(file, root)),
            )
        )
        return None
    if control := _UNPRINTABLE.search(text):
        problems.append(
            Problem(
                f"the character U+{ord(control[0]):04X} may not stand in YAML",
                fix="remove it; an editor that shows invisible characters helps",
                where=_place(text[: control.start()], _shown_name(file, root)),
            )
        )
        return None
    return text


_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as YAML 1.1 and libyaml count lines


def _place(text_before: str, file: str) -> Origin:
    lines = _LINE_BREAK.split(text_before)
    return Origin(file, len(lines), len(lines[-1]) + 1)


def _top(file: Path, root: Path) -> Origin:
    return Origin(_shown_name(file, root))


def _unreadable(path: Path, root: Path, error: OSError) -> Problem:
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return Problem(
            f"is a link to {path.readlink()}, which does not exist",
            fix="mend or remove the link",
            where=_top(path, root),
        )
    if isinstance(error, FileNotFoundError):
        return Problem(
            "does not exist", fix="`sagespec init` writes a first spec; -f names another place", where=_top(path, root)
        )
    return Problem(f"cannot be read: {error.strerror}", where=_top(path, root))


def _shown_name(path: Path, root: Path) -> str:
    path = Path(os.path.normpath(path))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _same_file(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


# -- YAML to plain data ----------------------------------------------------------------------------

_PLAIN, _TEXT, _MAP, _LIST = "plain", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"

_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: value for value in (True, False) for word in (str(value).lower(), str(value), str(value).upper())
}
_BOOLEAN_TO_SOME = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_READ_TWO_WAYS = [  # what it looks like, what it is to YAML 1.1, what it is to YAML 1.2
    (re.compile(r"[-+]?0[0-9]+"), "an octal number", "a decimal one"),
    (re.compile(r"0o[0-7]+"), "text", "an octal number"),
    (re.compile(r"[-+]?0b[01_]+"), "a binary number", "text"),
    (re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?"), "a number", "text"),
    (re.compile(r"[-+]?[1-9][0-9]*(:[0-5]?[0-9])+(\.[0-9]*)?"), "a number of base 60", "text"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "a date", "text"),
]
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class _RefusedError(Exception):
    """Ends the reading of a file: what follows in it cannot be read safely."""

    def __init__(self, what: str, fix: str, node: Node) -> None:
        super().__init__(what)
        self.what, self.fix, self.node = what, fix, node


class _Composer(_Loader):
    """libyaml's tree of nodes with their marks; plain scalars are left for `_Reading` to read.

    The two *_resolver methods are called around every node while the tree is being made: the place
    to stop before deep nesting overflows libyaml's stack or a file grows past all use.
    """

    depth = 0
    nodes = 0

    def resolve(self, kind: type[Node], _value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return _MAP if kind is MappingNode else _LIST

    def descend_resolver(self, current_node: Any, _current_index: Any) -> None:
        self.depth += 1
        self.nodes += 1
        if self.depth > DEEPEST:
            raise _too_deep(current_node)
        if self.nodes > MOST_NODES:
            raise _too_many(current_node)

    def ascend_resolver(self) -> None:
        self.depth -= 1


def _too_deep(node: Node) -> _RefusedError:
    return _RefusedError(
        f"nests more than {DEEPEST} levels deep", "flatten it, or look for an alias inside itself", node
    )


def _too_many(node: Node) -> _RefusedError:
    return _RefusedError(
        f"the file holds more than {MOST_NODES:,} values, aliases written out", "split it into several files", node
    )


@dataclass(frozen=True)
class _Document:
    """One YAML document: plain data, and the nodes that know where each part of it stands."""

    file: str
    node: Node
    data: Any

    def origin(self, path: Path_ = (), *, of_key: bool = False) -> Origin:
        """The place of the value at `path`, or of the innermost written one around it."""
        key, value, found = _descend(self.node, path)
        if found < len(path):
            of_key = True
        return _origin(self.file, key, value, of_key=of_key)

    @cached_property
    def origins(self) -> Mapping[str, Origin]:
        return dict(_all_origins(self.file, self.node, ()))


class _Origins(Mapping[str, Origin]):
    """The places of a document's fields, worked out when the first is asked for: mostly none ever is."""

    def __init__(self, document: _Document) -> None:
        self._document = document

    def __getitem__(self, path: str) -> Origin:
        return self._document.origins[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._document.origins)

    def __len__(self) -> int:
        return len(self._document.origins)


def _children(node: Node) -> Iterator[tuple[str | int, Node | None, Node]]:
    """(name or index, key's node, value's node) of a map's or list's entries."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode):
                yield key.value, key, value
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            yield index, None, value


def _descend(node: Node, path: Path_) -> tuple[Node | None, Node, int]:
    """The key and value nearest to `path`, and how many steps of it were found."""
    key: Node | None = None
    for found, step in enumerate(path):
        child = next(((k, v) for name, k, v in _children(node) if name == step), None)
        if child is None:
            return key, node, found
        key, node = child
    return key, node, len(path)


def _origin(file: str, key: Node | None, value: Node, *, of_key: bool = False) -> Origin:
    """Where to look: at the value, or at its key where the value is empty or starts on a line of its own."""
    block = isinstance(value, MappingNode | SequenceNode) and not value.flow_style
    empty = isinstance(value, ScalarNode) and value.value == "" and value.tag == _PLAIN
    mark = (key if key and (of_key or block or empty) else value).start_mark
    return Origin(file, mark.line + 1, mark.column + 1)


def _all_origins(file: str, node: Node, path: tuple[str, ...]) -> Iterator[tuple[str, Origin]]:
    for name, key, value in _children(node):
        here = (*path, str(name))
        yield ".".join(here), _origin(file, key, value)
        yield from _all_origins(file, value, here)


class _Reading:
    """One file's documents as plain data, and what is wrong with it as YAML."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._text = text
        self._nodes = 0

    def documents(self) -> Iterator[_Document]:
        """The documents up to the first place where the file stops being YAML; empty ones are left out."""
        composer = _Composer(self._text)
        try:
            while composer.check_node():
                node = cast(Node, composer.get_node())
                data = self._plain(node, 0)
                if data is not None:
                    yield _Document(self.file, node, data)
        except _RefusedError as refused:
            self._note(refused.what, refused.node, fix=refused.fix)
        except yaml.YAMLError as error:
            self.problems.append(_syntax_problem(error, self._text, self.file))
        finally:
            composer.dispose()

    def _note(self, what: str, node: Node, *, why: str = "", fix: str = "") -> None:
        self.problems.append(Problem(what, why=why, fix=fix, where=_origin(self.file, None, node)))

    def _plain(self, node: Node, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise _too_many(node)
        if depth > DEEPEST:
            raise _too_deep(node)
        if isinstance(node, ScalarNode):
            return self._scalar(node) if node.tag == _PLAIN else self._tagged(node, _TEXT)
        if isinstance(node, SequenceNode):
            self._tagged(node, _LIST)
            return [self._plain(item, depth + 1) for item in node.value]
        self._tagged(node, _MAP)
        return self._map(node, depth)

    def _map(self, node: Node, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        places: dict[str, Node] = {}
        for key_node, value_node in node.value:
            value = self._plain(value_node, depth + 1)
            name = self._key(key_node, depth)
            if name is None:
                continue
            if name in places:
                first = _origin(self.file, None, places[name])
                self._note(
                    f"{name} is given twice in one map",
                    key_node,
                    why=f"the first is at {first}; YAML readers differ in which one counts",
                    fix="remove one of them",
                )
                continue
            data[name], places[name] = value, key_node
        return data

    def _key(self, node: Node, depth: int) -> str | None:
        """A map's key; None, with the problem noted, when it is no text."""
        if isinstance(node, ScalarNode) and node.value == "<<" and node.tag == _PLAIN:
            self._note(
                "merge keys (<<) are not part of YAML 1.2 and not read here",
                node,
                fix="write the fields out, or give a whole value by alias: resources: *small",
            )
            return None
        noted = len(self.problems)
        key = self._plain(node, depth + 1)
        if isinstance(key, str):
            return key
        if len(self.problems) == noted:
            what = (
                f"the key {node.value} is not text"
                if isinstance(node, ScalarNode)
                else f"{_kind(node)} is used as a key"
            )
            fix = (
                f"quote it: {quoted(node.value)}"
                if isinstance(node, ScalarNode)
                else "write a name before the colon; quote text in braces"
            )
            self._note(what, node, fix=fix)
        return None

    def _tagged(self, node: Node, expected: str) -> Any:
        if node.tag != expected:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            self._note(f"the tag {tag} is not allowed", node, why="specs hold plain data only", fix="remove the tag")
        return node.value

    def _scalar(self, node: ScalarNode) -> Any:
        text = node.value
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in "-+.0123456789":
            if boolean := text.lower() in _BOOLEAN_TO_SOME and _BOOLEAN_TO_SOME[text.lower()]:
                self._read_two_ways(node, boolean, "text", f'write {boolean}, or quote it: "{text}"')
            return text
        if _INTEGER.fullmatch(text):
            number = int(text, 0) if len(text) <= 20 else math.inf
            if -(2**63) <= number < 2**63:
                return number
            self._note(f"{_cut(text)} is too large a number", node, fix="quote it if it is meant as text")
            return text
        for pattern, to_older, to_newer in _READ_TWO_WAYS:
            if pattern.fullmatch(text):
                self._read_two_ways(node, to_older, to_newer, f"quote it: {quoted(text)}")
                return text
        if _FLOAT.fullmatch(text):
            if math.isfinite(float(text)):
                return float(text)
            self._note(f"{_cut(text)} is too large a number", node, fix="quote it if it is meant as text")
        elif _NOT_FINITE.fullmatch(text):
            self._note(
                f"{text} is not a number a spec can hold", node, fix=f'quote it if it is meant as text: "{text[-3:]}"'
            )
        return text

    def _read_two_ways(self, node: ScalarNode, to_older: str, to_newer: str, fix: str) -> None:
        self._note(
            f"{_cut(node.value)} is {to_older} to some readers of YAML and {to_newer} to others",
            node,
            why="YAML 1.1 and 1.2 differ here, and a spec has to mean one thing",
            fix=fix,
        )


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def _kind(node: Node) -> str:
    return "a map" if isinstance(node, MappingNode) else "a list"


# libyaml's words and PyYAML's own, by what both contain: (what, fix, whether the opening place is the one to show).
_SYNTAX: list[tuple[str, str, str, bool]] = [
    (
        "mapping values are not allowed",
        'a ":" is not expected here',
        'quote a value that holds ": "; start the fields of one map in one column',
        False,
    ),
    ("sequence entries are not allowed", "a list may not start here", "start the list on a line of its own", False),
    ("could not find expected ':'", 'this line has no ":" after its name', "write it as name: value", True),
    (
        "unexpected end of stream|unexpected document (separator|indicator)",
        "the quote that opens here is never closed",
        "close it",
        True,
    ),
    (
        "expected ',' or '[]}]'",
        "a list or map in brackets goes on wrongly here",
        "put a comma between the entries, and close the bracket",
        False,
    ),
    (
        "expected '-' indicator|expected <block end>, but found '<block mapping",
        "this does not go on with the list above",
        "start every entry with - in one column; start the next field where the field before the list starts",
        False,
    ),
    (
        "expected key|expected <block end>",
        "this does not fit into the map around it",
        "start the fields of one map in one column; close quotes and brackets above",
        False,
    ),
    (
        "undefined alias",
        "an alias names an anchor that this document does not set above",
        "set it with &name, or quote the text",
        False,
    ),
    (
        "unknown escape character|hexdecimal|invalid Unicode",
        "an escape in double quotes that YAML does not know",
        "use single quotes, or write each backslash twice",
        False,
    ),
    (
        "document start",
        "this does not go on with the document above",
        "put --- on a line of its own between documents",
        False,
    ),
    (
        "expected node content|expected the node content",
        "a value is missing here",
        "write one, or quote the text if the sign belongs to it",
        False,
    ),
    ("tag", "a tag that YAML does not know", "remove it, or quote the text if the ! belongs to it", False),
    (
        "directive|incompatible YAML",
        "a directive that YAML does not know",
        "remove the line, or quote the text if the % belongs to it",
        False,
    ),
]


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """libyaml's complaint, in plain words and at the place that needs the change."""
    mark = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", "") or error)
    if mark is None:
        return Problem(f"is not YAML: {said}", where=Origin(file))
    lines = _LINE_BREAK.split(text)
    line = lines[mark.line] if mark.line < len(lines) else ""
    indentation = line[: len(line) - len(line.lstrip(" \t"))]
    if "\t" in indentation:
        place = Origin(file, mark.line + 1, indentation.index("\t") + 1)
        return Problem("a tab indents this line", why="YAML allows spaces only", fix="indent with spaces", where=place)
    where = Origin(file, mark.line + 1, mark.column + 1)
    if "cannot start any token" in said:
        sign = "a tab" if line[mark.column : mark.column + 1] == "\t" else line[mark.column : mark.column + 1]
        return Problem(
            f"{sign} cannot start a value", fix="quote the text" if sign != "a tab" else "use spaces", where=where
        )
    for pattern, what, fix, at_opening in _SYNTAX:
        if re.search(pattern, said):
            opening = getattr(error, "context_mark", None) if at_opening else None
            return Problem(
                what, fix=fix, where=Origin(file, opening.line + 1, opening.column + 1) if opening else where
            )
    return Problem(f"is not YAML: {said}", where=where)


# -- plain data to specs ---------------------------------------------------------------------------


def _load_project(file: Path, root: Path, problems: list[Problem]) -> tuple[Project | None, Mapping[str, Origin]]:
    if not os.path.lexists(file):
        problems.append(
            Problem(
                f"there is no {PROJECT_FILE} in {root}",
                why="it marks the root of a project and holds its settings",
                fix="run `sagespec init` there",
            )
        )
        return None, {}
    read = _documents(file, root, problems)
    found = [(document, spec) for document, spec in read or () if spec is None or isinstance(spec, Project)]
    for document, spec in read or ():
        if spec is not None and not isinstance(spec, Project):
            problems.append(
                Problem(
                    f"{PROJECT_FILE} holds the project's settings alone",
                    about=str(address_of(spec)),
                    fix="move this document into a file under specs/",
                    where=document.origin(),
                )
            )
    for document, _ in found[1:]:
        problems.append(
            Problem("a project has one document of settings", fix="remove this one", where=document.origin())
        )
    if read is not None and not found:
        problems.append(
            Problem(
                "holds no document of kind Project",
                fix=f"start it with apiVersion: {API_VERSION}, kind: Project and a name",
                where=_top(file, root),
            )
        )
    project = found[0][1] if found else None
    return (project, _Origins(found[0][0])) if isinstance(project, Project) else (None, {})


def _load_specs(file: Path, root: Path, problems: list[Problem]) -> Iterator[LoadedSpec]:
    for document, spec in _documents(file, root, problems) or ():
        if isinstance(spec, Project):
            problems.append(
                Problem(
                    f"a Project outside {PROJECT_FILE}",
                    why="a repository is one project, set up at its root",
                    fix=f"move what it sets to {PROJECT_FILE}",
                    where=document.origin(),
                )
            )
        elif spec is not None:
            yield LoadedSpec(spec, document.origin(), _Origins(document), file.parent)


def _documents(file: Path, root: Path, problems: list[Problem]) -> list[tuple[_Document, Spec | Project | None]] | None:
    """The file's documents with what each describes, None where it is wrong; None when the file cannot be read."""
    text = _read_text(file, root, problems)
    if text is None:
        return None
    reading = _Reading(text, _shown_name(file, root))
    filled = []
    wrong_fields: list[Problem] = []
    for document in reading.documents():
        described = _fill(document)
        if isinstance(described, list):
            wrong_fields += described
        filled.append((document, None if isinstance(described, list) else described))
    # What YAML itself made unclear is reported as that alone, not also as a field of the wrong type.
    places = {problem.where for problem in reading.problems}
    problems += reading.problems + [problem for problem in wrong_fields if problem.where not in places]
    return filled


def _fill(document: _Document) -> Spec | Project | list[Problem]:
    data = document.data
    if not isinstance(data, dict):
        return [
            Problem(
                f"the document is {_written(document.node)}, but must be a map",
                fix=f"start it with apiVersion: {API_VERSION} and kind: {' or '.join(list(KINDS)[:2])}",
                where=document.origin(),
            )
        ]
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return [_unknown_kind(document, kind)]
    model = KINDS[kind]
    try:
        return model.model_validate(data)
    except ValidationError as error:
        return _Words(document, model).problems(error)


def _unknown_kind(document: _Document, kind: Any) -> Problem:
    likely = max(KINDS, key=lambda name: len(KINDS[name].model_fields.keys() & document.data.keys()))
    if "kind" not in document.data:
        return Problem("kind is missing", fix=f"add kind: {likely}", where=document.origin())
    return Problem(
        f"kind is {_written(_descend(document.node, ('kind',))[1])}, but must be {_one_of(list(KINDS))}",
        fix=(isinstance(kind, str) and did_you_mean(kind, KINDS)) or f"write kind: {likely}",
        where=document.origin(("kind",)),
    )


_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "tuple_type": "a list",
    "list_type": "a list",
}
_LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_LENGTHS = {
    "too_short": ("at least", "min_length", "entr"),
    "too_long": ("at most", "max_length", "entr"),
    "string_too_short": ("at least", "min_length", "character"),
    "string_too_long": ("at most", "max_length", "character"),
}


class _Words:
    """pydantic's objections to one document, as a person would put them."""

    def __init__(self, document: _Document, model: type[Model]) -> None:
        self._document = document
        self._model = model
        self._about = _about(document.data)

    def problems(self, error: ValidationError) -> list[Problem]:
        errors = error.errors(include_url=False)
        # A list with wrong entries is also "too short" to pydantic, which counts the right ones alone.
        inner = {error["loc"][:length] for error in errors for length in range(len(error["loc"]))}
        return [
            self._problem(error)
            for error in errors
            if not (error["type"] in ("too_short", "too_long") and error["loc"] in inner)
        ]

    def _problem(self, error: ErrorDetails) -> Problem:
        kind, path, context = error["type"], error["loc"], error.get("ctx", {})
        of_key = bool(path) and path[-1] == "[key]"
        path = path[:-1] if of_key else path
        if kind == "sagespec":
            path += context["at"]
            return self._at(
                path, ": ".join(filter(None, (self._name(path), context["what"]))), fix=context["fix"], of_key=of_key
            )
        if kind == "extra_forbidden":
            return self._unknown_field(path)
        if kind == "missing":
            return self._missing_field(path)
        name = self._name(path)
        written = _written(_descend(self._document.node, path)[1])
        if kind in _TYPES:
            return self._at(
                path, f"{name} is {written}, but must be {_TYPES[kind]}", fix=self._fix_type(path, _TYPES[kind])
            )
        if kind == "literal_error":
            known = re.findall(r"'([^']*)'", context["expected"])
            fix = did_you_mean(str(error["input"]), known) or f"write {path[-1]}: {known[0]}"
            return self._at(path, f"{name} is {written}, but must be {_one_of(known)}", fix=fix)
        if kind in _LIMITS:
            word, limit = _LIMITS[kind]
            return self._at(path, f"{name} is {written}, but must be {word} {context[limit]:,}")
        if kind in _LENGTHS:
            word, limit, unit = _LENGTHS[kind]
            return self._at(path, f"{name} needs {word} {_counted(context[limit], unit)}", of_key=of_key)
        return self._at(path, f"{name}: {error['msg']}", of_key=of_key)

    def _at(self, path: Path_, what: str, *, why: str = "", fix: str = "", of_key: bool = False) -> Problem:
        return Problem(what, about=self._about, why=why, fix=fix, where=self._document.origin(path, of_key=of_key))

    def _name(self, path: Path_) -> str:
        """The path as far as the file has it: the short form of a channel has no `.source`."""
        _, _, found = _descend(self._document.node, path)
        return ".".join(map(str, path[: max(found, 1)]))

    def _unknown_field(self, path: Path_) -> Problem:
        *around, field_name = path
        holder = _model_at(self._model, tuple(around)) or self._model
        word, fields = str(field_name), list(holder.model_fields)
        near = did_you_mean(word, fields) or did_you_mean(word.lower(), fields)
        elsewhere = "" if near else _where_it_belongs(word, self._model, holder)
        return self._at(
            path,
            f"{'.'.join(map(str, path))} is not a field of {_titled(holder)}",
            why=elsewhere,
            fix=near or ("move it there" if elsewhere else f"remove it; the fields are {', '.join(fields)}"),
            of_key=True,
        )

    def _missing_field(self, path: Path_) -> Problem:
        *around, field_name = path
        holder = _model_at(self._model, tuple(around)) or self._model
        examples = holder.model_fields[str(field_name)].examples or ["…"]
        return self._at(path, f"{'.'.join(map(str, path))} is missing", fix=f"add {field_name}: {_flow(examples[0])}")

    def _fix_type(self, path: Path_, wanted: str) -> str:
        node = _descend(self._document.node, path)[1]
        if isinstance(node, ScalarNode):
            if node.tag == _PLAIN and _WORDS.get(node.value, "") is None:
                return "give it a value, or remove the line"
            if wanted == "text":
                return f"quote it: {quoted(node.value)}"
            if node.tag == _TEXT and wanted in ("a whole number", "a number", "true or false"):
                return "remove the quotes"
        if wanted == "a list":
            return "start each entry with - on a line of its own"
        if wanted == "a map":
            holder = _model_at(self._model, path)
            fields = f"; the fields are {', '.join(holder.model_fields)}" if holder else ""
            return f"write name: value lines under it{fields}"
        return ""


def _about(data: Mapping[str, Any]) -> str:
    """The address a document gives itself, or its kind while name or version are wrong."""
    kind, name, version = data["kind"], data.get("name"), data.get("version")
    address = {"TrainingJob": f"job/{name}@{version}", "Endpoint": f"endpoint/{name}"}.get(kind, "")
    try:
        return str(Address.parse(address))
    except ValueError:
        return str(kind)


def _written(node: Node) -> str:
    """A value as it stands in the file, short enough for one line."""
    if isinstance(node, ScalarNode):
        if node.tag == _PLAIN:
            return _cut(" ".join(node.value.split())) or "empty"
        return quoted(node.value)
    return _kind(node)


def _flow(value: Any) -> str:
    """Plain data in YAML's short form."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(map(_flow, value)) + "]" if isinstance(value, list) else str(value)


def _one_of(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _counted(number: int, unit: str) -> str:
    ending = ("y" if number == 1 else "ies") if unit == "entr" else ("" if number == 1 else "s")
    return f"{number:,} {unit}{ending}"


def _model_at(model: type[Model], path: Path_) -> type[Model] | None:
    """The model whose fields stand at `path` in a document of kind `model`; None where there is none."""
    annotation: Any = model
    for step in path:
        annotation = _bare(annotation)
        if isinstance(annotation, type) and issubclass(annotation, Model):
            if step not in annotation.model_fields:
                return None
            annotation = annotation.model_fields[str(step)].annotation
        else:  # a map's or list's entries are all of its last type, `...` aside
            entries = [part for part in get_args(annotation) if part is not ...]
            if not entries:
                return None
            annotation = entries[-1]
    annotation = _bare(annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Model) else None


def _bare(annotation: Any) -> Any:
    """An annotation without Annotated and `| None`."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _where_it_belongs(field_name: str, model: type[Model], holder: type[Model] | None) -> str:
    """Which model has a field of that name, when the one it was written in has not."""
    inner = [
        found for name in model.model_fields if (found := _model_at(model, (name,)) or _model_at(model, (name, 0)))
    ]
    others = [inner_model for inner_model in (model, *inner, *KINDS.values()) if inner_model is not holder]
    owner = next((other for other in others if field_name in other.model_fields), None)
    return f"{field_name} is a field of {_titled(owner)}" if owner else ""


def _titled(model: type[Model]) -> str:
    return model.__name__ if model.__name__ in KINDS else f"a {model.__name__.lower()}"


# -- across documents ------------------------------------------------------------------------------


def _clashes(specs: Sequence[LoadedSpec]) -> Iterator[Problem]:
    """Addresses given twice, and names that differ in case alone."""
    first: dict[Address, LoadedSpec] = {}
    spelling: dict[tuple[str, str], LoadedSpec] = {}
    for item in specs:
        address = item.address
        if earlier := first.get(address):
            yield Problem(
                "is defined twice",
                about=str(address),
                why=f"it is already defined at {earlier.origin}",
                fix="remove one, or raise its version" if address.kind == "job" else "remove one, or rename it",
                where=item.origin_of("name"),
            )
        first.setdefault(address, item)
        earlier = spelling.setdefault((address.kind, address.name.lower()), item)
        if earlier.spec.name != item.spec.name:
            yield Problem(
                f"differs from {earlier.spec.name} at {earlier.origin} in case alone",
                about=str(address),
                why="host names, and files on some systems, ignore case",
                fix="spell both alike, or rename one",
                where=item.origin_of("name"),
            )


def _missing_paths(item: LoadedSpec) -> Iterator[Problem]:
    """Local data that a spec names and that is not there."""
    match item.spec:
        case TrainingJob() as job:
            named = [(f"channels.{name}", channel.source, False) for name, channel in job.channels.items()]
        case Endpoint() as endpoint:
            named = [
                (f"variants.{index}.model", variant.model, True)
                for index, variant in enumerate(endpoint.variants)
                if not named_job(variant.model)
            ]
    for path, source, is_archive in named:
        place = item.local_path(source)
        if place is None or (place.is_file() if is_archive else place.exists()):
            continue
        is_folder = place.is_dir()
        yield Problem(
            f"{path}: {quoted(source)} {'is a folder, but must be a model.tar.gz' if is_folder else 'does not exist'}",
            about=str(item.address),
            why="" if is_folder else f"paths start at the spec's file, so this is {place}",
            where=item.origin_of(f"{path}.source"),
        )
