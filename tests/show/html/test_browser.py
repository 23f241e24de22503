"""The objects of a notebook in a real browser: nothing of them runs or loads, and all can be read in both themes."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import Problem
from sagespec.plan import Plan
from sagespec.show.pages import page_of
from sagespec.verbs.metrics import Metrics
from tests import sdks
from tests.show.markup import HOSTILE
from tests.show.screens import PLAN
from tests.show.test_status import STATUS
from tests.show.test_values import ANSWER, MANIFEST, REVISIONS

pytestmark = pytest.mark.browser

OBJECTS = [
    PLAN,
    STATUS,
    MANIFEST,
    REVISIONS,
    ANSWER,
    Metrics({text: [(0, 1.0), (1, 2.0)] for text in HOSTILE}),
    Plan(refused=tuple(Problem(text, text, text, text) for text in HOSTILE), notes=tuple(HOSTILE)),
]
LEAST_CONTRAST = 4.5  # WCAG 2.2, AA, text of usual size
LOOK = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const parts = colour => colour.match(/[0-9.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
const found = {alerts: window.alerts, loaded: performance.getEntriesByType("resource").length, themes: []};
for (const theme of ["true", "false"]) {
  document.body.dataset.jpThemeLight = theme;
  const seen = {least: 99, back: "", wide: false};
  for (const object of document.querySelectorAll("div.sagespec")) {
    seen.back = getComputedStyle(object).backgroundColor;
    seen.wide ||= object.getBoundingClientRect().right > window.innerWidth;
    const texts = "p, td, th, code, b, span, pre, summary, h4, path, svg text:not(.label)";
    for (const element of object.querySelectorAll(texts)) {
      const style = getComputedStyle(element);
      const colour = element.closest("svg") && element.tagName === "text" ? style.fill : style.color;
      const value = contrast(light(parts(colour)), light(parts(seen.back)));
      if (value < seen.least) { seen.least = value; seen.of = element.outerHTML.slice(0, 200); }
    }
  }
  found.themes.push(seen);
}
const result = document.createElement("script");
result.type = "application/json"; result.id = "result";
result.textContent = JSON.stringify(found);
document.body.append(result);
"""


def looked_at(tmp_path: Path) -> dict[str, Any]:
    """What a browser says of a page with all objects."""
    objects = "".join(str(page_of(value)) for value in OBJECTS)
    begin = "window.alerts = 0; window.alert = () => { window.alerts++ };"
    page = tmp_path / "page.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><title>objects</title><script>{begin}</script><body>{objects}"
        f"<script>addEventListener('load', () => {{ {LOOK} }})</script></body>"
    )
    command = [
        str(sdks.browser()),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'user'}",
    ]
    done = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120)
    (text,) = re.findall(r'<script type="application/json" id="result">(.*?)</script>', done.stdout, re.DOTALL)
    found: dict[str, Any] = json.loads(unescape(text))
    return found


def test_nothing_runs_or_loads_and_everything_can_be_read(tmp_path: Path) -> None:
    found = looked_at(tmp_path)
    assert (found["alerts"], found["loaded"]) == (0, 0)
    light, dark = found["themes"]
    assert light["back"] == "rgb(255, 255, 255)"
    assert dark["back"] == "rgb(13, 17, 23)"
    for theme in (light, dark):
        assert theme["least"] >= LEAST_CONTRAST, theme["of"]
        assert not theme["wide"]
