"""The pages of endpoints in a real Chromium: how they look, and a way back by a click while requests come in."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sagespec.project import Project
from tests.dashboard.browsing import HOSTILE, Tab, chromium, shown, tab_of
from tests.gateway.test_gateway import Load
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = {
    "endpoints": "/endpoints",
    "endpoint": "/endpoints/answers",
    "endpoint-day": "/endpoints/answers?window=24h",
    "revisions": "/endpoints/answers/revisions",
    "roll-back": "/endpoints/answers/revisions/1/roll-back",
    "variants": "/endpoints/answers/ab",
    "trial": "/endpoints/answers/try",
}


@pytest.fixture
def place(tmp_path: Path, project_name: str) -> Workspace:
    """Its endpoint has served model 1, and serves models 1 and 2."""
    place = Workspace(tmp_path / "project", project_name, "process")
    place.write(job(1) + job(2) + endpoint("stable model@1 100"))
    place.run("apply")
    place.write(job(1) + job(2) + endpoint("stable model@2 60 environment: {A: b}", "candidate model@1 40"))
    place.run("apply")
    return place


def test_every_page_of_an_endpoint_in_both_themes(place: Workspace, tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with shown(place.root) as (project, url), chromium() as browser, Load(place.port, "answers", callers=1):
        wait_until(lambda: project.parts.traffic.span(("answers", "stable"), time.time(), 60.0).requests > 100)
        project.invoke("answers", b"x", variant="stable", custom_attributes="status=500", check=False)
        violations = []
        for theme in ("light", "dark"):
            tab = tab_of(browser, url, color_scheme=theme, viewport={"width": 1280, "height": 800})
            for name, path in PAGES.items():
                tab.go(path)
                if name.startswith("endpoint-") or name == "endpoint":
                    tab.page.wait_for_selector("#traffic-plots figure:nth-of-type(6) canvas")
                tab.page.wait_for_timeout(2500)  # one poll at least
                tab.picture(f"{name}-{theme}", tmp_path)
                found = Axe().run(tab.page)
                violations += [f"{name} {theme}\n{found.generate_report()}"] if found.violations_count else []
            assert violations == [], "\n".join(violations)
            assert tab.said == []
            assert tab.asked == {urlsplit(url).netloc}
        narrow = tab_of(browser, url, viewport={"width": 640, "height": 400})  # 200 % of 1280
        for name, path in PAGES.items():
            narrow.go(path)
            sizes = narrow.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert sizes[0] <= sizes[1], f"{name} must be scrolled sideways: {sizes}"


def test_curves_follow_the_traffic_and_change_their_window(place: Workspace) -> None:
    with shown(place.root) as (_, url), chromium() as browser, Load(place.port, "answers", callers=1):
        tab = tab_of(browser, url)
        tab.go("/endpoints/answers")
        wait_until(lambda: "stable -" not in tab.text("#traffic-plots figcaption >> nth=0"), 60)
        before = tab.text("#traffic-plots figcaption >> nth=0")
        wait_until(lambda: tab.text("#traffic-plots figcaption >> nth=0") != before, 30)
        tab.page.check("input[name=window][value='24h']")
        wait_until(lambda: tab.page.url.endswith("?window=24h"), 10)
        assert tab.page.locator("#traffic-plots canvas").count() == 6
        assert tab.said == []


@pytest.mark.parametrize("has_script", [True, False], ids=["script", "no-script"])
def test_a_roll_back_by_a_click_under_load_fails_no_request(has_script: bool, place: Workspace) -> None:
    with shown(place.root) as (project, url), chromium() as browser, Load(place.port, "answers", callers=3) as load:
        tab = tab_of(browser, url, java_script_enabled=has_script)
        tab.go("/endpoints/answers/revisions")
        tab.page.click("text=Roll back to 1…")
        shown_plan = tab.text("pre")
        assert "start-instance" in shown_plan
        assert "model of stable model@2 -> model@1" in tab.text("#changes ~ ul")
        assert len(project.history("answers")) == 2
        tab.page.fill("input[name=reason]", f"worse {HOSTILE}")
        tab.page.click("button.primary")
        wait_until(lambda: is_live(project, 3), 60)
        load.await_answers(200)
        assert load.failures == {}
        assert project.status().endpoints[0].variants[0].model == "model@1"
        wait_until(lambda: "rolled back to revision 1: worse" in again(tab, has_script=has_script), 20)
        wait_until(lambda: ": done" in again(tab, has_script=has_script), 60)
        assert tab.page.locator("td img, td script").count() == 0
        assert tab.said == []
        load.await_answers(50)
    assert load.failures == {}


def is_live(project: Project, number: int) -> bool:
    (state,) = project.status().endpoints
    return state.revision == number


def again(tab: Tab, *, has_script: bool) -> str:
    """What the page says now; without script it has to be asked for again."""
    if not has_script:
        tab.page.reload()
    return tab.text("main")


def test_an_answer_is_text_whatever_it_is(place: Workspace) -> None:
    with shown(place.root) as (_, url), chromium() as browser:
        tab = tab_of(browser, url)
        tab.go("/endpoints/answers/try")
        tab.page.fill("textarea", f"1,2\n{HOSTILE}")
        tab.page.select_option("select[name=variant]", "candidate")
        tab.page.click("button.primary")
        assert "candidate" in tab.text("#answer ~ dl")
        assert tab.page.input_value("textarea") == f"1,2\n{HOSTILE}"
        assert tab.page.locator("pre img, pre script").count() == 0
        tab.go("/endpoints/answers")
        tab.page.wait_for_selector("#log .line:has-text('POST /invocations')")
        assert tab.said == []
