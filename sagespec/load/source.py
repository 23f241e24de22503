"""A Source document from its file, with every problem in it and the place of each."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from sagespec.errors import Problem, SpecError
from sagespec.load.files import read_text
from sagespec.load.reading import Reading
from sagespec.load.words import Objections
from sagespec.spec.document import API_VERSION
from sagespec.spec.source import Source

_KINDS = f"start it with apiVersion: {API_VERSION} and kind: Source"


def load_source(file: Path) -> Source:
    """SpecError with all that is wrong with the file."""
    name = str(file)
    reading = Reading(read_text(file, name), name)
    documents = list(reading.documents())
    if reading.problems:
        raise SpecError(reading.problems)
    if len(documents) != 1:
        what = f"{name} holds {len(documents)} documents, and must hold one Source"
        raise SpecError(what, fix="keep one file for each source" if documents else _KINDS)
    (document,) = documents
    kind = document.data.get("kind") if isinstance(document.data, dict) else None
    if kind != "Source":
        raise SpecError(Problem(f"kind is {kind or 'missing'}, but must be Source", fix=_KINDS, where=document.place()))
    try:
        return Source.model_validate(document.data)
    except ValidationError as error:
        raise SpecError(Objections(document, Source).problems(error)) from None


def source_of(name: str, url: str, **said: object) -> Source:
    """A source without a file. SpecError with all that is wrong with it."""
    try:
        return Source.model_validate({"apiVersion": API_VERSION, "kind": "Source", "name": name, "url": url, **said})
    except ValidationError as error:
        wrong = [one.get("ctx", {}) for one in error.errors(include_url=False)]
        raise SpecError([Problem(str(one.get("what", error)), fix=str(one.get("fix", ""))) for one in wrong]) from None
