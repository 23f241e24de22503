"""The pages of endpoints, as a browser without script gets them: of a real project that serves, and of odd ones."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from sagespec.dashboard.access import Access
from sagespec.project import Project
from sagespec.spec.dashboard import DashboardSettings
from sagespec.state.acceleration import Acceleration
from sagespec.state.addresses import Address, endpoint_address, job_address
from sagespec.state.doors import AllowedCaller, Certified, Doors, Limit
from sagespec.traffic.recorder import Recorder
from sagespec.verbs.door_states import DoorStates
from sagespec.verbs.lineage import served_by
from sagespec.verbs.states import EndpointState, EndpointWord, LastMinute, Status, VariantState
from tests.dashboard.served import HOST, access_of, client_of, project_in, signed_in
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until

WRITABLE = DashboardSettings(write=True)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A project whose endpoint has three revisions."""
    folder = tmp_path_factory.mktemp("pages")
    place = Workspace(folder / "project", "test-endpoint-pages", "process")
    place.write(job(1) + job(2) + endpoint("stable model@1 100"))
    place.run("apply")
    place.write(job(1) + job(2) + endpoint("stable model@1 90", "candidate model@2 10"))
    place.run("apply")
    place.write(job(1) + job(2) + endpoint("stable model@1 60", "candidate model@2 40"))
    place.run("apply")
    yield place
    place.run("destroy", "--yes")


@pytest.fixture
def project(place: Workspace) -> Iterator[Project]:
    with place.project() as project:
        yield project


def browser_of(project: Project, settings: DashboardSettings | None = None, **given: Any) -> FlaskClient:
    access = access_of(settings or WRITABLE)
    return signed_in(client_of(project, access, **given), access)


