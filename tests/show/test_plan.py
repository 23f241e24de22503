"""The plan as text and as JSON."""

from __future__ import annotations

import json
import re
from typing import get_args

from sagespec.causes import Change
from sagespec.plan import Action, Plan
from sagespec.show.plan import write_plan
from sagespec.show.verbs import VERBS
from tests.show.screens import BY, CHURN, NOW, PLAN, RUNNING, WEIGHT, a_screen, out, routes


def test_every_action_has_a_tone_and_a_word() -> None:
    assert {kind.verb for kind in get_args(Action)} == VERBS.keys()


def test_a_plan_lists_actions_with_causes_then_refusals_then_counts() -> None:
    screen = a_screen()
    write_plan(screen, PLAN, runtime="runtime process: as requested")
    assert (
        out(screen)
        == """\
runtime process: as requested

  start-gateway    gateway                  new
  set-routes       endpoint/churn           weight of candidate 10 -> 30
  remove-instance  endpoint/churn/stable#0  left

refused  specs/churn.yaml:7:29  job/churn@3: hyperparameters.num_round is 200, but version 3 was trained with 100
  why  a version is immutable
  fix  set version: 4

note  endpoint/old is live but in no spec: --prune removes it

1 to start, 1 to route, 1 to remove; 1 unchanged; 1 refused
"""
    )


def test_an_empty_plan_says_so() -> None:
    screen = a_screen()
    write_plan(screen, Plan(unchanged=(CHURN,)), runtime="runtime process")
    assert out(screen).endswith("nothing to do; 1 unchanged\n")


def test_a_job_that_another_run_follows_has_a_row_and_is_counted() -> None:
    screen = a_screen()
    write_plan(screen, Plan(actions=(routes(WEIGHT),), unchanged=(CHURN,), running=(RUNNING,)), runtime="r")
    assert (
        out(screen)
        == f"""\
r

  set-routes  endpoint/churn  weight of candidate 10 -> 30
  running     job/slow@1      followed by {BY}; endpoint/churn waits for it

1 to route; 1 running elsewhere; 1 unchanged
"""
    )
    screen = a_screen(format="json")
    write_plan(screen, Plan(running=(RUNNING,)), runtime="r")
    document = json.loads(out(screen))
    assert document["counts"]["running"] == 1
    assert document["running"] == [
        {
            "about": "job/slow@1",
            "followed_by": BY,
            "since": NOW.isoformat(),
            "needed_by": ["endpoint/churn"],
            "waited_for": True,
        }
    ]


def test_a_plan_as_json_is_one_document_with_counts() -> None:
    screen = a_screen(format="json")
    write_plan(screen, PLAN, runtime="runtime process")
    document = json.loads(out(screen))
    assert document["counts"] == {
        "train": 0, "copy": 0, "import": 0, "start": 1, "route": 1, "record": 0, "remove": 1, "unchanged": 1,
        "refused": 1, "running": 0, "drift": 0, "stale": 0,
    }  # fmt: skip
    assert [action["action"] for action in document["actions"]] == ["start-gateway", "set-routes", "remove-instance"]
    assert document["refused"][0]["line"] == 7


def test_colours_are_there_only_when_wanted() -> None:
    plain, coloured = a_screen(), a_screen(colour=True)
    for screen in (plain, coloured):
        write_plan(screen, PLAN, runtime="runtime process")
    assert "\x1b" not in out(plain)
    assert "\x1b[33mset-routes" in out(coloured)
    assert re.sub(r"\x1b\[\d*m", "", out(coloured)) == out(plain)


def test_a_narrow_terminal_wraps_causes_under_themselves() -> None:
    screen = a_screen(width=60)
    plan = Plan(actions=(routes(Change("model of stable", "churn@1", "churn@2"), WEIGHT),))
    write_plan(screen, plan, runtime="runtime process")
    rows = out(screen).splitlines()[2:5]
    assert rows[0].startswith("  set-routes  endpoint/churn  model of stable")
    assert rows[1].startswith(" " * 30)
    assert max(map(len, rows)) <= 60
