"""How a run ended, and where the endpoints are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sagespec.converge import Converged
from sagespec.errors import Origin, Problem
from sagespec.events import Outcome, Result
from sagespec.plan import Plan
from sagespec.show.ending import write_converged
from sagespec.spec.project import GatewaySettings
from sagespec.verbs.way import curl_to
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


def test_what_is_shown_to_try_has_the_key_and_certificate_that_the_gateway_asks_for() -> None:
    assert curl_to(GatewaySettings()) == "curl"
    shop = {"shop": {"key": {"file": "keys/shop"}}}
    curl = curl_to(GatewaySettings.model_validate({"tls": "self_signed", "callers": shop}))
    screen = a_screen(live=True)
    write_converged(screen, Converged(Plan(), (RUN,)), 1.5, urls=URLS, curl=curl)
    assert f"curl --cacert .sagespec/tls/certificate.pem -H 'X-Api-Key: KEY' {URLS['churn']} -H " in out(screen)


def test_a_job_that_a_person_stopped_has_not_failed() -> None:
    stopped = replace(RUN, result=Result.FAILED, reason="Stopped: asked for by ada")
    assert ending(Converged(Plan(), (stopped,))).startswith(
        "\nstopped  job/a@1\n\nnot up to date: 1 stopped (1 stopped in 1.5 s)\n"
    )


def test_a_bad_end_names_what_failed_and_does_not_say_again_why() -> None:
    failed = replace(RUN, result=Result.FAILED, reason="it broke\n  fix  mend it")
    urls = f"\nendpoint/churn  {URLS['churn']}\n"
    said = "\nfailed  job/a@1{}\n\nnot up to date: 1 failed (1 failed in 1.5 s)\n" + urls
    assert ending(Converged(Plan(), (failed,))) == said.format("")
    origin = Origin("jobs.yaml", 3, 1)
    refused = Plan(refused=(Problem("failed: it broke", about="job/a@1", where=origin),))
    assert ending(Converged(refused, (failed,))) == said.format("  jobs.yaml:3:1")
    unhealthy = replace(
        RUN, result=Result.FAILED, about="endpoint/churn/stable", reason="it exited; its last lines:\n oh"
    )
    given_up = Problem("revision 1 failed: it exited; its last lines:\n oh", about="endpoint/churn")
    said = said.replace("job/a@1", "endpoint/churn/stable").format("").removesuffix(urls)
    assert ending(Converged(Plan(refused=(given_up,)), (unhealthy,))) == said
    other = Problem("another reason", about="endpoint/churn")
    assert "refused  endpoint/churn: another reason" in ending(Converged(Plan(refused=(other,)), (unhealthy,)))


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
