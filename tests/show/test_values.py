"""Values as text and as HTML, wherever a program is given them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sagespec import display
from sagespec.converge import ApplyFailed, Converged
from sagespec.errors import Origin, Problem
from sagespec.events import Outcome, Result
from sagespec.plan import Plan
from sagespec.show.pages import page_of
from sagespec.show.texts import text_of
from sagespec.show.values import AsPeopleRead
from sagespec.state.addresses import job_address, notebook_address
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.revision import RevisionStatus
from sagespec.verbs.answers import Answer
from sagespec.verbs.history import Recorded, Revisions
from sagespec.verbs.metrics import Metrics
from sagespec.verbs.notebook_states import NotebookState, NotebookWord
from sagespec.verbs.plan import Validated
from sagespec.verbs.states import EndpointState, EndpointWord, JobState, JobWord, VariantState
from tests.show.markup import HOSTILE, rows_of, tree_of
from tests.show.markup import text_of as read
from tests.show.screens import CHURN, NOW, PLAN, RUNNING, WEIGHT, routes
from tests.show.test_history import a_revision
from tests.show.test_status import APPLY, SLOW, STATUS, WATCH

FAILED = Outcome(
    "run-job job/a@1", "job/a@1", "run-job", Result.FAILED, "failed: AlgorithmError: no\nTraceback\n  fix  do", 2.0
)
REVISIONS = Revisions((a_revision(1, RevisionStatus.LIVE, 100), a_revision(2, RevisionStatus.LIVE, 50, reason="slow")))
METRICS = Metrics({"auc": [(0.0, 0.5), (1.0, 0.9)], "rmse": [(1.0, 0.25)]})
MANIFEST = Manifest(
    project="acme",
    name="churn",
    version=3,
    key="1-abc",
    key_fields={},
    status=JobStatus.COMPLETED,
    spec={"hyperparameters": {"num_round": 5, "api_key": "hunter2"}, "environment": {"TOKEN": "hunter2"}},
    started_at=NOW,
    ended_at=NOW,
    metrics={"auc": 0.9},
    series={"auc": [(0.0, 0.5), (1.0, 0.9)]},
)
ANSWER = Answer(200, b"0.93\n", "text/csv", "stable", {})


@pytest.fixture
def shown() -> Iterator[None]:
    before = list(display._displays)
    display.show_values_with(AsPeopleRead())
    yield
    display._displays[:] = before


def both(value: object) -> tuple[str, str]:
    text, page = text_of(value), page_of(value)
    assert text is not None
    assert page is not None
    return text, read(page)


VALUES: list[Any] = [
    (
        PLAN,
        [
            "set-routes",
            "weight of candidate 10 -> 30",
            "num_round is 200",
            "set version: 4",
            "1 to start",
            "is live but",
        ],
    ),
    (Plan(running=(RUNNING,)), ["job/slow@1", "followed by"]),
    (Plan(), ["nothing to do"]),
    (
        Converged(Plan(), (FAILED,)),
        ["failed", "job/a@1", "AlgorithmError: no", "Traceback", "do", "not up to date: 1 failed"],
    ),
    (Converged(Plan()), ["nothing to do: everything is up to date"]),
    (
        replace(STATUS, runs=(WATCH, APPLY)),
        ["job/churn@3", "trained", "pending", "churn@2 (asked churn@4)", "90 %", "4711"],
    ),
    (replace(STATUS, jobs=(), endpoints=()), ["no jobs and no endpoints"]),
    (SLOW, ["job/slow@1", "running", "auc 0.5"]),
    (STATUS.endpoints[0], ["endpoint/churn", "stable", "0/1 (asked 0)"[:3]]),
    (WATCH, ["4711", "job/slow@1 to end"]),
    (REVISIONS, ["superseded", "live", "weight of stable 100 -> 50; slow"]),
    (Recorded({CHURN: REVISIONS}, (MANIFEST,)), ["endpoint/churn", "job/churn@3", "completed"]),
    (Recorded({}, ()), ["no history yet"]),
    (MANIFEST, ["job/churn@3", "num_round=5", "api_key=(secret)"]),
    (METRICS, ["auc", "0.9", "rmse", "0.25"]),
    (Metrics(), ["no metrics yet"]),
    (ANSWER, ["200 text/csv from stable", "0.93"]),
    (Validated(1, 2, ("a.yaml",), ("x",)), ["valid", "1 job", "2 endpoints", "x"]),
]


@pytest.mark.parametrize(("value", "words"), VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_read_as_text_and_as_html(value: object, words: list[str]) -> None:
    text, page = both(value)
    for word in words:
        assert word in text
        assert word in page
    assert "hunter2" not in text + page


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("value", [value for value, _ in VALUES], ids=lambda value: type(value).__name__)
def test_printing_it_is_enough(value: Any) -> None:
    assert str(value) == repr(value) == text_of(value)
    assert value._repr_html_() == page_of(value)


def test_before_anybody_talks_to_people_values_are_data() -> None:
    before = list(display._displays)
    display._displays.clear()
    try:
        assert str(PLAN) == PLAN.text()
        assert repr(ANSWER).startswith("Answer(status=200, body=b'0.93")
        assert repr(METRICS) == repr(dict(METRICS))
        assert repr(Revisions()) == "()"
        assert repr(MANIFEST).startswith("Manifest(format=1")
        assert ANSWER._repr_html_() is None
    finally:
        display._displays[:] = before


def test_what_is_not_ours_is_left_alone() -> None:
    assert text_of({"a": 1}) is None
    assert page_of({"a": 1}) is None


def test_an_endpoint_has_its_split_as_a_bar() -> None:
    page = page_of(STATUS)
    assert page is not None
    assert [rect.tag for rect in tree_of(page).iter("rect")] == ["rect", "rect"]


def test_a_manifest_has_its_curves() -> None:
    page = page_of(MANIFEST)
    assert page is not None
    assert len(list(tree_of(page).iter("path"))) == 1


def test_long_plans_are_cut_and_say_so() -> None:
    plan = Plan(actions=tuple(routes(WEIGHT) for _ in range(5000)))
    text, page = both(plan)
    assert text.count("set-routes") == 50
    assert "… and 4,950 more actions" in text
    assert "more actions" in page
    assert "5,000 to route" in text or "5000 to route" in text


def test_of_a_thousand_jobs_those_that_are_not_well_are_seen() -> None:
    jobs = tuple(JobState(job_address(f"j{number}", 1), JobWord.TRAINED) for number in range(1000))
    jobs = (*jobs, JobState(job_address("sick", 1), JobWord.FAILED, "AlgorithmError: no"))
    endpoints = tuple(replace(STATUS.endpoints[0], state=EndpointWord.SERVING) for _ in range(300))
    text, page = both(replace(STATUS, jobs=jobs, endpoints=endpoints))
    for seen in (text, page):
        assert "job/sick@1" in seen
        assert "more jobs" in seen
        assert "more endpoints" in seen


def test_variants_in_a_tuple_take_a_line_each(shown: None) -> None:
    said = repr(STATUS.endpoints[0].variants)
    assert "stable: churn@2 (asked churn@4), 90 %, 2/2 healthy, 1,790 requests, 0 errors, p50 0.97 ms" in said
    assert "candidate: - (asked churn@3), 0 % (asked 10 %), 0/1 healthy, 0 requests, 0 errors, " in said
    assert "\n" not in said


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_errors_and_answers_stay_text(name: str) -> None:
    variants = (VariantState(name, name, 0.5, 0.5, 1, 1), VariantState("b", name, 0.5, 0.5, 1, 1, model_asked=name))
    endpoint = EndpointState(CHURN, EndpointWord.BLOCKED, name, 1, variants, detail=name)
    job = JobState(job_address("a", 1), JobWord.FAILED, name, {name: 1.0}, hyperparameters={name: name})
    problem = Problem(f"{name}\n{name}", name, name, name, Origin(name))
    outcome = replace(FAILED, about=name, reason=name)
    values = [
        replace(STATUS, jobs=(job,), endpoints=(endpoint,), store=name, gateway=name),
        job,
        Plan(refused=(problem,), notes=(name,)),
        Converged(Plan(refused=(problem,)), (outcome,)),
        problem,
        Metrics({name: [(0, 1.0), (1, 2.0)]}),
        MANIFEST.model_copy(update={"reason": name, "notes": (name,), "series": {name: [(0.0, 1.0), (1.0, 2.0)]}}),
        Revisions((a_revision(1, RevisionStatus.FAILED, 1, reason=name),)),
        Answer(424, name.encode(errors="replace"), name, name, {}),
        Validated(1, 1, (name,), (name,)),
    ]
    for value in values:
        page = page_of(value)
        assert page is not None
        assert read(page)


def test_a_failure_is_an_exception_that_shows_what_is_wrong() -> None:
    refused = Problem("failed: AlgorithmError: no", "job/a@1", "not retried", "correct it", Origin("a.yaml", 3))
    other = Problem("is wrong", "job/b@1", fix="edit it")
    converged = Converged(Plan(refused=(refused, other)), (FAILED,))
    with pytest.raises(ApplyFailed) as error:
        converged.check()
    assert error.value.converged is converged
    assert [(p.about, p.what, p.fix, str(p.where)) for p in error.value.problems] == [
        ("job/a@1", "failed: AlgorithmError: no\nTraceback", "do", "a.yaml:3:1"),
        ("job/b@1", "is wrong", "edit it", "None"),
    ]
    assert Converged(Plan()).check().ok
    assert not Converged(Plan(refused=(other,)), cancelled=True).check().ok


def test_what_was_undone_again_and_again_is_a_failure_too() -> None:
    with pytest.raises(ApplyFailed, match="undone 20 times"):
        Converged(Plan(actions=(routes(WEIGHT),))).check()


def test_frames_have_a_row_for_each() -> None:
    jobs = replace(STATUS, jobs=(replace(STATUS.jobs[0], hyperparameters={"depth": "3"}),)).frame()
    assert jobs.loc[0, ["job", "state", "depth", "auc"]].tolist() == ["job/churn@3", "trained", "3", 0.94028]
    variants = STATUS.frame("endpoints")
    assert variants["variant"].tolist() == ["stable", "candidate", "old"]
    assert REVISIONS.frame()["status"].tolist() == ["superseded", "live"]
    metrics = METRICS.frame()
    assert metrics.index.name == "seconds"
    assert metrics["auc"].tolist() == [0.5, 0.9]
    assert METRICS.last == {"auc": 0.9, "rmse": 0.25}


def test_json_is_what_it_was() -> None:
    assert list(json.loads(json.dumps(STATUS.as_json()))["jobs"][0]) == [
        "address",
        "state",
        "detail",
        "metrics",
        "seconds",
        "started_at",
        "ended_at",
        "followed_by",
        "since",
        "read",
        "hyperparameters",
        "stale",
    ]


def test_the_newest_revision_comes_first_in_a_notebook() -> None:
    page = page_of(REVISIONS)
    assert page is not None
    assert [row[0] for row in rows_of(page)] == ["REVISION", "2", "1"]


def test_a_project_of_notebooks_alone_is_not_called_empty() -> None:
    status = replace(
        STATUS, jobs=(), endpoints=(), notebooks=(NotebookState(notebook_address("desk"), NotebookWord.RUNNING),)
    )
    for shown in (text_of(status) or "", page_of(status) or ""):
        assert "notebook/desk" in shown
        assert "no jobs" not in shown
