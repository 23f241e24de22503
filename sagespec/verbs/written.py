"""Fields of a spec that a person wrote are set, in its file: for bump and assign.

What comes of it is loaded again at once, as every command would, in each environment. If that does not work, all files
are put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagespec.documents.edit import Edit, edited, read_documents
from sagespec.documents.emit import in_braces
from sagespec.documents.files import one_writer, put
from sagespec.errors import SpecError, WorldError, disk_problems
from sagespec.load.environments import environment_files
from sagespec.load.files import read_text
from sagespec.load.load import load, specs_of
from sagespec.load.loaded import Loaded, LoadedSpec
from sagespec.parts import Parts
from sagespec.state.addresses import Address
from sagespec.verbs.plan import desired_of

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Setting:
    """A field that was set. old: as YAML; '' for one that was not there."""

    field: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.field} {self.old} -> {self.new}" if self.old else f"{self.field} {self.new}"


@dataclass(frozen=True)
class Written:
    """A spec that was edited. about: what it describes now. message: for a commit."""

    about: Address
    file: str
    line: int
    settings: tuple[Setting, ...]
    message: str = ""

    def as_json(self) -> dict[str, Any]:
        fields = [{"field": one.field, "old": one.old, "new": one.new} for one in self.settings]
        return {
            "about": str(self.about),
            "file": self.file,
            "line": self.line,
            "settings": fields,
            "message": self.message,
        }


def specs_as_written(parts: Parts) -> Loaded:
    """As the files say it, whatever an environment says beside them."""
    paths = parts.given_specs or specs_of(parts.root, "")
    return load(paths, parts.root, check_paths=False)


@dataclass(frozen=True)
class Beside:
    """A change elsewhere, without which the specs would be wrong. file: relative to the root. field: for people."""

    file: str
    number: int
    edit: Edit
    field: str
    old: str


def write_settings(
    parts: Parts,
    item: LoadedSpec,
    edits: Sequence[Edit],
    *,
    comes_true: Callable[[Loaded], bool],
    is_alone: bool = False,
    beside: Sequence[Beside] = (),
) -> Written:
    """Set fields of a spec. comes_true: whether the specs then say what was wanted: an environment may say something
    else. is_alone: in a tree without what git does not have, so that not all that the specs refer to is there. beside:
    what is changed with it. SpecError, and no change, when that leads to something wrong in any environment."""
    with one_writer(parts.root):
        right = [name for name in _environments(parts) if not _wrong_in(parts, name)]
        raw, text = _read(parts, item.origin.file)
        documents = read_documents(text, item.origin.file)
        number = next(n for n, document in enumerate(documents) if document.place() == item.origin)
        settings = [Setting(edit.field, _shown(documents[number].data, edit), in_braces(edit.value)) for edit in edits]
        settings += [Setting(one.field, one.old, in_braces(one.edit.value)) for one in beside]
        line = documents[number].place(edits[0].path).line
        texts = {item.origin.file: edited(text, item.origin.file, number, edits)}
        before = {item.origin.file: raw}
        for one in beside:
            if one.file not in texts:
                before[one.file], texts[one.file] = _read(parts, one.file)
            texts[one.file] = edited(texts[one.file], one.file, one.number, [one.edit])
        try:
            for file, new in texts.items():
                with disk_problems(f"cannot write {file}"):
                    put(_path(parts, file), (_BOM if before[file].startswith(_BOM) else b"") + new.encode())
            _check(parts, comes_true, is_alone=is_alone)
            _check_others(parts, right)
        except BaseException:
            for file, old in before.items():
                put(_path(parts, file), old)
            raise
    return Written(item.address, item.origin.file, line, tuple(settings))


def _path(parts: Parts, file: str) -> Path:
    return (parts.root / file).resolve()


def _read(parts: Parts, file: str) -> tuple[bytes, str]:
    path = _path(parts, file)
    return path.read_bytes(), read_text(path, file)


def _environments(parts: Parts) -> Iterable[str]:
    """All but the one that is asked for; '' for the specs as they are."""
    return (name for name in ("", *environment_files(parts.root)) if name != parts.environment)


def _wrong_in(parts: Parts, environment: str) -> SpecError | None:
    try:
        paths = parts.given_specs or specs_of(parts.root, environment)
        load(paths, parts.root, environment=environment, check_paths=False)
    except SpecError as error:
        return error
    return None


def _check_others(parts: Parts, right: Iterable[str]) -> None:
    """Nothing may be wrong in an environment where nothing was before."""
    for name in right:
        if error := _wrong_in(parts, name):
            raise SpecError(error.problems)


def _shown(data: Any, edit: Edit) -> str:
    for step in edit.path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return ""
    return in_braces(data)


def _check(parts: Parts, comes_true: Callable[[Loaded], bool], *, is_alone: bool) -> None:
    loaded = parts.load()
    if not comes_true(loaded):
        raise no_effect(parts)
    if is_alone:
        return
    with suppress(WorldError):  # models are looked up in the store, which may be away
        desired_of(parts, loaded, check_paths=False)


def no_effect(parts: Parts) -> SpecError:
    return SpecError(
        f"it would have no effect: the environment {parts.environment} says something else",
        why="the spec itself is edited, and what an environment sets is put over it",
        fix=f"edit the environment's file by hand: environments/{parts.environment}.yaml",
    )
