"""Who gets an answer: names, other sites, strangers, requests that change something; and the headers of answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from sagespec.dashboard.access import Access, check
from sagespec.errors import SpecError
from sagespec.project import Project
from sagespec.spec.dashboard import DashboardSettings
from tests.dashboard.served import HOST, TOKEN, access_of, client_of, project_in, signed_in

WRITABLE = DashboardSettings(write=True)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_in(tmp_path) as project:
        yield project


@pytest.fixture
def browser(project: Project) -> FlaskClient:
    return signed_in(client_of(project))


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(project: Project) -> None:
    client = client_of(project)
    answer = client.get(f"/jobs?q=churn&token={TOKEN}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs?q=churn")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("sagespec-8082=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs.json", "/plan", "/nothing", "/?token=wrong"])
def test_a_stranger_sees_nothing(path: str, project: Project) -> None:
    answer = client_of(project).get(path)
    assert answer.status_code == 401
    assert "shown" not in answer.text  # the project's name


def test_the_token_can_be_pasted(project: Project) -> None:
    client = client_of(project)
    assert client.post("/sign-in", data={"token": "wrong"}).status_code == 401
    answer = client.post("/sign-in", data={"token": TOKEN})
    assert answer.status_code == 303
    client.set_cookie("sagespec-8082", access_of().cookie, domain="127.0.0.1")
    assert client.get("/").status_code == 200


def test_a_program_may_send_the_token(project: Project) -> None:
    answer = client_of(project).get("/jobs.json", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.json == {"jobs": []}


MATRIX = [
    ("a name that leads here from elsewhere", {"Host": "evil.example:8082"}, 421),
    ("no port", {"Host": "127.0.0.1"}, 421),
    ("another site's page", {"Sec-Fetch-Site": "cross-site"}, 403),
    ("a page of another port", {"Sec-Fetch-Site": "same-site"}, 403),
    ("our own page", {"Sec-Fetch-Site": "same-origin"}, 200),
    ("typed", {"Sec-Fetch-Site": "none"}, 200),
    ("by its other name", {"Host": "localhost:8082"}, 401),  # browsers keep cookies by name
]


@pytest.mark.parametrize(("what", "headers", "status"), MATRIX, ids=[row[0] for row in MATRIX])
def test_where_a_request_comes_from(what: str, headers: dict[str, str], status: int, browser: FlaskClient) -> None:
    assert browser.get("/", headers=headers).status_code == status


def changes(access: Access, **given: str) -> dict[str, str]:
    return {"X-Sagespec-Token": access.mark, "Origin": f"http://{HOST}", **given}


POSTS = [
    ("no mark", {"X-Sagespec-Token": ""}, 403),
    ("a wrong mark", {"X-Sagespec-Token": "x" * 64}, 403),
    ("a foreign origin", {"Origin": "http://evil.example"}, 403),
    ("no origin a browser tells", {"Origin": "null"}, 403),
    ("good", {}, 404),  # past all defences: there is no such page
]


@pytest.mark.parametrize(("what", "headers", "status"), POSTS, ids=[row[0] for row in POSTS])
def test_what_may_change_something(what: str, headers: dict[str, str], status: int, project: Project) -> None:
    access = access_of(WRITABLE)
    client = signed_in(client_of(project, access), access)
    assert client.post("/no/such/page", headers=changes(access, **headers)).status_code == status


def test_it_is_read_only_unless_asked(project: Project) -> None:
    access = access_of()
    client = signed_in(client_of(project, access), access)
    answer = client.post("/no/such/page", headers=changes(access))
    assert answer.status_code == 403
    assert "read-only" in answer.text
    assert access.mark not in client.get("/").text


def test_a_page_runs_no_script_but_ours_and_is_kept_by_nobody(browser: FlaskClient) -> None:
    headers = browser.get("/").headers
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_behind_a_proxy_the_users_name_is_believed_from_the_proxy_alone(project: Project) -> None:
    settings = DashboardSettings(
        host="0.0.0.0", auth="proxy", proxies=("10.0.0.9",), allowed_hosts=("dash.example.com",), write=("ann",)
    )
    client = client_of(project, access_of(settings))

    def status(peer: str, user: str, method: str = "GET", **more: str) -> int:
        headers = {"Host": "dash.example.com", "X-Forwarded-User": user, **more}
        answer = client.open("/jobs", method=method, headers=headers, environ_base={"REMOTE_ADDR": peer})
        return answer.status_code

    assert status("10.0.0.9", "ann") == 200
    assert status("10.0.0.9", "") == 401
    assert status("10.0.0.8", "ann") == 401
    mark = {"X-Sagespec-Token": access_of(settings).mark}
    assert status("10.0.0.9", "bob", "POST", **mark) == 403
    assert status("10.0.0.9", "ann", "POST", **mark) == 405  # past the defences


def test_below_a_path_all_links_have_it(project: Project) -> None:
    access = access_of(DashboardSettings(base_path="/sagespec"))
    client = signed_in(client_of(project, access), access)
    text = client.get("/sagespec/").text
    assert 'href="/sagespec/jobs"' in text
    assert 'src="/sagespec/static/app.js' in text
    assert client.get(f"/sagespec/jobs?token={TOKEN}", headers={"Cookie": ""}).status_code in (200, 303)


@pytest.mark.parametrize(
    "settings",
    [
        DashboardSettings(host="0.0.0.0"),
        DashboardSettings(host="192.168.1.5"),
        DashboardSettings(auth="proxy"),
        DashboardSettings(write=("ann",)),
    ],
)
def test_settings_that_would_open_it_to_everybody_are_refused(settings: DashboardSettings) -> None:
    with pytest.raises(SpecError):
        check(settings, {})
