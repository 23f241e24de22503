"""While commits are reported to a forge one project is kept open, and moves on with the commits that are worked on."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sagespec.events import silent
from sagespec.load.trees import At, write_at
from sagespec.parts import Parts
from sagespec.spec.source import Source
from sagespec.state.source import Attempt, AttemptResult, SourceRecord
from sagespec.verbs.sourced import Sourced
from tests.forge.server import TOKEN, ForgeServer, forge
from tests.forge.test_reporter import AT

PROJECT = "apiVersion: sagespec/v1\nkind: Project\nname: acme\n"


def sourced_in(folder: Path, **report: Any) -> Sourced:
    told = {"report": report, "secrets": {"forge": "env:FORGE_TOKEN"}} if report else {}
    url = "https://git.acme.example/acme/models.git"
    source = Source.model_validate({"apiVersion": "sagespec/v1", "kind": "Source", "name": "acme", "url": url, **told})
    return Sourced.at(source, folder, state_dir=folder / "home")


def work_on(sourced: Sourced, commit: str) -> Path:
    """As a pass does that is at the commit."""
    root = sourced.home / "trees" / commit
    root.mkdir(parents=True, exist_ok=True)
    (root / "sagespec.yaml").write_text(PROJECT)
    write_at(sourced.home, At(commit))
    return root


def test_the_same_parts_move_on_with_the_commits(tmp_path: Path) -> None:
    sourced = sourced_in(tmp_path)
    with sourced.parts_now() as now:
        assert now() is None, "nothing was worked on yet"
        roots, seen = [], list[Parts | None]()
        for commit in ("1" * 40, "2" * 40):
            roots.append(work_on(sourced, commit))
            seen += [now(), now()]
            assert seen[-1] is not None
            assert seen[-1].root == roots[-1]
        assert all(parts is seen[0] for parts in seen)
        assert seen[0] is not None
        store = seen[0].store
        work_on(sourced, "3" * 40)
        moved = now()
        assert moved is not None
        assert moved.store is store, "it stays open"


def test_each_change_is_told_while_the_commits_move_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_TOKEN", TOKEN)
    commits = [str(number) * 40 for number in (1, 2, 3)]
    with forge("gitea") as server:
        at = {"repository": "acme/models", "api": server.api, "token": {"secret": "forge"}}
        sourced = sourced_in(tmp_path, gitea=at)
        pull = SimpleNamespace(changed=lambda _record: None)
        with sourced.told(pull, silent):  # type: ignore[arg-type]  # no more of a Pull is used
            for commit in commits:
                work_on(sourced, commit)
                pull.changed(begun(sourced, commit))
                told(server, commit)
        assert [[state for state, *_ in server.statuses[commit]] for commit in commits] == [["pending"]] * 3
        assert sourced.records_before().read().reported.keys() == set(commits)


def told(server: ForgeServer, commit: str) -> None:
    end = time.monotonic() + 10
    while commit not in server.statuses:
        assert time.monotonic() < end, "the forge was not told"
        time.sleep(0.02)


def begun(sourced: Sourced, commit: str) -> SourceRecord:
    attempted = Attempt(commit=commit, at=AT, result=AttemptResult.APPLYING)
    return sourced.records_before().change(lambda record: record.model_copy(update={"attempted": attempted}))
