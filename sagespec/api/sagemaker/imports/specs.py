"""Specs of what is imported: each in a file of its own, that no earlier file makes room for; and the import itself.

A spec is written first: should a kill come in between, the next import, or `apply`, finds it and brings the model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from sagespec.api.sagemaker.translate.described import NOT_IN_CLEAR
from sagespec.api.sagemaker.translate.refusal import Refused
from sagespec.documents.emit import emit
from sagespec.errors import SpecError, WorldError, disk_problems
from sagespec.load.files import shown_name
from sagespec.load.load import load_what_is_right
from sagespec.parts import Parts
from sagespec.private import make_folder
from sagespec.spec.job import TrainingJob
from sagespec.state.addresses import Address
from sagespec.state.manifest import Manifest
from sagespec.verbs.candidates import problems_with
from sagespec.verbs.import_model import import_as_its_spec_says

_BEFORE_IMPORT = (  # fields of a job that say what it is
    *("apiVersion", "kind", "name", "version", "algorithm", "framework", "image"),
    *("source_dir", "entry_point", "distribution", "entrypoint", "arguments"),
)


@dataclass(frozen=True)
class Brought:
    """What an import has made. files: from the project's folder. left_out: fields that no spec has."""

    manifests: tuple[Manifest, ...]
    files: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def specs_folder(parts: Parts) -> Path:
    """Where a spec is written: the first folder that is loaded. SpecError where none is, so that none would be read."""
    paths, usual = [parts.root / path for path in parts.specs], parts.root / "specs"
    found = [path for path in paths if path.is_dir()] or [path for path in paths if path == usual]
    if not found:
        raise SpecError(
            "there is no folder for the spec of what is imported",
            why=f"only files are loaded: {', '.join(shown_name(path, parts.root) for path in paths)}",
            fix="run it without -f, or name a folder",
        )
    return found[0]


def with_import(document: Mapping[str, Any], source: str | Mapping[str, Any]) -> dict[str, Any]:
    first = {key: value for key, value in document.items() if key in _BEFORE_IMPORT}
    return {**first, "imported_from": source, **document}


def heading_of(what: str, about: str, left_out: Sequence[str]) -> tuple[str, ...]:
    secrets = [one for one in left_out if one.endswith(NOT_IN_CLEAR)]
    unsaid = ", ".join(one for one in left_out if one not in secrets)
    said = (f"Left out, since sagespec has no field for it: {unsaid}.",) if unsaid else ()
    return (
        f"Imported from SageMaker's {what}.",
        *((about,) if about else ()),
        *said,
        *map("Left out: {}".format, secrets),
    )


def refuse_wrong(parts: Parts, document: Mapping[str, Any]) -> None:
    """SpecError where it could not be a spec of this project."""
    file = specs_folder(parts) / f"{document['name']}.yaml"
    if problems := problems_with(parts, emit(document), file):
        raise SpecError(problems)


def write_spec(parts: Parts, document: Mapping[str, Any], heading: Sequence[str]) -> str:
    """Into a file that was not there; its path from the project's folder."""
    folder = specs_folder(parts)
    make_folder(folder)
    stem = document["name"] if document["kind"] == "TrainingJob" else f"endpoint-{document['name']}"
    for number in count(1):
        file = folder / (f"{stem}.yaml" if number == 1 else f"{stem}-{number}.yaml")
        if not file.exists():
            break
    with disk_problems(f"cannot write {file}"), file.open("x", encoding="utf-8") as opened:
        opened.write(emit(document, heading=heading))
    return Path(os.path.relpath(file, parts.root)).as_posix()


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turns what has no place here into a problem for whoever imports."""
    try:
        yield
    except Refused as refused:
        fix = "name what serves it: --algorithm, --framework or --image; or import its model.tar.gz alone"
        raise WorldError(f"{what} cannot be imported: {refused}", fix=fix) from None


def importing(parts: Parts, source: str) -> Address | None:
    """The job whose spec imports this archive."""
    loaded, _ = load_what_is_right(parts.specs, parts.root, parts.environment)
    for item in loaded.specs:
        if isinstance(item.spec, TrainingJob) and item.spec.imported_from and item.spec.imported_from.source == source:
            return item.address
    return None


def manifest_of(parts: Parts, job: Address) -> Manifest | None:
    return parts.records.manifests([job]).get(job)


def imported(parts: Parts, job: Address) -> Manifest:
    """The job's manifest, once its model is in the store."""
    return manifest_of(parts, job) or import_as_its_spec_says(parts, job)