def json_of(client: FlaskClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.json


def post(client: FlaskClient, path: str, access: Access | None = None, **fields: str) -> Any:
    mark = (access or access_of(WRITABLE)).mark
    return client.post(path, data={"sagespec-token": mark, **fields}, headers={"Origin": f"http://{HOST}"})


def test_the_table_of_endpoints_has_what_status_has(project: Project) -> None:
    client = browser_of(project)
    text = client.get("/endpoints").text
    assert 'href="/endpoints/answers"' in text
    assert "stable 60 %, candidate 40 %" in text
    assert "No endpoint is like that." in client.get("/endpoints?q=nothing").text
    found = json_of(client, "/endpoints.json")
    assert [one["address"] for one in found["endpoints"]] == ["endpoint/answers"]
    assert json_of(client, "/endpoints.json?state=degraded") == {"endpoints": []}


def test_an_endpoint_s_page_shows_asked_and_live_its_instances_and_where_its_models_are_from(project: Project) -> None:
    client = browser_of(project)
    text = client.get("/endpoints/answers").text
    for shown in ("60 %", "candidate#0", 'href="/jobs/model@2"', "specs/all.yaml:", "data/train.csv", "Nobody records"):
        assert shown in text
    found = json_of(client, "/endpoints/answers.json")
    assert [one["state"] for one in found["instances"]] == ["serving", "serving"]
    assert [one["job"] for one in found["models"]] == ["job/model@1", "job/model@2"]
    assert found["traffic"] is None
    assert re.fullmatch(r"specs/all\.yaml:\d+:1", found["spec"])


def test_lineage_is_known_from_the_job_s_side_too(project: Project) -> None:
    (served,) = served_by(project.parts, job_address("model", 2))
    assert (served.endpoint, served.is_live) == (endpoint_address("answers"), True)
    assert served.revisions[:2] == (2, 3)
    assert served_by(project.parts, job_address("model", 9)) == ()
    client = browser_of(project)
    assert 'href="/endpoints/answers/revisions">endpoint/answers</a>' in client.get("/jobs/model@2").text
    (known,) = json_of(client, "/jobs/model@2.json")["revisions"]
    assert (known["endpoint"], known["live"]) == ("endpoint/answers", True)


def test_its_traffic_is_there_once_somebody_records_it(project: Project) -> None:
    client = browser_of(project)
    parts = project.parts
    with Recorder(lambda: parts.gateway, parts.traffic, parts.traffic_file):
        wait_until(lambda: parts.traffic.recorded_at > 0)
        for _ in range(5):
            project.invoke("answers", b"1,2", variant="stable")
        project.invoke("answers", b"1,2", variant="stable", custom_attributes="status=500", check=False)
        project.invoke("answers", b"1,2", variant="unheard-of", check=False)
        wait_until(lambda: parts.traffic.span(("answers", "stable"), time.time(), 60.0).requests == 6)
        wait_until(lambda: parts.traffic.span(("answers", ""), time.time(), 60.0).is_any)
        wait_until(lambda: any(json_of(client, "/endpoints/answers/traffic.json")["variants"][0]["rate"]))
        rows = json_of(client, "/endpoints/answers.json")["traffic"]
        text = client.get("/endpoints/answers").text
        curves = json_of(client, "/endpoints/answers/traffic.json")
        day = json_of(client, "/endpoints/answers/traffic.json?window=24h")
        compared = json_of(client, "/endpoints/answers/ab.json")["variants"]
    stable = next(row for row in rows if (row["variant"], row["window"]) == ("stable", "15m"))
    assert (stable["requests"], stable["failed"], stable["errors"]["model_5xx"], stable["share"]) == (6, 1, 1, 1.0)
    assert "1 answered 5xx" in text
    assert "1 refused by the gateway" in text
    assert [one["name"] for one in curves["variants"]] == ["stable", "candidate"]
    assert len(curves["at"]) == 180
    assert len(day["at"]) == 288
    assert 0 < max(rate or 0 for rate in curves["variants"][0]["rate"]) <= 6 / 2.5
    assert {one["name"] for one in curves["errors"]} == {"answered 5xx", "refused by the gateway"}
    assert [(one["variant"], one["window"], one["requests"]) for one in compared][:2] == [
        ("stable", "15m", 6),
        ("candidate", "15m", 0),
    ]


def test_revisions_say_what_changed_and_lead_back(project: Project) -> None:
    client = browser_of(project)
    text = client.get("/endpoints/answers/revisions").text
    assert "weight of stable 90 -&gt; 60" in text
    assert "Roll back to 1…" in text
    assert "/revisions/3/roll-back" not in text  # what is live
    found = json_of(client, "/endpoints/answers/revisions.json")
    assert [row["status"] for row in found["revisions"]][:3] == ["superseded", "superseded", "live"]


def test_a_roll_back_shows_its_plan_and_does_nothing(project: Project) -> None:
    client = browser_of(project)
    before = project.history("answers")
    text = client.get("/endpoints/answers/revisions/2/roll-back").text
    assert "set-routes" in text
    assert "weight of stable 60 -&gt; 90" in text
    assert "Roll back to revision 2</button>" in text
    assert project.history("answers") == before
    refused = client.get("/endpoints/answers/revisions/3/roll-back").text
    assert "revision 3 is what is live now" in refused
    assert "<button" not in refused


def test_a_roll_back_is_bound_to_the_plan_that_was_shown(place: Workspace, project: Project) -> None:
    client = browser_of(project)
    path = "/endpoints/answers/revisions/2/roll-back"
    stale = post(client, path, digest="0" * 64)
    assert stale.status_code == 409
    assert "Nothing was done" in stale.text
    digest = re.findall(r'name="digest" value="([0-9a-f]{64})"', stale.text)[0]
    assert len(project.history("answers")) == 3
    answer = post(client, path, digest=digest, reason=f"too many errors {HOSTILE}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/endpoints/answers/revisions")
    wait_until(lambda: len(project.history("answers")) == 4)
    newest = project.history("answers")[-1]
    assert newest.reason.startswith("rolled back to revision 2: too many errors <img")
    wait_until(lambda: "done" in client.get("/endpoints/answers/revisions").text)
    text = client.get("/endpoints/answers/revisions").text
    assert HOSTILE not in text
    assert "&lt;img src=x" in text
    assert post(client, path, digest=digest).status_code == 409
    place.edit("weight: 60", "weight: 61")  # another spec, so that the roll-back is over
    place.run("apply")


def test_a_plan_that_changes_between_the_look_and_the_lock_is_not_carried_out(project: Project) -> None:
    from sagespec.errors import SpecError

    before = project.history("answers")
    with pytest.raises(SpecError, match="something else by now than what was shown"):
        project.rollback("answers", to=1, plan_digest="0" * 64)
    assert project.history("answers") == before


def test_who_only_looks_gets_no_button(project: Project) -> None:
    client = browser_of(project, DashboardSettings())
    for path in ("/endpoints/answers/revisions/1/roll-back", "/endpoints/answers/try"):
        text = client.get(path).text
        assert "<button" not in text
        assert "read-only" in text
    read_only = access_of()
    assert post(client, "/endpoints/answers/revisions/1/roll-back", read_only, digest="x").status_code == 403
    assert post(client, "/endpoints/answers/try", read_only, body="1").status_code == 403


def test_a_request_can_be_tried_and_its_answer_is_text(project: Project) -> None:
    client = browser_of(project)
    answer = post(
        client, "/endpoints/answers/try", body=f"1,2\r\n{HOSTILE}", content_type="text/plain", variant="candidate"
    )
    assert answer.status_code == 200
    assert "<dd>candidate</dd>" in answer.text
    assert HOSTILE not in answer.text
    assert "1,2\n&lt;img src=x" in answer.text  # what was sent stays in the form
    unknown = post(client, "/endpoints/answers/try", body="1", variant="nobody")
    assert "Variant nobody of endpoint answers not found." in unknown.text
    odd = post(client, "/endpoints/answers/try", body="1", content_type="text/csv\nX: y")
    assert odd.status_code == 200
    assert "cannot be sent in a header" in odd.text


@pytest.mark.parametrize("path", ["", ".json", "/traffic.json", "/log", "/stream", "/ab", "/try", "/ab.json"])
def test_an_endpoint_that_is_none_is_not_found(path: str, project: Project) -> None:
    answer = browser_of(project).get(f"/endpoints/answer{path}")
    assert answer.status_code == 404
    assert "there is no endpoint answer" in answer.text
    assert "answers" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        f"/endpoints/{HOSTILE}",
        f"/endpoints/{HOSTILE}/revisions",
        f"/endpoints/{HOSTILE}/revisions/1/roll-back",
        "/endpoints/answers/revisions/99/roll-back",
        "/endpoints/answers/revisions/x/roll-back",
    ],
)
def test_nonsense_in_an_address_is_text_and_no_error_of_ours(path: str, project: Project) -> None:
    answer = browser_of(project).get(path)
    assert answer.status_code in (400, 404)
    assert HOSTILE not in answer.text


