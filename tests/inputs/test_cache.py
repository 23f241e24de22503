"""The cache of what was fetched, against real S3 servers: nothing twice, whole or not at all, and room made."""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.inputs.cache import Cache, Wanted, link_or_copy
from sagespec.stores.open import open_store
from sagespec.stores.protocol import Conflict, Entry, Store
from tests.contracts.servers import Kind, Meter, S3Server, metered, s3_server
from tests.fakes import FakeStore

MB = 1 << 20
ROOMY = 1 << 40
PART = 1 << 18


@pytest.fixture(scope="module", params=["rclone", "moto"])
def server(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    kind: Kind = request.param
    with s3_server(kind) as running:
        yield running


@pytest.fixture
def meter(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    with metered(server) as meter:
        meter.server.activate(monkeypatch)
        yield meter


@pytest.fixture
def store(meter: Meter) -> Store:
    return open_store(f"{meter.server.uri}/{secrets.token_hex(4)}")


def wanted(store: Store, folder: Path) -> list[Wanted]:
    return [Wanted(store, entry, folder / entry.key) for entry in store.entries()]


def roomy(folder: Path) -> Cache:
    return Cache(folder, ROOMY, part_bytes=PART, pause_seconds=0)


def bring(cache: Cache, store: Store, folder: Path) -> int:
    """How many bytes were fetched."""
    return cache.bring(wanted(store, folder), lambda _: None)


def files_in(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def put_large(store: Store, tmp_path: Path, key: str, size: int) -> str:
    """The SHA-256 of what was uploaded; beyond 8 MiB in parts, and its ETag is then no MD5 on AWS, nor on moto."""
    (tmp_path / "large").write_bytes(secrets.token_bytes(size))
    return store.upload(key, tmp_path / "large").sha256


# -- on servers ------------------------------------------------------------------------------------


@pytest.mark.s3
def test_what_was_fetched_once_is_not_fetched_again(store: Store, meter: Meter, tmp_path: Path) -> None:
    content = {f"sub/part-{number}.csv": secrets.token_bytes(1000 + number) for number in range(20)}
    for key, data in content.items():
        store.write(key, data)
    store.write("empty", b"")
    sha256 = put_large(store, tmp_path, "large", 9 * MB + 5)
    meter.reset()
    counted: list[int] = []
    total = sum(map(len, content.values())) + 9 * MB + 5

    fetched = roomy(tmp_path / "cache").bring(wanted(store, tmp_path / "first"), counted.append)
    assert (fetched, sum(counted)) == (total, total)
    found = files_in(tmp_path / "first")
    assert hashlib.sha256(found.pop("large")).hexdigest() == sha256
    assert found == {**content, "empty": b""}

    meter.reset()
    counted.clear()
    again = roomy(tmp_path / "cache").bring(wanted(store, tmp_path / "second"), counted.append)
    assert (again, sum(counted), meter.fetches) == (0, total, [])
    assert files_in(tmp_path / "second") == files_in(tmp_path / "first")


@pytest.mark.s3
def test_the_same_content_elsewhere_is_not_fetched_again(store: Store, meter: Meter, tmp_path: Path) -> None:
    store.write("a", b"the same")
    bring(roomy(tmp_path / "cache"), store, tmp_path / "first")
    other = open_store(f"{meter.server.uri}/{secrets.token_hex(4)}")
    other.write("b", b"the same")
    meter.reset()
    assert bring(roomy(tmp_path / "cache"), other, tmp_path / "second") == 0
    assert (meter.fetches, files_in(tmp_path / "second")) == ([], {"b": b"the same"})


@pytest.mark.s3
def test_large_objects_come_in_parts_side_by_side_byte_for_byte(store: Store, meter: Meter, tmp_path: Path) -> None:
    sha256 = put_large(store, tmp_path, "large", 6 * PART - 1)
    meter.reset()
    bring(roomy(tmp_path / "cache"), store, tmp_path / "first")
    assert hashlib.sha256((tmp_path / "first" / "large").read_bytes()).hexdigest() == sha256
    assert len(meter.fetches) == 6


@pytest.mark.s3
def test_a_killed_fetch_goes_on_with_the_parts_it_has(store: Store, meter: Meter, tmp_path: Path) -> None:
    sha256 = put_large(store, tmp_path, "large", 24 * PART)
    meter.pause_seconds = 0.02
    script = f"""
import sys
from pathlib import Path
from sagespec.inputs.cache import Cache, Wanted
from sagespec.stores.open import open_store
store = open_store({store.uri!r})
entry, = store.entries()
wanted = [Wanted(store, entry, Path("killed/large"))]
Cache(Path({str(tmp_path / "cache")!r}), 1 << 40, part_bytes={PART}).bring(wanted, lambda _: None)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=dict(os.environ)) as fetching:
        noted = wait_for(lambda: [notes for notes in journals(tmp_path) if notes.read_bytes().count(b"\n") >= 4])
        fetching.send_signal(signal.SIGKILL)
    there = noted[0].read_bytes().count(b"\n")
    assert 4 <= there < 24, "it was killed on the way"
    meter.pause_seconds = 0
    time.sleep(0.5)  # what the killed one asked for may still be on its way
    meter.reset()
    counted: list[int] = []

    roomy(tmp_path / "cache").bring(wanted(store, tmp_path / "first"), counted.append)
    assert len(meter.fetches) == 24 - there
    assert sum(counted) == 24 * PART
    assert hashlib.sha256((tmp_path / "first" / "large").read_bytes()).hexdigest() == sha256
    assert list((tmp_path / "cache" / "partial").iterdir()) == []


@pytest.mark.s3
def test_an_object_that_changed_on_the_way_is_never_put_together(store: Store, tmp_path: Path) -> None:
    put_large(store, tmp_path, "large", 3 * PART)
    old = wanted(store, tmp_path / "first")
    sha256 = put_large(store, tmp_path, "large", 3 * PART)
    cache = roomy(tmp_path / "cache")
    with pytest.raises(Conflict, match="was changed or removed while it was read"):
        cache.bring(old, lambda _: None)
    assert files_in(tmp_path / "first") == {}
    bring(cache, store, tmp_path / "second")
    assert hashlib.sha256((tmp_path / "second" / "large").read_bytes()).hexdigest() == sha256


# -- in memory -------------------------------------------------------------------------------------


class CountingStore(FakeStore):
    """Tells how often each object was read, and does something before each read."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.before = before

    def read_part(self, key: str, start: int, size: int, *, if_match: str) -> bytes:
        self.before()
        self.reads.append(key)
        return super().read_part(key, start, size, if_match=if_match)


class WeakStore(CountingStore):
    """ETags that look like MD5 and are none, as those of encrypted objects; they change with each write."""

    uri = "s3://weak/here"

    def _etag(self, key: str) -> str | None:
        return "0" * 32 if key in self.objects else None


def test_two_runs_at_once_fetch_each_object_once(tmp_path: Path) -> None:
    store = CountingStore(lambda: time.sleep(0.01))
    store.objects |= {f"k{number}": secrets.token_bytes(100) for number in range(30)} | {"large": bytes(3 * PART)}
    runs = [
        threading.Thread(target=bring, args=(roomy(tmp_path / "cache"), store, tmp_path / str(number)))
        for number in range(3)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(store.reads) == sorted([*(f"k{number}" for number in range(30)), "large", "large", "large"])
    for number in range(3):
        assert files_in(tmp_path / str(number)) == store.objects


def test_an_etag_that_is_no_md5_counts_for_its_object_alone(tmp_path: Path) -> None:
    cache = roomy(tmp_path / "cache")
    first, second = WeakStore(), WeakStore()
    second.uri = "s3://weak/there"
    first.objects["k"], second.objects["k"] = b"one", b"two"
    bring(cache, first, tmp_path / "first")
    bring(cache, second, tmp_path / "second")
    assert (files_in(tmp_path / "first"), files_in(tmp_path / "second")) == ({"k": b"one"}, {"k": b"two"})
    bring(cache, first, tmp_path / "again")
    assert (files_in(tmp_path / "again"), first.reads) == ({"k": b"one"}, ["k"])


def test_beyond_its_size_what_was_used_longest_ago_goes(tmp_path: Path) -> None:
    store = CountingStore()
    cache = Cache(tmp_path / "cache", 5 * MB)
    for key in "abcd":
        store.objects[key] = secrets.token_bytes(MB)
    keep(cache, store, "abcd", tmp_path, used=False)
    keep(cache, store, "a", tmp_path, used=False)  # used again: b is now the oldest
    for key in "ef":
        store.objects[key] = secrets.token_bytes(MB)
        keep(cache, store, key, tmp_path, used=False)
    assert cache.size() <= 5 * MB
    store.reads.clear()
    keep(cache, store, "acdef", tmp_path, used=False)
    assert store.reads == []
    keep(cache, store, "b", tmp_path, used=False)
    assert store.reads == ["b"]


def test_what_a_job_uses_stays_above_the_limit(tmp_path: Path) -> None:
    store = CountingStore()
    cache = Cache(tmp_path / "cache", 2 * MB)
    store.objects |= {key: secrets.token_bytes(MB) for key in "abcd"}
    keep(cache, store, "abc", tmp_path, used=True)
    keep(cache, store, "d", tmp_path, used=False)
    assert files_in(tmp_path / "used") == {key: store.objects[key] for key in "abc"}
    store.reads.clear()
    keep(cache, store, "abc", tmp_path, used=False)
    assert store.reads == []


def test_a_damaged_object_is_fetched_again(tmp_path: Path) -> None:
    store = CountingStore()
    store.objects["k"] = b"whole"
    cache = roomy(tmp_path / "cache")
    bring(cache, store, tmp_path / "first")
    (kept,) = (tmp_path / "cache" / "objects").glob("*/*")
    assert kept.stat().st_mode & 0o222 == 0
    os.truncate(kept, 2)
    bring(cache, store, tmp_path / "second")
    assert files_in(tmp_path / "second") == {"k": b"whole"}


def test_a_connection_that_breaks_is_tried_again_and_then_told(tmp_path: Path) -> None:
    broken = iter([True, False, True, True, True])

    def breaks() -> None:
        if next(broken):
            raise WorldError("the connection broke")

    store = CountingStore(breaks)
    store.objects |= {"k": b"1"}
    bring(roomy(tmp_path / "cache"), store, tmp_path / "first")
    assert files_in(tmp_path / "first") == {"k": b"1"}
    with pytest.raises(WorldError, match="the connection broke"):
        bring(roomy(tmp_path / "other"), store, tmp_path / "second")


def test_a_stop_leaves_what_has_arrived(tmp_path: Path) -> None:
    store = CountingStore()
    store.objects["large"] = bytes(40 * PART)

    def look() -> None:
        if len(store.reads) >= 3:
            raise KeyboardInterrupt

    cache = roomy(tmp_path / "cache")
    with pytest.raises(KeyboardInterrupt):
        cache.bring(wanted(store, tmp_path / "first"), lambda _: None, look)
    arrived = len(store.reads)
    assert arrived < 40
    bring(cache, store, tmp_path / "second")
    assert len(store.reads) == 40
    assert (tmp_path / "second" / "large").stat().st_size == 40 * PART


def keep(cache: Cache, store: Store, keys: Sequence[str], tmp_path: Path, *, used: bool) -> None:
    """Bring some objects, one after the other; unless they are used, their links are gone again afterwards."""
    entries = {entry.key: entry for entry in store.entries()}
    for key in keys:
        target = tmp_path / "used" / key if used else tmp_path / secrets.token_hex(4)
        cache.bring([Wanted(store, entries[key], target)], lambda _: None)
        if not used:
            target.unlink()
        time.sleep(0.01)  # times of use differ


def journals(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache" / "partial").glob("*") if path.suffix]


def wait_for(look: Callable[[], list[Path]]) -> list[Path]:
    give_up_at = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < give_up_at, "it did not come"
        time.sleep(0.005)
    return found


def test_an_entry_with_another_size_is_not_taken_for_the_one_that_is_here(tmp_path: Path) -> None:
    store = CountingStore()
    store.objects["k"] = b"longer"
    cache = roomy(tmp_path / "cache")
    bring(cache, store, tmp_path / "first")
    (entry,) = store.entries()
    with pytest.raises(Conflict):
        cache.bring([Wanted(store, Entry("k", 9, entry.etag), tmp_path / "second")], lambda _: None)


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_view_has_the_file_that_a_link_leads_to(tmp_path: Path, mode: int) -> None:
    file, link, view = tmp_path / "shared" / "a.csv", tmp_path / "train" / "a.csv", tmp_path / "view" / "a.csv"
    for folder in (file.parent, link.parent):
        folder.mkdir()
    file.write_text("1,2\n")
    file.chmod(mode)
    link.symlink_to("../shared/a.csv")
    link_or_copy(link, view)
    assert not view.is_symlink(), "it would lead nowhere from there, nor from inside a container"
    assert view.read_text() == "1,2\n"
