"""What pages show, as HTML and as JSON, of statuses that are given."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from sagespec.dashboard.happenings import Happenings
from sagespec.dashboard.pages.jobs import Asked, chosen
from sagespec.dashboard.pages.wrong import wrong_of
from sagespec.errors import SpecError
from sagespec.events import Event, EventKind
from sagespec.ongoing import HeldBack, Suspended
from sagespec.project import Project
from sagespec.state.addresses import endpoint_address
from sagespec.state.suspension import Suspension
from sagespec.verbs.states import EndpointState, EndpointWord, JobWord, LastMinute, Status
from tests.dashboard.rows import AT, HOSTILE, endpoint_row, job_row, large, status_of
from tests.dashboard.served import client_of, project_in, signed_in

SPEC = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 1
algorithm: xgboost
hyperparameters: {objective: "binary:logistic", num_round: 10}
environment: {API_TOKEN: hunter2x}
channels: {train: {source: ../data/train.csv, content_type: text/csv}}
"""

PAGES = ["/", "/jobs", "/jobs/compare", "/plan", "/queue", "/events"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_in(tmp_path) as project:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "train.csv").write_text("1,0.5,0.25\n0,0.1,0.9\n")
        (tmp_path / "specs" / "churn.yaml").write_text(SPEC)
        yield project


@pytest.fixture
def browse(project: Project) -> Callable[..., FlaskClient]:
    def browse(status: Status | None = None, **given: Any) -> FlaskClient:
        return signed_in(client_of(project, look=(lambda: status) if status else None, **given))

    return browse


def test_what_is_wrong_comes_first_and_the_worst_of_it_first() -> None:
    status = status_of(
        (
            job_row("old", 1, JobWord.FAILED),
            job_row("old", 2),
            job_row("churn", 3, JobWord.FAILED, "ClientError: no rows\nand more"),
            job_row("prices", 1, JobWord.REFUSED, "the spec of a trained version has changed"),
        ),
        (
            endpoint_row("a"),
            endpoint_row("b", EndpointWord.PENDING),
            endpoint_row("c", EndpointWord.DEGRADED, "1 of 2"),
        ),
    )
    assert [(one.about, one.word, one.text) for one in wrong_of(status)] == [
        ("endpoint/c", "degraded", "1 of 2"),
        ("endpoint/b", "pending", "its spec has changes that are not applied yet"),
        ("job/churn@3", "failed", "ClientError: no rows"),
        ("job/prices@1", "refused", "the spec of a trained version has changed"),
    ]


def test_what_is_suspended_is_on_the_first_page_with_who_and_why(browse: Callable[..., FlaskClient]) -> None:
    one = Suspension(about="project", reason=f"moving {HOSTILE}", by="ada on build-7", at=AT)
    held = HeldBack("set-routes", endpoint_address("churn"), "weight of stable 90 -> 40")
    page = browse(replace(status_of(), suspended=(Suspended(one, (held,)),))).get("/").text
    assert "suspended by ada on build-7 since 2026-11-30 12:00 UTC: moving" in page
    assert "held back: set-routes endpoint/churn (weight of stable 90 -&gt; 40)" in page
    assert HOSTILE not in page
    assert 'id="suspended"' not in browse(status_of()).get("/").text


def test_an_endpoint_whose_requests_fail_now_is_wrong_and_one_whose_failed_once_is_not() -> None:
    def with_errors(name: str, now: int) -> EndpointState:
        row = endpoint_row(name)
        minute = LastMinute(60.0, 100, now, 1.0, 2.0)
        return replace(row, variants=tuple(replace(v, errors=50, last_minute=minute) for v in row.variants))

    wrong = wrong_of(status_of((), (with_errors("a", 0), with_errors("b", 1), with_errors("c", 2))))
    assert [(one.about, one.word, one.text) for one in wrong] == [
        ("endpoint/c", "failing", "4 of 200 requests of the last minute ended with an error")
    ]


def test_jobs_are_filtered_sorted_and_paged_by_the_address(browse: Callable[..., FlaskClient]) -> None:
    jobs = large().jobs
    failed = chosen(jobs, Asked.of({"q": "model-1 BECAUSE", "state": "failed", "sort": "job"}))
    assert failed == sorted(failed, key=lambda job: job.address)
    assert {job.state for job in failed} == {JobWord.FAILED}
    assert Asked.of({"page": "x", "sort": "'", "state": "dead"}) == Asked()
    client = browse(large())
    first, second = (client.get(f"/jobs?state=trained&page={page}").text for page in (1, 2))
    rows = [set(re.findall(r'href="(/jobs/[^"?]+@\d+)"', text)) for text in (first, second)]
    assert [len(row) for row in rows] == [50, 50]
    assert not rows[0] & rows[1]
    assert "800 jobs, page 2 of 16" in second
    assert client.get("/jobs?page=999999").status_code == 200
    assert len(client.get("/jobs.json?state=trained").json["jobs"]) == 800  # type: ignore[index]


