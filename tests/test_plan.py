"""The plan as a value: ids, counts and digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

from sagespec.causes import Cause, Reason
from sagespec.errors import Origin, Problem
from sagespec.ongoing import Running
from sagespec.plan import Action, Plan, RecordRevision, RemoveInstance, SetRoutes, StartGateway
from sagespec.state.addresses import GATEWAY, Address, job_address
from sagespec.state.revision import EndpointRecord, RevisionStatus

CAUSE = Cause(Reason.FOLLOWS)
CHURN = Address.parse("endpoint/churn")


def removal(container: str) -> RemoveInstance:
    return RemoveInstance(about=Address.parse("endpoint/churn/stable#0"), cause=CAUSE, container=container)


ACTIONS: tuple[Action, ...] = (
    SetRoutes(about=CHURN, cause=CAUSE, route=None),
    removal("a"),
    removal("b"),
    RecordRevision(
        about=CHURN,
        cause=CAUSE,
        number=3,
        status=RevisionStatus.LIVE,
        endpoint_hash="1-a",
        record=EndpointRecord(),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    ),
)


def test_an_action_is_known_by_verb_address_and_subject() -> None:
    assert [action.id for action in ACTIONS] == [
        "set-routes endpoint/churn",
        "remove-instance endpoint/churn/stable#0 a",
        "remove-instance endpoint/churn/stable#0 b",
        "record-revision endpoint/churn 3 live",
    ]


def test_a_plan_counts_its_actions_by_verb() -> None:
    assert Plan(ACTIONS).counts == {"set-routes": 1, "remove-instance": 2, "record-revision": 1}


def test_a_job_of_another_run_asks_for_something_when_this_one_would_serve_it() -> None:
    running = Running(job_address("churn", 1), "ada", datetime(2026, 1, 1, tzinfo=UTC))
    assert Plan(ACTIONS).asks_for_something
    assert not Plan(running=(running,)).asks_for_something
    assert Plan(running=(replace(running, needed_by=(CHURN,)),)).asks_for_something
    assert not Plan(running=(replace(running, needed_by=(CHURN,), goes_on=True),)).asks_for_something


def test_a_job_of_another_run_names_what_waits_for_it_or_counts_that() -> None:
    running = Running(job_address("churn", 1), "ada", datetime(2026, 1, 1, tzinfo=UTC))
    assert running.text == "followed by ada"
    assert replace(running, needed_by=(CHURN,)).text == "followed by ada; endpoint/churn waits for it"
    assert replace(running, needed_by=(CHURN, CHURN)).text == "followed by ada; 2 endpoints wait for it"


def test_the_digest_is_over_what_is_done_and_refused_alone() -> None:
    plan = Plan(ACTIONS, unchanged=(CHURN,))
    document = plan.as_json()
    decided = json.dumps({name: document[name] for name in ("actions", "refused")}, sort_keys=True)
    assert plan.digest == document["digest"] == hashlib.sha256(decided.encode()).hexdigest()
    refused = [replace(plan, refused=(Problem("no", where=Origin("a.yaml", line)),)).digest for line in (1, 2)]
    assert refused[0] == refused[1] != plan.digest
    assert replace(plan, notes=("worth saying",)).digest == plan.digest
    assert replace(plan, actions=ACTIONS[:1]).digest != plan.digest


def test_of_specs_leaves_out_what_is_there_for_what_runs() -> None:
    drifted = replace(removal("c"), about=Address.parse("endpoint/other/a#0"), cause=Cause(Reason.DRIFT))
    changed = replace(ACTIONS[0], cause=Cause(Reason.CHANGED), after=(drifted.id,))
    gateway = StartGateway(about=GATEWAY, cause=Cause(Reason.NEW))
    plan = Plan((gateway, drifted, changed, ACTIONS[3]), unchanged=(Address.parse("job/churn@1"),))
    found = plan.of_specs()
    assert found.actions == (replace(changed, after=()), ACTIONS[3])
    assert [str(address) for address in found.unchanged] == ["endpoint/other", "job/churn@1"]