def test_a_window_that_is_none_is_refused(project: Project) -> None:
    answer = browser_of(project).get(f"/endpoints/answers/traffic.json?window={HOSTILE}")
    assert (answer.status_code, answer.content_type) == (400, "application/json")


def test_the_log_of_all_instances_can_be_loaded_down(place: Workspace, project: Project) -> None:
    place.invoke("answers", "x", variant="stable")
    text = browser_of(project).get("/endpoints/answers/log").text
    assert "stable#0 | " in text
    assert "candidate#0 | " in text


def many(count: int) -> Status:
    minute = LastMinute(60.0, 120, 1, 3.0, 9.0)
    variants = tuple(
        VariantState(f"v{number}", f"model-{HOSTILE}@1", 0.5, 0.5, 1, 1, 1000, 3, 1.0, 9.0, last_minute=minute)
        for number in range(2)
    )
    endpoints = tuple(
        EndpointState(Address("endpoint", f"e{number:03}"), EndpointWord.SERVING, "http://x", 1, variants, HOSTILE)
        for number in range(count)
    )
    return Status((), endpoints, "http://127.0.0.1:8080", "process", "file:///s", datetime.now(UTC))


def test_two_hundred_endpoints_are_some_pages_of_bounded_size(tmp_path: Path) -> None:
    status = many(200)
    troubled = replace(status.endpoints[150], state=EndpointWord.DEGRADED, detail="v0: 0 of 1 healthy")
    status = replace(status, endpoints=(*status.endpoints[:150], troubled, *status.endpoints[151:]))
    with project_in(tmp_path) as project:
        client = browser_of(project, look=lambda: status)
        client.get("/endpoints")
        began = time.process_time()
        answer = client.get("/endpoints")
        seconds = time.process_time() - began
        assert len(answer.data) < 150_000
        assert seconds < 0.6
        assert answer.text.index("/endpoints/e150") < answer.text.index("/endpoints/e000")  # what is wrong comes first
        assert HOSTILE not in answer.text
        assert "page 1 of 4" in answer.text
        assert 'href="?q=&amp;state=&amp;page=2"' in answer.text
        assert len(json_of(client, "/endpoints.json")["endpoints"]) == 200


def test_the_page_says_what_has_come_of_the_fast_form(tmp_path: Path) -> None:
    status = many(1)
    off = Acceleration("onnx", False, HOSTILE)
    variants = (replace(status.endpoints[0].variants[0], acceleration=off), status.endpoints[0].variants[1])
    status = replace(status, endpoints=(replace(status.endpoints[0], variants=variants),))
    with project_in(tmp_path) as project:
        client = browser_of(project, look=lambda: status)
        client.get("/endpoints/e000")
        text = client.get("/endpoints/e000").text
    assert '<p class="change">v0: accelerate: onnx is off: ' in text
    assert HOSTILE not in text


def test_who_may_ask_is_on_the_page_of_an_endpoint(project: Project) -> None:
    """Those that may ask this endpoint, by name and rate; nothing where everybody may."""
    now = datetime.now(UTC)
    doors = Doors(
        callers=(AllowedCaller("crm", ("0f" * 32,), ("answers",), Limit(5, 100, 60)), AllowedCaller("ops", (), ("x",))),
        limits={"answers": Limit(500, 500, 1), "x": Limit(1, 1, 1)},
        certificate=Certified("d1", now + timedelta(days=9, hours=1)),
    )
    status = replace(project.status(), doors=DoorStates(doors, now))
    text = " ".join(browser_of(project, look=lambda: status).get("/endpoints/answers").text.split())
    assert "callers crm (100/m with a burst of 5) · at most 500/s · certificate expires in 9 days</p>" in text
    assert "0f0f" not in text
    assert "Gateway: " not in browser_of(project).get("/endpoints/answers").text
