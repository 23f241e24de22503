"""An edited spec is noticed, whatever has become of its folder, and with or without the system's notices."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from watchdog.observers import Observer

from sagespec import edits
from sagespec.edits import file_wakes, no_notices
from sagespec.events import Event


class Project:
    """specs/ holds a spec, a link to a file and a link to a folder; `current` is a link to one of two revisions."""

    def __init__(self, root: Path) -> None:
        self.specs, self.current = root / "specs", root / "current"
        for name in ("specs/a.yaml", "elsewhere/file.yaml", "shared/sub/b.yaml", "one/c.yaml", "two/c.yaml"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("first")
        (self.specs / "file.yaml").symlink_to(root / "elsewhere" / "file.yaml")
        (self.specs / "shared").symlink_to(root / "shared")
        self.current.symlink_to(root / "one")
        self.root = root

    def remake(self) -> None:
        """As a change of the branch does."""
        shutil.copytree(self.specs, self.root / "kept", symlinks=True)
        shutil.rmtree(self.specs)
        time.sleep(0.3)
        (self.root / "kept").rename(self.specs)

    def flip(self) -> None:
        """As git-sync does."""
        (self.root / "next").symlink_to(self.root / "two")
        (self.root / "next").rename(self.current)

    def edit(self, name: str) -> Callable[[], object]:
        return lambda: (self.root / name).write_text("second, and longer")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def is_noticed(project: Project, *changes: Callable[[], object], events: list[Event] | None = None) -> list[bool]:
    """Of each change, whether it wakes within seconds."""
    woken = threading.Event()
    found = []
    with file_wakes([project.specs, project.current], woken.set, (events if events is not None else []).append):
        for change in changes:
            woken.clear()
            change()
            found.append(woken.wait(10))
            while woken.wait(0.3):  # the rest of it
                woken.clear()
    return found


def test_edits_are_noticed_after_folders_were_made_again_and_links_swapped(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "LOOK_EVERY_SECONDS", 60.0)  # by the notices alone
    changes = [
        project.edit("specs/a.yaml"),
        project.remake,
        project.edit("specs/file.yaml"),
        project.edit("specs/shared/sub/b.yaml"),
        project.flip,
        project.edit("two/c.yaml"),
    ]
    assert is_noticed(project, *changes) == [True] * len(changes)


def test_without_notices_the_next_look_finds_what_has_changed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_observer: object) -> None:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(edits, "LOOK_EVERY_SECONDS", 0.1)
    monkeypatch.setattr(Observer, "start", refuse)
    events: list[Event] = []
    changes = [project.edit("specs/a.yaml"), project.remake, project.edit("specs/shared/sub/b.yaml"), project.flip]
    assert is_noticed(project, *changes, events=events) == [True] * 4
    assert [event.text for event in events] == [
        "edits are noticed within 0.1 s, not at once: inotify instance limit reached"
    ]
    assert "instance limit" in no_notices([project.specs])


def test_what_is_no_spec_wakes_nobody(project: Project) -> None:
    woken = threading.Event()
    with file_wakes([project.specs], woken.set, print):
        (project.specs / ".a.yaml.swp").write_text("an editor's")
        (project.specs / "notes.txt").write_text("")
        assert not woken.wait(0.5)
    assert no_notices([project.specs]) == ""
