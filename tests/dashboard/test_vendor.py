"""The files of others that the pages use: as published, with their licences; and no page asks another host."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path

DASHBOARD = Path(__file__).parents[2] / "sagespec" / "dashboard"
VENDOR = DASHBOARD / "static" / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())
NOT_ASKED_FOR = ("http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot")  # a name space; a comment


def test_each_file_is_as_published_and_has_its_licence() -> None:
    licences = {entry["licence_file"] for entry in MANIFEST.values()}
    assert {file.name for file in VENDOR.iterdir()} == {"manifest.json", *MANIFEST, *licences}
    sums = {name: sha256((VENDOR / name).read_bytes()).hexdigest() for name in MANIFEST}
    assert sums == {name: entry["sha256"] for name, entry in MANIFEST.items()}
    assert all("Permission" in (VENDOR / name).read_text() for name in licences)


def test_no_file_names_another_host() -> None:
    files = [*DASHBOARD.rglob("*.html"), *DASHBOARD.rglob("*.css"), *DASHBOARD.rglob("*.js"), *DASHBOARD.rglob("*.svg")]
    assert len(files) > 10
    found = {
        (file.name, address)
        for file in files
        for address in re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"')]*", file.read_text(), re.IGNORECASE)
        if not address.startswith(NOT_ASKED_FOR)
    }
    assert found == set()
