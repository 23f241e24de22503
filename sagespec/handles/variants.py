"""The document of an endpoint: what `deploy` and `split` make of it, and the file it stands in.

Variants are named for the version they serve (v1, v2), so that a model keeps its containers while the split changes.
A document that a person wrote is never touched: it is said what to write there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any

from sagespec.documents.emit import emit
from sagespec.documents.files import is_ours, remove
from sagespec.documents.places import file_for
from sagespec.errors import SpecError, disk_problems
from sagespec.handles.written import notebook_folder, write_documents
from sagespec.load.load import documents_of, load_text
from sagespec.load.loaded import LoadedSpec
from sagespec.parts import Parts
from sagespec.spec.document import API_VERSION
from sagespec.spec.endpoint import named_job
from sagespec.state.addresses import endpoint_address
from sagespec.verbs.candidates import refuse_another_spelling

LONGEST_NAME = 63


@dataclass(frozen=True)
class Wanted:
    """A model behind an endpoint: churn@1, its share, and fields of its variant that are to be other ones."""

    model: str
    weight: float | None = None
    fields: Mapping[str, Any] | None = None


class EndpointSpec:
    """What the specs have of one endpoint."""

    def __init__(self, parts: Parts, name: str) -> None:
        self.parts, self.name = parts, name
        address = endpoint_address(name)
        self.loaded = parts.load_what_is_right()[0]
        self.item: LoadedSpec | None = next((item for item in self.loaded.specs if item.address == address), None)
        self.is_persons = self.item is not None and not is_ours(parts.root / self.item.origin.file)
        there = parts.root / self.item.origin.file if self.item else None
        self.file = there or file_for(notebook_folder(parts), "Endpoint", name)

    @property
    def document(self) -> dict[str, Any] | None:
        """As it stands in its file; None if it stands in none."""
        found = documents_of(self.file, self.parts.root) if self.item else []
        return next((dict(document) for document in found if self._is_it(document)), None)

    def write(self, document: Mapping[str, Any]) -> bool:
        """Whether that was a change. SpecError when it is wrong, or when a person's file would have to change."""
        text = emit(document)
        wanted = load_text(text, self.file, self.parts.root).spec
        refuse_another_spelling(self.loaded, endpoint_address(self.name))
        if self.item and self.item.spec == wanted:
            return False
        if self.is_persons:
            assert self.item
            said = "\n".join(f"    {line}" for line in text.splitlines() if not line.startswith(("apiVersion", "kind")))
            raise SpecError(
                f"endpoint/{self.name} is in {self.item.origin.file}, which a person wrote, so it is not changed",
                why=f"it would have to say:\n{said}",
                fix="write that there and run `sagespec apply`, or deploy under another name: deploy(job, name=…)",
            )
        there = documents_of(self.file, self.parts.root) if self.file.exists() else []
        others = [other for other in there if not self._is_it(other)]
        write_documents(self.parts, self.file, [*others, document])
        return True

    def remove(self) -> None:
        """Take the document away. SpecError when it stands in a person's file."""
        if self.is_persons:
            assert self.item
            raise SpecError(
                f"endpoint/{self.name} is in {self.item.origin.file}, which a person wrote, so it is not removed",
                fix="remove it there, and run `sagespec apply --prune`",
            )
        if self.item is None:
            return
        others = [other for other in documents_of(self.file, self.parts.root) if not self._is_it(other)]
        if others:
            write_documents(self.parts, self.file, others)
        else:
            with disk_problems(f"cannot remove {self.file}"):
                remove(self.file)

    def _is_it(self, document: Any) -> bool:
        is_endpoint = isinstance(document, dict) and document.get("kind") == "Endpoint"
        return bool(is_endpoint and document.get("name") == self.name)


def document_of(name: str, before: Mapping[str, Any] | None, wanted: Sequence[Wanted]) -> dict[str, Any]:
    """The document with these variants; all else stays as it was, and so does what a variant of the same model says."""
    new = {"apiVersion": API_VERSION, "kind": "Endpoint", "name": name}
    document: dict[str, Any] = dict(before) if before else dict(new)
    known = {str(variant.get("model")): variant for variant in document.get("variants", ())}
    taken = {str(known[one.model]["name"]).lower() for one in wanted if one.model in known}
    variants = []
    for one in wanted:
        variant = dict(known.get(one.model) or {"name": _name_of(one.model, name, taken), "model": one.model})
        if len(wanted) == 1 and one.weight is None:
            variant.pop("weight", None)
        elif one.weight is not None:
            variant["weight"] = _weight(one)
        variant |= one.fields or {}
        variants.append(variant)
    return {**document, "variants": variants}


def _weight(wanted: Wanted) -> int | float:
    weight = wanted.weight
    if not isinstance(weight, Real) or isinstance(weight, bool) or not isfinite(weight):
        raise SpecError(f"the weight of {wanted.model} is {weight!r}", fix="give a number, 0 or more")
    return int(weight) if float(weight).is_integer() else float(weight)


def _name_of(model: str, endpoint_name: str, taken: set[str]) -> str:
    """v2 for version 2 of the model that the endpoint is named after, else its own name in front."""
    job = named_job(model)
    assert job, "a variant of a job"
    base = f"v{job[1]}" if job[0] == endpoint_name else f"{job[0][: LONGEST_NAME - 20].rstrip('-')}-v{job[1]}"
    name, number = base, 2
    while name.lower() in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name.lower())
    return name
