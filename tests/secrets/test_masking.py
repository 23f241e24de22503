"""What is masked: every form in which a text may hold a secret, in whatever leaves sagespec."""

from __future__ import annotations

import base64
import json
import random
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagespec.errors import InternalError, Problem, WorldError
from sagespec.events import Event, EventKind, Outcome, Result
from sagespec.masking import SHORTEST, Masks, forms_of, hide

SECRETS = st.text(min_size=SHORTEST, max_size=40).filter(lambda text: len(text.strip()) >= SHORTEST)


@given(SECRETS, st.text(max_size=20), st.text(max_size=20))
def test_no_form_of_a_secret_is_left_in_a_text(secret: str, before: str, after: str) -> None:
    masks = Masks()
    masks.hide(secret)
    for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]):
        assert form not in masks.masked(before + form + after)
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    assert encoded not in masks.masked(before + encoded + after)


def test_the_lines_of_a_key_are_masked_one_by_one() -> None:
    masks, lines = Masks(), ["-----BEGIN KEY-----", "bm90IGEga2V5", "YXQgYWxsLi4u", "-----END KEY-----"]
    masks.hide("\n".join(lines) + "\n")
    assert masks.masked("read YXQgYWxsLi4u from it") == "read *** from it"


def test_what_is_short_is_not_masked_and_the_longest_is_first() -> None:
    masks = Masks()
    assert not masks.hide("12345")
    assert masks.masked("12345") == "12345"
    assert masks.hide("secret")
    assert masks.hide("secret-and-more")
    assert not masks.hide("secret")
    assert masks.masked("secret-and-more, secret") == "***, ***"


def test_many_secrets_cost_little() -> None:
    masks, some = Masks(), random.Random(1)
    for _ in range(50):
        masks.hide("".join(some.choices("abcdefgh", k=20)))
    assert masks.masked("nothing in here " * 1000) == "nothing in here " * 1000


@pytest.fixture
def canary() -> str:
    hide("canary-0451-of-masking")
    return "canary-0451-of-masking"


def test_problems_events_and_outcomes_hold_no_secret(canary: str) -> None:
    problem = Problem(f"it said {canary}", why=f"since {canary}", fix=f"undo {canary}")
    event = Event(EventKind.NOTE, text=f"note {canary}")
    outcome = Outcome("id", "about", "verb", Result.FAILED, f"because of {canary}")
    for thing in (problem, event, outcome):
        assert canary not in f"{thing} {thing!r} {thing.as_json()}"
    assert problem.what == "it said ***"


def test_an_exception_holds_no_secret_in_a_notebook_either(canary: str) -> None:
    error = WorldError(f"it said {canary}", why=canary)
    assert canary not in f"{error} {error!r} {error.args}" + "".join(error._render_traceback_())
    with pytest.raises(InternalError) as bug:
        raise InternalError(canary) from ValueError(canary)
    assert canary not in "".join(bug.value._render_traceback_())


def test_forms_are_what_the_docs_say() -> None:
    assert forms_of("p@ss word") == {"p@ss word", "p%40ss%20word", "p%40ss+word", "cEBzcyB3b3Jk"}
