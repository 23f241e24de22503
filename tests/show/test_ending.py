"""How a run ended, and where the endpoints are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sagespec.converge import Converged
from sagespec.errors import Problem
from sagespec.events import Outcome, Result
from sagespec.plan import Plan
from sagespec.show.ending import write_converged
from tests.show.screens import BY, RUNNING, URLS, WEIGHT, a_screen, out, routes

RUN = Outcome("run-job job/a@1", "job/a@1", "run-job", Result.DONE, seconds=1.0)


def ending(converged: Converged, **settings: Any) -> str:
    screen = a_screen(**settings)
    write_converged(screen, converged, 1.5, urls=URLS)
    return out(screen)


def test_a_good_end_says_what_was_done_and_where_the_endpoints_are() -> None:
    assert (
        ending(Converged(Plan(), (RUN,)))
        == f"\neverything is up to date (1 done in 1.5 s)\n\nendpoint/churn  {URLS['churn']}\n"
    )
    assert "nothing to do: everything is up to date" in ending(Converged(Plan()))
    assert "sagespec invoke churn" in ending(Converged(Plan(), (RUN,)), live=True)


def test_a_bad_end_says_what_failed_once() -> None:
    failed = replace(RUN, result=Result.FAILED, reason="it broke\n  fix  mend it")
    text = ending(Converged(Plan(), (failed,)))
    assert "failed  job/a@1: it broke\n" in text
    assert "not up to date: 1 failed (1 failed in 1.5 s)" in text
    refused = Plan(refused=(Problem("failed: it broke", about="job/a@1"),))
    assert ending(Converged(refused, (failed,))).count("it broke") == 1
    assert "not up to date: 1 failed (" in ending(Converged(refused, (failed,)))
    unhealthy = replace(failed, about="endpoint/churn/stable", reason="it exited; its last lines:\n    oh")
    assert "failed  endpoint/churn/stable: it exited\n" in ending(Converged(Plan(), (unhealthy,)))
    given_up = Problem(f"revision 1 failed: {unhealthy.reason}", about="endpoint/churn")
    assert ending(Converged(Plan(refused=(given_up,)), (unhealthy,))).count("it exited") == 1
    assert "not up to date: 1 failed (" in ending(Converged(Plan(refused=(given_up,)), (unhealthy,)))


def test_a_bad_end_names_the_addresses_of_those_endpoints_alone_that_are_as_specified() -> None:
    skipped = replace(RUN, about="endpoint/churn/stable#0", result=Result.SKIPPED, reason="it waits")
    assert URLS["churn"] not in ending(Converged(Plan(), (replace(RUN, result=Result.FAILED), skipped)))
    assert URLS["churn"] not in ending(Converged(Plan(), (replace(RUN, about="gateway", result=Result.FAILED),)))
    assert URLS["churn"] not in ending(Converged(Plan(refused=(Problem("it waits", about="endpoint/churn"),))))
    other = replace(RUN, about="endpoint/churn-2/stable", result=Result.FAILED)
    assert URLS["churn"] in ending(Converged(Plan(), (other,)))


def test_an_end_says_what_other_runs_follow_and_names_no_endpoint_that_waits_for_them() -> None:
    row = f"running  job/slow@1  followed by {BY}; endpoint/churn waits for it"
    assert ending(Converged(Plan(running=(RUNNING,)))) == f"\n{row}\n\nnothing to do; 1 running elsewhere\n"
    said = ending(Converged(Plan(running=(replace(RUNNING, needed_by=()),)), (RUN,)))
    assert "\neverything else is up to date (1 done in 1.5 s); 1 running elsewhere\n" in said
    assert URLS["churn"] in said


def test_a_stopped_run_says_how_to_go_on() -> None:
    plan = Plan(actions=(routes(WEIGHT),))
    said = ending(Converged(plan, (RUN,), True))
    assert "stopped (1 done in 1.5 s); 1 left to do: `sagespec apply` continues" in said


def test_the_last_json_line_is_the_result() -> None:
    result = json.loads(ending(Converged(Plan(), (RUN,)), format="json"))
    assert result["event"] == "result"
    assert result["ok"] is True
    assert result["endpoints"] == [{"address": "endpoint/churn", "url": URLS["churn"]}]
