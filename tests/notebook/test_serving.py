"""Where a notebook's JupyterLab listens when others start at the same time."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.notebook import serving
from sagespec.notebook.jupyter import Lab
from sagespec.notebook.serving import SETTINGS_FILE, Settings
from sagespec.ports import Claims
from tests.ports import free_port


class Starting:
    """A JupyterLab that answers at once."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def wait_until_it_answers(self, cancelled: threading.Event) -> None:
        pass


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    given = {"name": "work", "port": free_port(), "token": "t", "folder": str(tmp_path), "project": str(tmp_path)}
    file = tmp_path / SETTINGS_FILE
    file.write_text(json.dumps({**given, "idle_seconds": 0, "on_start": "", "packages": []}))
    return Settings.read(file)


def test_a_notebook_leaves_the_port_to_another_that_is_starting_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Jupyter tries its port by listening there for a moment: both would find it taken, and then free."""
    monkeypatch.setattr(serving, "Jupyter", Starting)
    other = Claims()
    assert other.claim(settings.port, "other")
    found = serving.opened(settings, threading.Event())
    assert settings.port < found.lab.port <= settings.port + 100
    assert json.loads((settings.state / SETTINGS_FILE).read_text())["port"] == found.lab.port


def test_a_notebook_that_fails_where_nobody_else_listens_is_not_moved(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    class Failing(Starting):
        def wait_until_it_answers(self, cancelled: threading.Event) -> None:
            started.append(self.lab.port)
            raise WorldError("Jupyter ended with exit code 1 as it started")

    monkeypatch.setattr(serving, "Jupyter", Failing)
    with pytest.raises(WorldError, match="exit code 1"):
        serving.opened(settings, threading.Event())
    assert started == [settings.port]
