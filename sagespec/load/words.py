"""What pydantic objects to in a document, as a person would say it: place, field, what is wrong, how to fix it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sagespec.errors import Problem, did_you_mean
from sagespec.load.places import FieldPath, YamlDocument
from sagespec.spec.document import API_VERSION, DocumentSpec
from sagespec.spec.kinds import KINDS
from sagespec.spec.values import SpecModel, cut, in_flow, name_shown, quoted
from sagespec.state.addresses import Address

SOURCE = "Source"  # a kind of document that is none of the specs
MOST_PROBLEMS = 50  # reported for one document; nobody fixes more at once

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
}
_LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
}
_WHOLE_AFTER_ALL = re.compile(r"[-+]?[0-9]+(\.0*|\.?[0-9]*[eE]\+?[0-9]{1,2})")
# Other tools' words for fields of ours.
_OTHER_WORDS = {
    **dict.fromkeys(("label", "labels", "label_column", "target_column", "y"), "target"),
    **dict.fromkeys(("ignore", "exclude", "drop_columns"), "drop"),
    **dict.fromkeys(("categories", "cat_features", "categorical_features", "categorical_columns"), "categorical"),
    **dict.fromkeys(("path", "uri", "url", "s3_uri", "s3uri", "location"), "source"),
}
_LENGTHS = {
    "too_short": ("at least", "min_length", "entry", "entries"),
    "too_long": ("at most", "max_length", "entry", "entries"),
    "string_too_short": ("at least", "min_length", "character", "characters"),
    "string_too_long": ("at most", "max_length", "character", "characters"),
}


def wrong_kind(document: YamlDocument) -> Problem:
    """Why a document has no model to be checked against: it is no map, or of no kind we know."""
    if not isinstance(document.data, dict):
        return Problem(
            f"the document is {'one value' if document.scalar(()) else document.written()}, but must be a map",
            fix=f"start it with apiVersion: {API_VERSION} and kind: TrainingJob or Endpoint",
            where=document.place(),
        )
    likely = max(KINDS, key=lambda kind: len(KINDS[kind].model_fields.keys() & document.data.keys()))
    misspelt = next((name for name in document.data if name.lower() == "kind"), "kind")
    if misspelt != "kind":
        where = document.place((misspelt,), of_key=True)
        return Problem(f"{misspelt} is not a field", fix=f"write kind: {document.data[misspelt]}", where=where)
    if "kind" not in document.data:
        return Problem("kind is missing", fix=f"add kind: {likely}", where=document.place())
    if document.data["kind"] == SOURCE:
        return Problem(
            "a Source is no spec: whoever may commit could change whom it trusts",
            fix="move it out of the repository, and name it with --source",
            where=document.place(("kind",)),
        )
    return Problem(
        f"kind is {document.written(('kind',))}, but must be {_one_of(list(KINDS))}",
        fix=_near(str(document.data["kind"]), KINDS) or f"write kind: {likely}",
        where=document.place(("kind",)),
    )


def empty_hyperparameters(document: YamlDocument) -> list[Problem]:
    """Those without a value: to YAML that is null, which a program would get as the word."""
    given = document.data.get("hyperparameters")
    paths = [("hyperparameters", name) for name in given] if isinstance(given, dict) else []
    fix = "give it one, or remove the line; for null, write null"
    return [
        Problem(f"{_dotted(path)} has no value", about=about(document.data), fix=fix, where=document.place(path))
        for path in paths
        if document.scalar(path) == ("", False)
    ]


class Objections:
    """pydantic's errors on one document of the kind that `model` describes."""

    def __init__(self, document: YamlDocument, model: type[SpecModel]) -> None:
        self._document = document
        self._model = model
        self._about = about(document.data)

    def problems(self, error: ValidationError) -> list[Problem]:
        errors = error.errors(include_url=False)
        # A list with wrong entries is also "too short" to pydantic, which counts the right ones alone.
        around = {error["loc"][:length] for error in errors for length in range(len(error["loc"]))}
        errors = [error for error in errors if error["type"] != "too_short" or error["loc"] not in around]
        told = [self._problem(error) for error in errors[:MOST_PROBLEMS]]
        if left := errors[MOST_PROBLEMS:]:
            what = f"and {len(left):,} more problems in this document"
            told.append(self._at(left[0]["loc"], what, fix="correct the others and run again"))
        return told

    def _problem(self, error: ErrorDetails) -> Problem:
        kind, path, context = error["type"], error["loc"], error.get("ctx", {})
        of_key = bool(path) and path[-1] == "[key]"
        path = path[:-1] if of_key else path
        if kind == "missing":
            return self._missing_field(path)
        if kind == "extra_forbidden":
            return self._unknown_field(path)
        if kind == "sagespec":
            path += context["at"]
            joint = " " if context["what"].startswith("is ") else ": "
            what = f"{self._name(path)}{joint}{context['what']}" if path else context["what"]
            text, _ = self._document.scalar(path) or ("", False)
            return self._at(path, what, fix=context["fix"].replace("{written}", quoted(text)), of_key=of_key)
        is_written = f"{self._name(path)} is {self._document.written(path)}, but must be"
        if kind in _TYPES:
            return self._at(path, f"{is_written} {_TYPES[kind]}", fix=self._fix_of_type(path, _TYPES[kind]))
        if kind == "literal_error":
            known = re.findall(r"'([^']*)'", context["expected"])
            fix = _near(str(error["input"]), known) or f"write {path[-1]}: {known[0]}"
            return self._at(path, f"{is_written} {_one_of(known)}", fix=fix)
        if kind in _LIMITS:
            word, limit = _LIMITS[kind]
            return self._at(path, f"{is_written} {word} {context[limit]:,.15g}")
        if kind in _LENGTHS:
            word, limit, one, several = _LENGTHS[kind]
            count = context[limit]
            of = f"the name {cut(str(path[-1]))}" if of_key else self._name(path)
            return self._at(path, f"{of} needs {word} {count} {one if count == 1 else several}", of_key=of_key)
        return self._at(path, f"{self._name(path)}: {error['msg']}", of_key=of_key)

    def _at(self, path: FieldPath, what: str, *, why: str = "", fix: str = "", of_key: bool = False) -> Problem:
        place = self._document.place(path, of_key=of_key)
        return Problem(what, about=self._about, why=why, fix=fix, where=place)

    def _name(self, path: FieldPath) -> str:
        return _dotted(self._document.written_part(path) or path)

    def _missing_field(self, path: FieldPath) -> Problem:
        examples = self._holder(path).model_fields[str(path[-1])].examples or ["…"]
        return self._at(path, f"{_dotted(path)} is missing", fix=f"add {path[-1]}: {in_flow(examples[0])}")

    def _unknown_field(self, path: FieldPath) -> Problem:
        holder, word = self._holder(path), str(path[-1])
        fields = [name for name in holder.model_fields if name not in DocumentSpec.model_fields and name != "kind"]
        meant = _OTHER_WORDS.get(word.lower(), word)
        near = f'did you mean "{meant}"?' if meant in fields else ""
        inner = {} if near else _inside(self._model)
        field, owner = next(((name, owner) for name, owner in inner.items() if meant in owner.model_fields), ("", None))
        if not owner:
            near = near or _near(word, holder.model_fields) or _near(word.lower(), fields)
            owner = None if near else _kind_with(word)
        fix = self._where_it_goes(path, meant, field) if field else "move it there"
        return self._at(
            path,
            f"{_dotted(path)} is not a field of {_titled(holder)}",
            why=f"{'it' if meant == word else meant} is a field of {_titled(owner)}" if owner else "",
            fix=near or (fix if owner else f"remove it; the fields are {', '.join(fields)}"),
            of_key=True,
        )

    def _where_it_goes(self, path: FieldPath, meant: str, field: str) -> str:
        """field: that of the document in which there is a field `meant`."""
        owner = _inside(self._model)[field]
        value = self._document.data.get(path[0]) if len(path) == 1 else None
        value = "…" if value is None or isinstance(value, dict) or len(in_flow(value)) > 60 else value
        needed = {name: "…" for name, info in owner.model_fields.items() if info.is_required() and name != meant}
        entry: Any = {**needed, meant: value}
        held, annotation = self._document.data.get(field), _bare(self._model.model_fields[field].annotation)
        if get_origin(annotation) is dict:
            entry = {next(iter(held), "train") if isinstance(held, dict) else "train": entry}
        elif get_origin(annotation) is tuple:
            entry = [entry]
        return f"write it there: {in_flow({field: entry})[1:-1]}"

    def _holder(self, path: FieldPath) -> type[SpecModel]:
        return _model_at(self._model, path[:-1]) or self._model

    def _fix_of_type(self, path: FieldPath, wanted: str) -> str:
        text, is_quoted = self._document.scalar(path) or ("", True)
        if not is_quoted and text in ("", "~", "null"):
            return "give it a value, or remove the line"
        if wanted == "text":
            return f"quote it: {quoted(text)}" if text else "write one piece of text"
        if wanted == "a list":
            return "start each entry with - on a line of its own"
        if wanted == "a map":
            fields = getattr(_model_at(self._model, path), "model_fields", ())
            return "write name: value lines under it" + (f"; the fields are {', '.join(fields)}" if fields else "")
        if wanted == "a whole number" and _WHOLE_AFTER_ALL.fullmatch(text) and float(text).is_integer():
            return f"write {float(text):.0f}"  # 1e1, 2.0
        return "remove the quotes" if text and is_quoted else ""


