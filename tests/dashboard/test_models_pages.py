"""Pages of models and of the followed branch: aliases, what gc does with each version, which commit is held."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from sagespec.dashboard.pages.wrong import wrong_of
from sagespec.project import Project
from sagespec.state.addresses import Address, job_address
from sagespec.state.source import HeldReason
from tests.dashboard.rows import HOSTILE, endpoint_row, status_of
from tests.dashboard.served import client_of, project_in, signed_in
from tests.dashboard.shelf import APPLIED, HEAD, LONG_AGO, fill, follow

PAGES = ["/models", "/source"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_in(tmp_path) as project:
        yield project


@pytest.fixture
def browse(project: Project) -> Callable[..., FlaskClient]:
    def browse(**given: Any) -> FlaskClient:
        return signed_in(client_of(project, **given))

    return browse


def rows(page: str) -> dict[str, str]:
    """What stands in the rows of a page's tables, as one reads it, by the first cell."""
    texts = (re.sub(r"<[^>]*>", " ", row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL))
    lines = [" ".join(unescape(text).split()) for text in texts]
    return {line.split()[0]: line.partition(" ")[2] for line in lines if line}


def test_each_version_has_its_aliases_who_serves_it_and_what_gc_does_with_it(
    project: Project, browse: Callable[..., FlaskClient]
) -> None:
    fill(project)
    client = browse(look=lambda: status_of((), (endpoint_row("churn"),)))
    found = rows(client.get("/models").text)
    ends = {name: text.partition("d ago ")[2] or text for name, text in found.items()}
    assert list(found) == ["Version", "churn@9", "churn@5", "churn@4", "churn@3", "churn@2", "churn@1"]
    assert ends["churn@9"] == "next ○ not trained - - - - -"
    assert "▲ swept" in found["churn@5"]
    assert re.search(r"- - swept \S+ \S+ UTC: its manifest, logs and metrics stay$", ends["churn@5"])
    assert ends["churn@4"] == "- 20 B marked : may be swept in 5 d , if nothing names it by then"
    assert found["churn@3"].startswith("champion ● trained validation:auc 0.93")
    assert ends["churn@3"] == "- 15 B kept: champion in the specs"
    assert ends["churn@2"] == (
        "churn 10 % 10 B rejected: leaks the label; due : the next sagespec gc --sweep deletes it"
    )
    assert ends["churn@1"] == "churn 90 % 5 B kept: protected by the specs"
    assert list(rows(client.get("/models?q=CHAMPION").text)) == ["Version", "churn@3"]
    assert list(rows(client.get("/models?q=marked").text)) == ["Version", "churn@4"]


def test_models_are_json_too(project: Project, browse: Callable[..., FlaskClient]) -> None:
    fill(project)
    found = browse().get("/models.json").json
    assert found is not None
    (model,) = found["models"]
    assert model["aliases"] == {"champion": 3, "next": 9}
    assert {one["version"]: one["rejected"] for one in model["versions"] if one["rejected"]} == {2: "leaks the label"}
    assert [one["version"] for one in model["versions"] if one["swept_at"]] == [5]
    assert model["versions"][-1]["trained_at"] == LONG_AGO.isoformat()
    assert found["gc"] == project.gc().as_json()
    assert [one["job"] for one in found["gc"]["swept_before"]] == ["job/churn@5"]


def test_models_are_shown_where_gc_cannot_be_asked(project: Project, browse: Callable[..., FlaskClient]) -> None:
    fill(project)
    (project.root / "environments").mkdir()
    (project.root / "environments" / "prod.yaml").write_text("what: is this\n")
    page = browse().get("/models").text
    assert "What gc would do cannot be said" in page
    assert "environments/prod.yaml:1" in page
    assert list(rows(page))[1:3] == ["churn@9", "churn@5"]
    assert browse().get("/models.json").json["gc"] is None  # type: ignore[index]


def test_the_page_of_a_swept_version_says_how_it_comes_back(
    project: Project, browse: Callable[..., FlaskClient]
) -> None:
    fill(project)
    assert "its model was swept by gc; restore it from a back-up: sagespec gc --restore churn@5" in unescape(
        browse().get("/jobs/churn@5").text
    )
    assert "swept by gc" not in browse().get("/jobs/churn@4").text


def test_a_held_commit_comes_first_with_its_plan_and_the_way_on(
    project: Project, browse: Callable[..., FlaskClient]
) -> None:
    follow(project)
    client = browse()
    page = client.get("/source").text
    for text in (
        f"Waits for approval: <code>{HEAD[:12]}",
        "weight of candidate 10 -&gt; 30",
        "<code>sagespec source approve 9c0f2a7d41be</code>",
        f"<code>{APPLIED[:12]}</code>",
        "signed by ada@acme.example",
        "root on build-7",
    ):
        assert text in page
    first = client.get("/").text
    assert f"{HEAD[:12]}: its plan waits" in first
    assert 'href="/source"' in first
    (wrong,) = wrong_of(project.status())
    assert (wrong.about, wrong.word) == ("source", "approval")
    found = client.get("/source.json").json
    assert found is not None
    assert (found["held"]["commit"], found["applied"]["commit"], len(found["ends"])) == (HEAD, APPLIED, 1)


def test_a_branch_that_is_gone_has_no_head(project: Project, browse: Callable[..., FlaskClient]) -> None:
    follow(project, HeldReason.BRANCH_GONE, "the branch is not there any more")
    page = browse().get("/source").text
    assert f"Held: <code>{HEAD[:12]}" in page
    assert "the branch is gone</span>" in page


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_project_is_told_what_makes_one(path: str, browse: Callable[..., FlaskClient]) -> None:
    answer = browse().get(path)
    assert answer.status_code == 200
    assert 'class="empty"' in answer.text
    assert browse().get(f"{path}.json").status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_whatever_a_commit_says_is_text(path: str, project: Project, browse: Callable[..., FlaskClient]) -> None:
    fill(project)
    follow(project, text=HOSTILE)
    model = project.root / "specs" / "models.yaml"
    model.write_text(model.read_text().replace("leaks the label", "'<script>alert(2)</script>'"))
    page = browse().get(f"{path}?q=").text
    assert "<img" not in page
    assert "<script>" not in page
    assert "&lt;" in page


@pytest.mark.parametrize("about", ["notebook/first", "model/churn", "gateway", "nothing"])
def test_events_of_every_kind_of_thing_are_shown(about: str, browse: Callable[..., FlaskClient]) -> None:
    from sagespec.dashboard.happenings import Happenings
    from sagespec.events import Event, EventKind

    happenings = Happenings()
    happenings.tell(Event(EventKind.STARTED, about, "begun"))
    answer = browse(happenings=happenings).get("/events")
    assert answer.status_code == 200
    assert about in answer.text


def test_what_was_swept_and_what_will_be_is_in_the_status(project: Project) -> None:
    fill(project)
    said = project.status().as_json()["gc"]
    assert [one["job"] for one in said["marked"]] == ["job/churn@2", "job/churn@4"]
    assert [one["job"] for one in said["swept"]] == ["job/churn@5"]
    manifest = project.parts.records.manifests([job_address("churn", 5)])[Address.parse("job/churn@5")]
    assert manifest.swept_at is not None
    assert said["swept"][0]["swept_at"] == manifest.swept_at.isoformat()
