"""What is imported is what was planned, checked and stored as one copy; and nobody waits for what is not wanted."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import Cancelled, WorldError
from sagespec.events import Caller, Event
from sagespec.run import imports
from sagespec.run.archives import archive_at
from sagespec.run.imports import Brought, bring, import_archive
from sagespec.run.jobs import Jobs
from sagespec.state.desired import DesiredJob
from sagespec.state.manifest import Manifest
from sagespec.state.observed import Archive
from tests.place import Place, manifest_of


def pack(archive: Path, text: str) -> bytes:
    member = archive.parent / "model.txt"
    member.write_text(text)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(member, "model.txt")
    return archive.read_bytes()


@pytest.fixture(params=["{folder}/model.tar.gz", "file://{folder}/model.tar.gz"], ids=["file", "object"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    pack(tmp_path / "model.tar.gz", "as planned")
    return str(request.param).format(folder=tmp_path)


class Import:
    def __init__(self, folder: Path, source: str) -> None:
        self.place = Place(folder)
        world = self.place.world()
        job: DesiredJob = self.place.look(world, self.place.job(1))[0].jobs[0]
        self.jobs: Jobs = world.jobs
        self.job = replace(job, imported_from=source)
        self.planned = archive_at(source, folder)

    def run(self, caller: Caller | None = None, archive: Archive | None = None) -> Manifest:
        return import_archive(self.job, archive or self.planned, self.jobs, caller or Caller())

    @property
    def stored(self) -> list[bytes]:
        return [content for key, content in self.place.objects.items() if key.endswith("/model.tar.gz")]


def test_what_was_replaced_since_the_plan_is_not_imported(tmp_path: Path, source: str) -> None:
    one = Import(tmp_path, source)
    pack(tmp_path / "model.tar.gz", "another, after somebody approved")
    with pytest.raises(WorldError, match=f"{source} is not the archive that was planned") as caught:
        one.run()
    assert str(one.planned) in str(caught.value)
    assert "plan again" in str(caught.value)
    assert one.stored == []
    assert one.run(archive=archive_at(source, tmp_path)).artifacts["model"].size


def test_what_is_checked_is_what_is_stored(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, content = Import(tmp_path, source), (tmp_path / "model.tar.gz").read_bytes()
    check: Callable[..., None] = imports.check_archive

    def check_and_replace(*args: Any, **named: Any) -> None:
        check(*args, **named)
        (tmp_path / "model.tar.gz").write_text("no model, and written after the check")

    monkeypatch.setattr(imports, "check_archive", check_and_replace)
    assert one.run().artifacts["model"].sha256 == hashlib.sha256(content).hexdigest()
    assert one.stored == [content]


def test_an_import_shows_how_far_it_is_and_ends_when_it_is_not_wanted(tmp_path: Path, source: str) -> None:
    one, cancelled = Import(tmp_path, source), threading.Event()
    events: list[Event] = []

    def report(event: Event) -> None:
        events.append(event)
        cancelled.set()

    with pytest.raises(Cancelled):
        one.run(Caller(report, cancelled))
    size = (tmp_path / "model.tar.gz").stat().st_size
    assert [(event.done, event.total, event.unit) for event in events] == [(size, 2 * size, "bytes")], "the copy alone"
    assert one.stored == []
    events.clear()
    one.run(Caller(events.append))
    assert events[-1].done == events[-1].total == 2 * size


def test_an_archive_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, digest = [], hashlib.file_digest

    def counted(*args: Any) -> Any:
        reads.append(args)
        return digest(*args)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    file = tmp_path / "model.tar.gz"
    pack(file, "a model")
    known: dict[tuple[Path, int, int], str] = {}
    first = archive_at("model.tar.gz", tmp_path, known)
    assert [archive_at("model.tar.gz", tmp_path, known) for _ in range(3)] == [first] * 3
    assert len(reads) == 1
    shutil.copy(tmp_path / "model.txt", file)
    assert archive_at("model.tar.gz", tmp_path, known) != first
    assert len(reads) == 2


def test_a_slower_import_leaves_the_model_of_the_faster_one(tmp_path: Path) -> None:
    """Both were planned; the second waits for the first, whose bytes and record stay as they are."""
    content = pack(tmp_path / "model.tar.gz", "the first")
    faster, slower = Import(tmp_path, "model.tar.gz"), Import(tmp_path, "model.tar.gz")
    slower.place.objects = faster.place.objects
    slower.jobs = slower.place.world().jobs
    brought = bring(faster.job, faster.planned, faster.jobs, Caller())
    pack(tmp_path / "model.tar.gz", "the second, of another plan")
    found: list[Brought] = []
    planned = archive_at("model.tar.gz", tmp_path)
    other = threading.Thread(target=lambda: found.append(bring(slower.job, planned, slower.jobs, Caller())))
    other.start()
    other.join(0.3)
    assert found == [], "it waits, although the first has only to be recorded"
    brought.record()
    other.join(10)
    found[0].record()
    manifest = manifest_of(faster.place)
    assert manifest.artifacts["model"].sha256 == hashlib.sha256(content).hexdigest()
    assert faster.stored == [content]
    assert not any(key.endswith("import.json") for key in faster.place.objects)


def test_who_waits_for_another_import_ends_when_it_is_not_wanted(tmp_path: Path) -> None:
    pack(tmp_path / "model.tar.gz", "a model")
    one, cancelled = Import(tmp_path, "model.tar.gz"), threading.Event()
    brought = bring(one.job, one.planned, one.jobs, Caller())
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(Cancelled):
        bring(one.job, one.planned, one.jobs, Caller(cancelled=cancelled))
    brought.discard()
    bring(one.job, one.planned, one.jobs, Caller()).record()
    assert manifest_of(one.place).imported_from == "model.tar.gz"