@pytest.mark.parametrize("path", PAGES)
def test_whatever_a_program_printed_is_text(path: str, browse: Callable[..., FlaskClient]) -> None:
    happenings = Happenings()
    happenings.tell(Event(EventKind.FAILED, "job/churn@1", HOSTILE, action=HOSTILE), by=HOSTILE)
    running = job_row("hostile", 1, JobWord.WAITING, HOSTILE)
    status = status_of((job_row("churn", 1, JobWord.FAILED, HOSTILE), running), (endpoint_row("e", detail=HOSTILE),))
    text = browse(status, happenings=happenings).get(f"{path}?q={HOSTILE}&j={HOSTILE}").text
    assert "<img" not in text
    assert "<script>" not in text
    assert "alert(2)</script>" not in text


@pytest.mark.parametrize("path", PAGES)
def test_a_page_that_has_not_changed_is_not_sent_again(path: str, browse: Callable[..., FlaskClient]) -> None:
    client = browse(status_of((job_row("churn", 1),), (endpoint_row("churn"),)))
    client.get(path)
    first = client.get(path, headers={"HX-Request": "true"})
    assert first.status_code == 200
    assert "<html" not in first.text
    again = client.get(path, headers={"HX-Request": "true", "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_first_page_of_a_large_project_is_small_and_quick(browse: Callable[..., FlaskClient]) -> None:
    """The limits are 300 KB and 150 ms; looking is done beside it."""
    client = browse(large())
    client.get("/")
    begun = time.process_time()
    answers = [client.get("/") for _ in range(5)]
    seconds = (time.process_time() - begun) / 5
    assert len(answers[0].data) <= 300_000
    assert seconds <= 0.15


def test_wrong_specs_are_shown_with_their_place_above_what_was_seen_before(project: Project) -> None:
    (project.root / "specs" / "churn.yaml").write_text(SPEC.replace("num_round", "num_rounds"))
    answer = signed_in(client_of(project)).get("/")
    assert answer.status_code == 200
    assert "specs/churn.yaml:6:" in answer.text
    assert "num_rounds" in answer.text

    seen: list[Status | SpecError] = [status_of((job_row("churn", 1),)), SpecError("a problem", fix="a fix")]

    def look() -> Status:
        found = seen.pop(0) if len(seen) > 1 else seen[0]
        if isinstance(found, SpecError):
            raise found
        return found

    client = signed_in(client_of(project, look=look))
    assert "churn@1" in client.get("/").text
    time.sleep(1.2)
    client.get("/")
    time.sleep(0.3)
    text = client.get("/").text
    assert "a problem" in text
    assert "churn@1" in text


def test_json_is_that_of_the_command(project: Project, browse: Callable[..., FlaskClient]) -> None:
    client = browse()
    status = project.status().as_json()
    assert client.get("/jobs.json").json == {"jobs": status["jobs"]}
    said = client.get("/status.json").json
    assert said is not None
    assert said | {"at": ""} == status | {"at": ""}
    plan = client.get("/plan.json").json
    assert plan is not None
    assert plan["digest"] == project.plan().digest
    assert plan["counts"]["train"] == 1


def test_the_plan_shows_the_spec_without_its_secrets(browse: Callable[..., FlaskClient]) -> None:
    text = browse().get("/plan").text
    assert "run-job" in text
    assert "num_round: 10" in text
    assert "hunter2x" not in text
    assert "sagespec apply" in text  # read-only: no button


def test_a_job_that_is_nowhere_is_said_so(browse: Callable[..., FlaskClient]) -> None:
    client = browse()
    answer = client.get("/jobs/nothing@1")
    assert answer.status_code == 404
    assert "there is no job/nothing@1" in answer.text
    assert client.get("/jobs/nothing@1.json").json["error"][0]["what"] == "there is no job/nothing@1"  # type: ignore[index]
    assert client.get("/jobs/churn@1").status_code == 200
    assert client.get("/nowhere").status_code == 404
    assert client.get("/jobs/compare?j=%00&j=churn@1").status_code == 404


def test_a_job_is_retried_or_stopped_only_where_that_makes_sense(project: Project) -> None:
    from sagespec.spec.dashboard import DashboardSettings
    from tests.dashboard.served import access_of

    access = access_of(DashboardSettings(write=True))
    rows = [JobWord.RUNNING, JobWord.FAILED, JobWord.WAITING]
    status = status_of(tuple(job_row("churn", number + 1, word) for number, word in enumerate(rows)))
    client = signed_in(client_of(project, access, look=lambda: status), access)
    buttons = [
        re.findall(r'action="(/jobs/[^"]*/(?:stop|retry))"', client.get(f"/jobs/churn@{n}").text) for n in (1, 2, 3)
    ]
    assert buttons == [["/jobs/churn@1/stop"], ["/jobs/churn@2/retry"], []]
