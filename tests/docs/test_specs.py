"""Specs and fields of specs on the pages are ones that the models know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import BaseModel

from sagespec.spec.schema import DOCUMENTS as DOCUMENT_KINDS
from sagespec.spec.schema import json_schema
from sagespec.verbs.init import files
from tests.docs.pages import PAGES, ROOT, blocks, lines, section, spans

# Blocks that show a part of a document by its fields; those of GitHub's workflows and of Prometheus are none of ours.
OF_OTHERS = {"permissions", "uses", "with", "- uses", "scrape_configs", "groups"}


def models(kind: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The models inside a kind, by the name of the field that holds them."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in kind.model_fields.items():
        for model in models_in(field.annotation):
            found |= {name: model} | models(model)
    return found


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType) or get_args(annotation):
        for argument in get_args(annotation):
            yield from models_in(argument)


INSIDE = {name: model for kind in DOCUMENT_KINDS.values() for name, model in models(kind).items()}
FIELDS = {name for kind in DOCUMENT_KINDS.values() for name in kind.model_fields} | {
    name for model in INSIDE.values() for name in model.model_fields
}


def documents() -> list[tuple[Path, dict[str, Any]]]:
    """The YAML of all pages, document by document: fenced as yaml, or indented and beginning with a field."""
    found = []
    for page in PAGES:
        texts = blocks(page, "yaml") + indented_blocks(page)
        for text in texts:
            found += [(page, document) for document in yaml.safe_load_all(text) if isinstance(document, dict)]
    return found


def indented_blocks(page: Path) -> list[str]:
    """Blocks of code that are YAML: every line `name: …`, or a continuation of one."""
    found, block = [], list[str]()
    for line in [*lines(page), None]:
        if line and line.code and not line.language and line.text.strip():
            block.append(line.text.strip())
            continue
        if block and all(re.match(r"[a-z_A-Z]+: [^ ]", text) for text in block) and block[0].split(":")[0] in FIELDS:
            found.append("\n".join(block))
        block = []
    return found


DOCUMENTS = documents()


@pytest.mark.parametrize(("page", "document"), DOCUMENTS, ids=lambda value: getattr(value, "stem", None))
def test_documents_on_the_pages_are_valid(page: Path, document: dict[str, Any]) -> None:
    if OF_OTHERS & document.keys():
        return
    if "like" in document:  # not whole without the other
        Draft202012Validator(json_schema()).validate(document)
    elif "kind" in document:
        kind = DOCUMENT_KINDS[document["kind"]]
        kind.model_validate({"apiVersion": "sagespec/v1", **document, "kind": document["kind"]})
    else:
        assert document.keys() <= FIELDS


def test_documents_are_found() -> None:
    assert len([document for _, document in DOCUMENTS if "kind" in document]) > 5
    assert len(DOCUMENTS) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_dotted_fields_on_the_pages_exist(page: Path) -> None:
    dotted = [re.fullmatch(r"([a-z_]+)\.([a-z_]+)(?::.*)?", span) for span in spans(page.read_text())]
    for found in (found for found in dotted if found and found[1] in INSIDE and found[2] != "py"):
        assert found[2] in INSIDE[found[1]].model_fields, f"{page.name}: {found[0]}"


def test_a_field_that_is_none_is_seen() -> None:
    assert "min_healthy" in INSIDE["rollout"].model_fields
    assert "frobnicate" not in FIELDS
    assert {"resources", "stopping", "rollout", "variants", "channels"} <= INSIDE.keys()


def test_the_readme_calls_what_init_writes(tmp_path: Path) -> None:
    written = [text for file, text in files(tmp_path).items() if file.parent.name == "specs"]
    (endpoint,) = [spec for text in written for spec in yaml.safe_load_all(text) if spec["kind"] == "Endpoint"]
    call = section(ROOT / "README.md", "## Your own project")
    assert f'EndpointName="{endpoint["name"]}"' in call
    assert f"sagespec invoke {endpoint['name']} " in call
    assert re.findall(r'TargetVariant="(\w+)"', call) == [variant["name"] for variant in endpoint["variants"]]