def about(data: Mapping[str, Any]) -> str:
    """The address a document gives itself, or its kind while its name or version is wrong."""
    kind, name, version = str(data.get("kind")), data.get("name"), data.get("version")
    addresses = {
        "TrainingJob": f"job/{name}@{version}",
        **{kind: f"{kind.lower()}/{name}" for kind in ("Endpoint", "Notebook", "Model")},
    }
    address = addresses.get(kind, "")
    try:
        return str(Address.parse(address)) if len(address) <= 100 else kind
    except ValueError:
        return kind


def _dotted(path: FieldPath) -> str:
    return ".".join(cut(str(step)) for step in path)


def _one_of(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _near(word: str, known: Iterable[str]) -> str:
    return did_you_mean(word, known) if len(word) <= 64 else ""


def _titled(model: type[SpecModel]) -> str:
    name = name_shown(model)
    return name if name in KINDS else name.lower() if name.endswith("s") else f"a {name.lower()}"


def _model_at(model: type[SpecModel], path: FieldPath) -> type[SpecModel] | None:
    """The model for `path` in a document of kind `model`; None for maps, lists and scalars."""
    annotation: Any = model
    for step in path:
        annotation = _bare(annotation)
        if isinstance(annotation, type) and issubclass(annotation, SpecModel):
            field = annotation.model_fields.get(str(step))
            annotation = field.annotation if field else None
        else:  # what a map or list holds is the last of its parameters, the dots of tuple[x, ...] aside
            annotation = next((part for part in reversed(get_args(annotation)) if part is not ...), None)
    annotation = _bare(annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, SpecModel) else None


def _bare(annotation: Any) -> Any:
    """An annotation without Annotated and `| None`."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _inside(model: type[SpecModel]) -> Mapping[str, type[SpecModel]]:
    """The models inside `model`, or inside its maps and lists, by its fields."""
    found = ((name, _model_at(model, (name, *step))) for name in model.model_fields for step in ((), (0,)))
    return {name: inner for name, inner in found if inner}


def _kind_with(field_name: str) -> type[SpecModel] | None:
    return next((kind for kind in KINDS.values() if field_name in kind.model_fields), None)
