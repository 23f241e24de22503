"""The rule by which a document is put over another, for all documents: what it gives, and where each value is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.load.merge import Merged, parts_of, put_over
from sagespec.load.places import YamlDocument
from sagespec.load.reading import Reading

NAMES = st.sampled_from(["a", "b", "resources", "variants", "metrics"])
SCALARS = st.one_of(st.integers(0, 99), st.booleans(), st.sampled_from(["x", "two words"]))
ENTRIES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.dictionaries(st.sampled_from("pq"), SCALARS), max_size=3)
NAMED = ENTRIES.map(lambda entries: [{"name": name, **fields} for name, fields in entries.items()])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
BASES = st.dictionaries(NAMES, VALUES | NAMED, max_size=5)
PATCHED = st.recursive(SCALARS | st.none(), lambda inner: st.dictionaries(NAMES | st.just("c"), inner, max_size=3))
PATCHES = st.dictionaries(NAMES, PATCHED | VALUES, max_size=4)


def document(data: dict[str, Any], file: str) -> YamlDocument:
    """Over several lines, so that places differ: JSON is YAML."""
    (found,) = Reading(json.dumps(data, indent=1), file).documents()
    return found


def merged(base: dict[str, Any], patch: dict[str, Any]) -> tuple[Merged, dict[str, list[str]]]:
    texts = {name: json.dumps(data, indent=1).split("\n") for name, data in (("base", base), ("patch", patch))}
    below, over = document(base, "base"), document(patch, "patch")
    return put_over(parts_of(below.node, below.data), parts_of(over.node, over.data), below.node), texts


def plain(base: Any, patch: Any, *, top: bool = True) -> Any:
    """The rule once more, over data without places."""
    if not isinstance(base, dict) or not isinstance(patch, dict):
        return patch
    found = dict(base)
    for name, value in patch.items():
        there = found.get(name)
        if value is None:
            found.pop(name, None)
        elif top and name in ("variants", "metrics") and isinstance(value, dict) and _is_named(there):
            found[name] = _by_name(there or [], value)
        else:
            found[name] = plain(there, value, top=False)
    return found


def _is_named(there: Any) -> bool:
    if there is None:
        return True
    names = [one.get("name") if isinstance(one, dict) else None for one in there] if isinstance(there, list) else [None]
    return all(isinstance(name, str) for name in names) and len(set(names)) == len(names)


def _by_name(entries: list[dict[str, Any]], patch: dict[str, Any]) -> list[Any]:
    changed = {one["name"]: one for one in entries}
    for name in [name for name in patch if name in changed]:
        if patch[name] is None:
            del changed[name]
        else:
            changed[name] = plain(changed[name], patch[name], top=False)
    return list(changed.values())


@given(BASES)
def test_a_patch_of_nothing_changes_nothing(base: dict[str, Any]) -> None:
    found, _ = merged(base, {})
    assert found.document.data == base
    assert (found.absent, found.taken_away) == ((), {})


@given(BASES, PATCHES)
@settings(max_examples=300)
def test_it_is_as_the_rule_says(base: dict[str, Any], patch: dict[str, Any]) -> None:
    found, _ = merged(base, patch)
    assert found.document.data == plain(base, patch)


@given(BASES, PATCHES)
@settings(max_examples=300)
def test_every_value_is_where_it_is_said_to_be(base: dict[str, Any], patch: dict[str, Any]) -> None:
    found, texts = merged(base, patch)
    for path, value in leaves(found.document.data, ()):
        place = found.document.origins[path]
        written = texts[place.file][place.line - 1][place.column - 1 :]
        assert written.startswith(json.dumps(value)), f"{path} is said to be at {place}"


@given(BASES, st.dictionaries(st.sampled_from(["a", "b", "resources"]), VALUES, max_size=3))
def test_to_patch_twice_is_to_patch_once(base: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merged(base, patch)[0].document.data
    assert merged(once, patch)[0].document.data == once


def leaves(data: Any, path: tuple[str, ...]) -> list[tuple[str, Any]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else None
    if items is None:
        return [(".".join(path), data)]
    return [leaf for name, value in items for leaf in leaves(value, (*path, str(name)))]
