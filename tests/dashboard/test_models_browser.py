"""The pages of models and of the followed branch in a real Chromium: full and empty, in both themes, and narrow."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.dashboard.browsing import chromium, shown, tab_of, write_project
from tests.dashboard.shelf import fill, follow

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = {"models": "/models", "source": "/source", "home": "/", "job-swept": "/jobs/churn@5"}


@pytest.mark.parametrize("is_empty", [False, True])
def test_the_pages_in_both_themes(is_empty: bool, tmp_path: Path, project_name: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    write_project(tmp_path / "project", project_name, "")
    with shown(tmp_path / "project", with_loop=False, write=False) as (project, url), chromium() as browser:
        if not is_empty:
            fill(project)
            follow(project)
        pages = {name: path for name, path in PAGES.items() if not (is_empty and name == "job-swept")}
        violations = []
        for theme in ("light", "dark"):
            tab = tab_of(browser, url, color_scheme=theme, viewport={"width": 1280, "height": 800})
            for name, path in pages.items():
                tab.go(path)
                tab.picture(f"{name}-{'empty' if is_empty else 'full'}-{theme}", tmp_path)
                found = Axe().run(tab.page)
                violations += [f"{name} {theme}\n{found.generate_report()}"] if found.violations_count else []
            assert tab.said == []
            assert tab.asked == {urlsplit(url).netloc}
        assert violations == [], "\n".join(violations)
        narrow = tab_of(browser, url, viewport={"width": 640, "height": 400}, reduced_motion="reduce")
        for name, path in pages.items():
            narrow.go(path)
            sizes = narrow.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert sizes[0] <= sizes[1], f"{name} must be scrolled sideways: {sizes}"
