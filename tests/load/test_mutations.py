"""No damage to a spec makes `load` fail otherwise than by saying what is wrong and where."""

from __future__ import annotations

import json
import random

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sagespec.spec.schema import json_schema
from tests.mutations import TREES, VALID, Mutation, complaint, mutated_tree, mutations

COUNT = 300


def test_the_undamaged_specs_are_accepted() -> None:
    assert complaint(VALID.encode()) == ""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_mutation_is_accepted_or_refused_with_its_place(seed: int) -> None:
    said = [complaint(mutation.data) for mutation in mutations(COUNT, seed)]
    refused = sum(map(bool, said))
    assert COUNT // 2 < refused < COUNT, "the mutations have become too harmless, or too harmful, to tell anything"


def test_equal_seeds_give_equal_mutations() -> None:
    assert list(mutations(50, 7)) == list(mutations(50, 7))
    assert list(mutations(50, 7)) != list(mutations(50, 8))
    assert isinstance(next(mutations(1, 1)), Mutation)


@pytest.mark.parametrize("seed", range(10))
def test_what_the_schema_refuses_the_loader_refuses(seed: int) -> None:
    validator = Draft202012Validator(json_schema())
    assert all(validator.is_valid(tree) for tree in TREES)
    chance = random.Random(seed)
    for _ in range(100):
        what, tree = mutated_tree(chance)
        if not validator.is_valid(tree):
            assert complaint(json.dumps(tree, ensure_ascii=False).encode()), what
