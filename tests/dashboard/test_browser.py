"""The dashboard in a real Chromium without DNS: how it looks, whom it asks, who can use it, and what its buttons do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sagespec.project import Project
from sagespec.verbs.states import JobWord
from tests.dashboard.browsing import FIRST, HOSTILE, Tab, chromium, job_like, shown, tab_of, write_project

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = {
    "home": "/",
    "jobs": "/jobs",
    "job": "/jobs/churn@2",
    "job-running": "/jobs/slow@1",
    "job-failed": "/jobs/wrong@1",
    "compare": "/jobs/compare?j=churn@1&j=churn@2",
    "plan": "/plan",
    "queue": "/queue",
    "events": "/events",
    "nothing": "/jobs/nothing@1",
}
EXPECTED = "Failed to load resource: the server responded with a status of 404"  # of the last one


def wait_until(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.2)


def states(project: Project) -> dict[str, JobWord]:
    return {f"{job.address.name}@{job.address.version}": job.state for job in project.status().jobs}


def wait_for(project: Project, **words: JobWord) -> None:
    """By name, of version 1."""
    wait_until(lambda: all(states(project).get(f"{name}@1") is word for name, word in words.items()))


def test_every_page_in_both_themes(tmp_path: Path, project_name: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    specs = FIRST + job_like("churn", 2, "steps: 80, rate: 0.5") + job_like("wrong", 1, 'fail: "yes"')
    specs += job_like("slow", 1, "steps: 5000, pause: 0.1")
    write_project(tmp_path / "project", project_name, specs)
    with shown(tmp_path / "project") as (project, url), chromium() as browser:
        wait_for(project, churn=JobWord.TRAINED, wrong=JobWord.FAILED, slow=JobWord.RUNNING)
        wait_until(lambda: states(project)["churn@2"] is JobWord.TRAINED)
        violations = []
        for theme in ("light", "dark"):
            tab = tab_of(browser, url, color_scheme=theme, viewport={"width": 1280, "height": 800})
            for name, path in PAGES.items():
                tab.go(path)
                tab.page.wait_for_timeout(2500)  # one poll at least
                tab.picture(f"{name}-{theme}", tmp_path)
                found = Axe().run(tab.page)
                violations += [f"{name} {theme}\n{found.generate_report()}"] if found.violations_count else []
            assert violations == [], "\n".join(violations)
            assert [text for text in tab.said if EXPECTED not in text] == []
            assert tab.asked == {urlsplit(url).netloc}
        narrow = tab_of(browser, url, viewport={"width": 640, "height": 400}, reduced_motion="reduce")  # 200 % of 1280
        for name, path in PAGES.items():
            narrow.go(path)
            sizes = narrow.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert sizes[0] <= sizes[1], f"{name} must be scrolled sideways: {sizes}"
        assert "hunter2x" not in narrow.page.content()


def test_a_job_is_followed_to_its_end(tmp_path: Path, project_name: str) -> None:
    write_project(tmp_path / "project", project_name, FIRST + job_like("slow", 1, "steps: 150, pause: 0.2"))
    with shown(tmp_path / "project") as (project, url), chromium() as browser:
        wait_for(project, slow=JobWord.RUNNING)
        tab = tab_of(browser, url)
        tab.go("/jobs/slow@1")
        tab.page.wait_for_selector("#log .line:has-text('loss=')")
        tab.page.wait_for_selector("#charts canvas")
        caption = tab.text("#charts figcaption >> nth=0")
        wait_until(lambda: tab.text("#charts figcaption >> nth=0") != caption, 10)
        before = lines_of(tab)
        wait_until(lambda: len(lines_of(tab)) > len(before) + 10, 10)

        hide(tab, True)
        tab.page.wait_for_timeout(300)
        asleep = lines_of(tab)
        tab.page.wait_for_timeout(2000)
        assert len(lines_of(tab)) <= len(asleep) + 1
        hide(tab, False)
        wait_until(lambda: len(lines_of(tab)) > len(asleep) + 15, 10)

        tab.page.wait_for_selector("h1 .state:has-text('trained')", timeout=60_000)
        tab.page.wait_for_selector("#artifacts")  # made again with its results
        steps = [line for line in lines_of(tab) if line.startswith("[")]
        assert [int(line[1:].partition("]")[0]) for line in steps] == list(range(150))
        assert HOSTILE in lines_of(tab)
        assert tab.page.locator("#log img, #log script").count() == 0
        tab.page.fill("#log-head ~ form input[name=q]", "auc=0.9")
        tab.page.click("#log-head ~ form button")
        assert 0 < len(lines_of(tab)) < 150
        assert all("auc=0.9" in line for line in lines_of(tab))
        with tab.page.expect_download() as download:
            tab.page.click("text=Download")
        assert download.value.path().read_text().count("auc=0.9") == len(lines_of(tab))
        assert tab.said == []


def lines_of(tab: Tab) -> list[str]:
    return [str(text) for text in tab.page.locator("#log .line").all_text_contents()]


def hide(tab: Tab, is_hidden: bool) -> None:
    """What a browser tells a page when its tab goes into the background, or comes back."""
    value = "true" if is_hidden else "false"
    tab.page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{value: {value}, configurable: true}});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def test_a_job_is_stopped_and_tried_again_by_buttons(tmp_path: Path, project_name: str) -> None:
    write_project(tmp_path / "project", project_name, FIRST + job_like("slow", 1, "steps: 5000, pause: 0.1"))
    with shown(tmp_path / "project") as (project, url), chromium() as browser:
        wait_for(project, slow=JobWord.RUNNING)
        tab = tab_of(browser, url)
        tab.go("/jobs/slow@1")
        tab.page.click("summary:has-text('Stop')")
        tab.page.click("form[action$='/stop'] button")
        tab.page.wait_for_selector("h1 .state:has-text('stopped')", timeout=60_000)
        assert project.manifest(project.resolve_address("slow@1")).reason.startswith("Stopped")
        tab.go("/jobs/slow@1")
        tab.page.click("summary:has-text('Retry')")
        tab.page.click("form[action$='/retry'] button")
        wait_for(project, slow=JobWord.RUNNING)
        tab.page.wait_for_selector("h1 .state:has-text('running')", timeout=30_000)
        tab.go("/events?q=stop")
        assert "asked to stop" in tab.text("#live")
        assert tab.said == []


def test_a_plan_that_has_changed_is_not_applied(tmp_path: Path, project_name: str) -> None:
    root = tmp_path / "project"
    write_project(root, project_name, FIRST)
    with shown(root, with_loop=False) as (project, url), chromium() as browser:
        tab = tab_of(browser, url)
        tab.go("/plan")
        assert "run-job" in tab.text("#live")
        tab.page.click("summary:has-text('Apply')")
        (root / "specs" / "all.yaml").write_text(FIRST.replace("steps: 40", "steps: 41"))
        tab.page.click("form[action$='/plan/apply'] button")
        tab.page.wait_for_selector("text=the plan has changed since it was approved", timeout=30_000)
        assert states(project) == {"churn@1": JobWord.WAITING}
        assert project.parts.records.applied().jobs == {}

        tab.page.wait_for_function("document.querySelector('#live pre')?.textContent.includes('steps: 41')")
        tab.page.click("summary:has-text('Apply')")
        tab.page.click("form[action$='/plan/apply'] button")
        wait_for(project, churn=JobWord.TRAINED)
        tab.page.wait_for_selector("text=Everything is as the specs say", timeout=30_000)
        assert tab.said == []


def test_all_but_charts_works_without_script(tmp_path: Path, project_name: str) -> None:
    write_project(tmp_path / "project", project_name, FIRST + job_like("slow", 1, "steps: 5000, pause: 0.1"))
    with shown(tmp_path / "project") as (project, url), chromium() as browser:
        wait_for(project, churn=JobWord.TRAINED, slow=JobWord.RUNNING)
        tab = tab_of(browser, url, java_script_enabled=False)
        tab.page.click("nav >> text=Jobs")
        tab.page.fill("input[name=q]", "churn")
        tab.page.click("text=Filter")
        assert tab.page.locator("tbody tr").count() == 1
        tab.page.click("text=churn@1")
        assert "loss=" in tab.text("#log")
        tab.go("/jobs")
        for box in tab.page.locator("input[name=j]").all():
            box.check()
        tab.page.click("text=Compare those ticked")
        assert "differs" in tab.text("#live")
        tab.go("/jobs/slow@1")
        tab.page.click("summary:has-text('Stop')")
        tab.page.click("form[action$='/stop'] button")
        wait_for(project, slow=JobWord.STOPPED)


def test_the_keyboard_is_enough(tmp_path: Path, project_name: str) -> None:
    write_project(tmp_path / "project", project_name, FIRST)
    with shown(tmp_path / "project", with_loop=False) as (_, url), chromium() as browser:
        tab = tab_of(browser, url)
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.textContent") == "Skip to content"
        tab.page.keyboard.press("Enter")
        assert tab.page.evaluate("document.activeElement.id") == "main"
        tab.go("/plan")
        for _ in range(30):
            tab.page.keyboard.press("Tab")
            if tab.page.evaluate("document.activeElement.tagName") == "SUMMARY":
                break
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert tab.page.evaluate(outline) == "solid"  # one sees where one is
        tab.page.keyboard.press("Enter")
        assert tab.page.locator("form[action$='/plan/apply'] button").is_visible()
        tab.page.wait_for_timeout(5000)  # asked for again meanwhile, and still open
        assert tab.page.locator("form[action$='/plan/apply'] button").is_visible()
