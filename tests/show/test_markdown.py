"""The plan for a pull request."""

from __future__ import annotations

from dataclasses import replace

from sagespec.causes import Change
from sagespec.plan import Plan
from sagespec.show.markdown import MARKDOWN_LIMIT
from sagespec.show.plan import write_plan
from sagespec.state.addresses import endpoint_address, job_address
from tests.show.screens import BY, PLAN, REFUSED, RUNNING, WEIGHT, a_screen, out, routes


def test_markdown_begins_with_counts_and_folds_the_actions() -> None:
    screen = a_screen(format="markdown")
    write_plan(screen, PLAN, runtime="runtime process")
    text = out(screen)
    assert text.startswith("### sagespec plan: 1 to start, 1 to route, 1 to remove; 1 unchanged; 1 refused\n")
    assert "| `endpoint/churn` | 1 to route, 1 to remove | `weight of candidate 10 -> 30` |" in text
    assert "<details><summary>every action, in order</summary>" in text


def test_a_job_that_another_run_follows_is_a_row_in_markdown() -> None:
    screen = a_screen(format="markdown")
    write_plan(screen, Plan(running=(RUNNING,)), runtime="")
    assert out(screen).startswith("### sagespec plan: nothing to do; 1 running elsewhere\n")
    assert f"| `job/slow@1` | running elsewhere | `followed by {BY}; endpoint/churn waits for it` |" in out(screen)


def test_markdown_of_a_huge_plan_is_shortened_and_says_so() -> None:
    note = "x" * 200
    actions = tuple(routes(WEIGHT, about=endpoint_address(f"e{number}"), note=note) for number in range(3000))
    refused = tuple(replace(REFUSED, about=f"job/churn@{number}", why=note) for number in range(1, 3000))
    screen = a_screen(format="markdown")
    write_plan(
        screen,
        Plan(actions, tuple(job_address("j", n) for n in range(1, 3000)), refused, (note,) * 3000),
        runtime="",
    )
    assert len(out(screen)) < MARKDOWN_LIMIT
    assert out(screen).count(" more ") == 5


def test_words_of_a_spec_do_nothing_in_markdown() -> None:
    screen = a_screen(format="markdown")
    change = Change("environment.NAME", "", "a|b</details>@here `x`\n~~~~")
    write_plan(screen, Plan(actions=(routes(change),)), runtime="")
    rows = [line for line in out(screen).splitlines() if line.startswith("| `endpoint/churn`")]
    assert rows == [r"| `endpoint/churn` | 1 to route | `environment.NAME a\|b</details>@here 'x'`<br>`~~~~` |"]
    assert [line for line in out(screen).splitlines() if line.startswith("~~~~")] == ["~~~~text", "~~~~"]
