"""The dashboard for Grafana: as its schema has it, and of figures that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.models import dashboard as grafana  # type: ignore[import-not-found,unused-ignore]
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.pages import ROOT, blocks
from tests.monitoring.test_families import text

FILE = Path(__file__).parents[2] / "examples" / "grafana" / "sagespec.json"
CONTENT: dict[str, Any] = json.loads(FILE.read_text())
PANELS: list[dict[str, Any]] = CONTENT["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def test_grafana_reads_all_of_it() -> None:
    own = {name: value for name, value in CONTENT.items() if not name.startswith("__")}  # of an import alone
    read = grafana.Dashboard.from_json(own)
    assert (read.title, read.uid) == ("sagespec", "sagespec")
    written = json.loads(json.dumps(read, default=lambda value: value.to_json()))
    assert {name: written[name] for name in own if name != "panels"}.keys() == own.keys() - {"panels"}
    assert [panel["title"] for panel in written["panels"]] == [panel["title"] for panel in PANELS]
    assert [[t["expr"] for t in panel["targets"]] for panel in PANELS]


def test_panels_have_names_of_their_own_and_do_not_lie_on_each_other() -> None:
    assert len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_every_figure_that_it_asks_for_is_at_our_address_with_its_labels() -> None:
    shown: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text()):
        for sample in family.samples:
            shown.setdefault(sample.name, set()).update(sample.labels)
    for expression in EXPRESSIONS:
        used = re.findall(r"(sagespec_\w+)(?:\{([^}]*)\})?", expression)
        assert used
        for name, matchers in used:
            assert name in shown, expression
            assert set(re.findall(r"(\w+)(?:=~|!=|=)", matchers)) <= shown[name], expression


def test_it_asks_the_prometheus_that_the_import_names() -> None:
    (asked,) = CONTENT["__inputs"]
    sources = {panel["datasource"]["uid"] for panel in PANELS}
    assert sources == {f"${{{asked['name']}}}"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian's prometheus has it)")
def test_prometheus_understands_every_question(tmp_path: Path) -> None:
    plain = [e.replace("$__rate_interval", "5m").replace("$endpoint", ".*") for e in EXPRESSIONS]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(plain)]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    said = subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.json")], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian's prometheus has it)")
def test_prometheus_takes_the_alerts_of_the_page(tmp_path: Path) -> None:
    (alerts,) = [block for block in blocks(ROOT / "docs" / "monitoring.md", "yaml") if block.startswith("groups:")]
    (tmp_path / "alerts.yml").write_text(alerts)
    said = subprocess.run(["promtool", "check", "rules", str(tmp_path / "alerts.yml")], capture_output=True, text=True)
    assert (said.returncode, "6 rules found" in said.stdout) == (0, True), said.stdout + said.stderr
    named = {family.name for family in text_string_to_metric_families(text())}
    used = set(re.findall(r"sagespec_[a-z_]+", alerts))
    assert used <= named | {f"{name}_total" for name in named}
