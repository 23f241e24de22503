"""What every Store owes, as `sagespec.stores` says it, held against a folder, a bucket in a folder,
three real S3 servers and the fake.

rclone checks signatures but has no conditional writes, so there the store falls back to looking before
and after; and it may refuse a read with an error while it replaces the object. What needs an atomic server
runs everywhere else.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sagespec.buckets.layout import Layout, folder_of
from sagespec.buckets.writing import make_bucket
from sagespec.errors import InternalError, WorldError
from sagespec.stores.open import open_store
from sagespec.stores.protocol import Conflict, Entry, Store
from tests.contracts.servers import S3Server, s3_server
from tests.fakes import FakeStore

MB = 1 << 20


@dataclass(frozen=True)
class Bench:
    kind: str
    uri: str
    open: Callable[[], Store]  # the same place again, as another process would
    root: Path | None = None  # of the project whose bucket it is

    def input(self, path: str) -> Store:
        return open_store(f"{self.uri}{path}", root=self.root, create=False)


@pytest.fixture(scope="module")
def rclone() -> Iterator[S3Server]:
    with s3_server("rclone") as server:
        yield server


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with s3_server("moto") as server:
        yield server


@pytest.fixture(scope="module")
def ours() -> Iterator[S3Server]:
    with s3_server("ours") as server:
        yield server


def _bench(kind: str, request: pytest.FixtureRequest) -> Bench:
    if kind == "fake":
        objects: dict[str, bytes] = {}
        return Bench(kind, "", lambda: FakeStore(objects))
    if kind == "directory":
        uri = f"file://{request.getfixturevalue('tmp_path')}/store"
    elif kind == "bucket":
        root: Path = request.getfixturevalue("tmp_path") / "project"
        make_bucket(Layout(folder_of(root)), "acme")
        return Bench(kind, "s3://acme/some/store", lambda: open_store("s3://acme/some/store", root=root), root)
    else:
        server: S3Server = request.getfixturevalue(kind)
        server.activate(request.getfixturevalue("monkeypatch"))
        uri = f"{server.uri}/{secrets.token_hex(4)}/store"
    return Bench(kind, uri, lambda: open_store(uri))


_MOTO = pytest.param("moto", marks=pytest.mark.s3)
_SERVERS = ["ours", pytest.param("rclone", marks=pytest.mark.s3), _MOTO]


@pytest.fixture(params=["fake", "directory", "bucket", *_SERVERS])
def bench(request: pytest.FixtureRequest) -> Bench:
    return _bench(request.param, request)


@pytest.fixture(params=["fake", "directory", "bucket", "ours", _MOTO])
def atomic_bench(request: pytest.FixtureRequest) -> Bench:
    return _bench(request.param, request)


@pytest.fixture(params=["directory", "bucket", *_SERVERS])
def real_bench(request: pytest.FixtureRequest) -> Bench:
    return _bench(request.param, request)


@pytest.fixture
def store(bench: Bench) -> Store:
    return bench.open()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """64 MB that do not compress."""
    file = tmp_path / "large"
    file.write_bytes(secrets.token_bytes(MB) * 64)
    return file


# -- small objects


def test_what_was_written_is_read_back_with_its_etag(store: Store) -> None:
    etag = store.write("a/b.json", b"{}")

    assert store.read("a/b.json") == (b"{}", etag)


def test_what_is_not_there_reads_as_none(store: Store) -> None:
    store.write("a/b", b"1")

    assert store.read("a/c") is None
    assert store.read("a") is None
    assert store.read("x/y/z") is None


def test_an_empty_object_is_there(store: Store) -> None:
    etag = store.write("empty", b"")

    assert store.read("empty") == (b"", etag)
    assert store.entries() == (Entry("empty", 0, etag),)


def test_a_write_replaces_and_changes_the_etag(store: Store) -> None:
    first = store.write("key", b"1")
    second = store.write("key", b"2")

    assert first != second
    assert store.read("key") == (b"2", second)


def test_equal_sizes_written_at_once_have_etags_of_their_own(store: Store) -> None:
    etags = [store.write("key", str(number).encode()) for number in range(10)]

    assert len(set(etags)) == 10


def test_read_many_gives_those_that_are_there(store: Store) -> None:
    for number in range(40):
        store.write(f"many/{number}", str(number).encode())

    found = store.read_many([*(f"many/{number}" for number in range(40)), "many/none", "none"])

    assert found == {f"many/{number}": str(number).encode() for number in range(40)}
    assert store.read_many([]) == {}


def test_delete_removes_and_may_be_repeated(store: Store) -> None:
    store.write("a/b", b"1")

    store.delete("a/b")
    store.delete("a/b")
    store.delete("never/there")

    assert store.read("a/b") is None
    assert store.entries() == ()


def test_names_with_spaces_signs_and_letters_of_any_language_are_kept(store: Store) -> None:
    key = "dät a/ü+&=%20 #?*'\"\\.csv"
    store.write(key, b"1")

    assert [entry.key for entry in store.entries()] == [key]
    assert store.read(key) is not None


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../out", "a/../../out", "a//b", "./a", "a/", "a\nb", "a\0b", "\udcff"]
)
def test_a_key_that_is_no_path_inside_the_store_is_refused(
    bench: Bench, store: Store, key: str, tmp_path: Path
) -> None:
    for action in (
        lambda: store.read(key),
        lambda: store.write(key, b"1"),
        lambda: store.delete(key),
        lambda: store.download(key, tmp_path / "x"),
    ):
        with pytest.raises(WorldError, match="cannot be used as a file name"):
            action()


# -- conditions


def test_if_absent_writes_once(store: Store) -> None:
    etag = store.write("lock", b"1", if_absent=True)

    with pytest.raises(Conflict, match="already exists"):
        store.write("lock", b"2", if_absent=True)
    assert store.read("lock") == (b"1", etag)


def test_if_absent_writes_again_after_a_delete(store: Store) -> None:
    store.write("lock", b"1", if_absent=True)
    store.delete("lock")

    store.write("lock", b"2", if_absent=True)

    assert store.read_many(["lock"]) == {"lock": b"2"}


def test_if_match_writes_over_what_was_seen(store: Store) -> None:
    seen = store.write("lock", b"1")

    etag = store.write("lock", b"2", if_match=seen)

    assert store.read("lock") == (b"2", etag)
    with pytest.raises(Conflict):
        store.write("lock", b"3", if_match=seen)
    assert store.read("lock") == (b"2", etag)


def test_if_match_of_what_is_gone_is_a_conflict(store: Store) -> None:
    seen = store.write("lock", b"1")
    store.delete("lock")

    with pytest.raises(Conflict):
        store.write("lock", b"2", if_match=seen)
    assert store.read("lock") is None


def test_if_match_may_write_the_same_content(store: Store) -> None:
    seen = store.write("lock", b"1")

    again = store.write("lock", b"1", if_match=seen)

    assert store.read("lock") == (b"1", again)


def _winners(bench: Bench, key: str, *, if_absent: bool = False, if_match: str | None = None) -> list[str]:
    """Those that won of eight writers that begin at the same moment, each with a store of its own."""
    begin = threading.Barrier(8)

    def attempt(name: str) -> str:
        store = bench.open()
        begin.wait()
        try:
            store.write(key, name.encode(), if_absent=if_absent, if_match=if_match)
        except Conflict:
            return ""
        return name

    with ThreadPoolExecutor(8) as pool:
        return [name for name in pool.map(attempt, [f"writer-{number}" for number in range(8)]) if name]


def test_of_many_writers_at_once_one_wins_if_absent(atomic_bench: Bench) -> None:
    for key in ("race/1", "race/2", "race/3", "race/4", "race/5"):
        winners = _winners(atomic_bench, key, if_absent=True)

        assert len(winners) == 1
        assert atomic_bench.open().read_many([key]) == {key: winners[0].encode()}


def test_of_many_writers_at_once_one_wins_if_match(atomic_bench: Bench) -> None:
    for key in ("race/1", "race/2", "race/3", "race/4", "race/5"):
        seen = atomic_bench.open().write(key, b"before")

        winners = _winners(atomic_bench, key, if_match=seen)

        assert len(winners) == 1
        assert atomic_bench.open().read_many([key]) == {key: winners[0].encode()}


def test_a_reader_never_sees_a_part(atomic_bench: Bench) -> None:
    store, done = atomic_bench.open(), threading.Event()
    texts = [letter * 100_000 for letter in (b"a", b"b")]
    store.write("key", texts[0])

    def keep_writing() -> None:
        writer = atomic_bench.open()
        for number in range(40):
            writer.write("key", texts[number % 2])
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(keep_writing)
        seen = {store.read_many(["key"])["key"]}
        while not done.is_set() and not writing.done():
            seen.add(store.read_many(["key"])["key"])
        writing.result()

    assert seen <= set(texts)


# -- files


def test_a_large_file_goes_up_and_comes_back_as_it_was(store: Store, large: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    up, down = list[int](), list[int]()

    stored = store.upload("m/model.tar.gz", large, up.append)
    store.download("m/model.tar.gz", tmp_path / "deep" / "down" / "back", sha256=stored.sha256, progress=down.append)

    assert (stored.size, stored.sha256) == (64 * MB, digest)
    assert hashlib.sha256((tmp_path / "deep" / "down" / "back").read_bytes()).hexdigest() == digest
    assert (sum(up), sum(down)) == (64 * MB, 64 * MB)
    assert [(entry.key, entry.size) for entry in store.entries("m/")] == [("m/model.tar.gz", 64 * MB)]


def test_an_empty_file_goes_up_and_comes_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    stored = store.upload("empty", tmp_path / "empty")
    store.download("empty", tmp_path / "back", sha256=stored.sha256)

    assert (tmp_path / "back").read_bytes() == b""
    assert (stored.size, stored.sha256) == (0, hashlib.sha256().hexdigest())


def test_an_upload_takes_the_place_of_an_earlier_one(store: Store, tmp_path: Path) -> None:
    for text in ("first, and longer", "second"):
        (tmp_path / "file").write_text(text)
        store.upload("file", tmp_path / "file")

    assert store.read_many(["file"]) == {"file": b"second"}


def test_uploading_what_is_not_there_says_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="cannot read"):
        store.upload("file", tmp_path / "none")
    assert store.entries() == ()


def test_downloading_what_is_not_there_leaves_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="does not exist"):
        store.download("none", tmp_path / "in" / "back")

    assert not (tmp_path / "in" / "back").exists()


def test_a_download_of_another_checksum_is_refused_and_keeps_what_was_there(store: Store, tmp_path: Path) -> None:
    store.write("file", b"damaged")
    target = tmp_path / "in" / "back"
    target.parent.mkdir()
    target.write_bytes(b"before")

    with pytest.raises(WorldError, match="is damaged"):
        store.download("file", target, sha256=hashlib.sha256(b"whole").hexdigest())

    assert target.read_bytes() == b"before"
    assert [file.name for file in target.parent.iterdir()] == ["back"]


def test_parts_of_an_object_are_read_from_anywhere(store: Store) -> None:
    etag = store.write("file", b"0123456789")

    assert store.read_part("file", 0, 10, if_match=etag) == b"0123456789"
    assert store.read_part("file", 3, 4, if_match=etag) == b"3456"
    assert store.read_part("file", 9, 1, if_match=etag) == b"9"


def test_a_part_of_what_has_changed_or_is_gone_is_a_conflict(store: Store) -> None:
    etag = store.write("file", b"0123456789")
    store.write("file", b"9876543210")
    with pytest.raises(Conflict, match="was changed or removed while it was read"):
        store.read_part("file", 0, 5, if_match=etag)

    store.delete("file")
    with pytest.raises(Conflict, match="was changed or removed while it was read"):
        store.read_part("file", 0, 5, if_match=etag)


# -- listing


def test_entries_are_sorted_with_sizes_and_the_etags_that_read_gives(store: Store) -> None:
    keys = ["p/jobs/b/1/manifest.json", "p/jobs/a/10/m", "p/jobs/a/2/m", "p/jobs/a-b/1/m", "p/lock.json", "q/x"]
    for key in keys:
        store.write(key, key.encode())

    entries = store.entries("p/jobs/")

    assert [entry.key for entry in entries] == sorted(key for key in keys if key.startswith("p/jobs/"))
    for entry in entries:
        assert store.read(entry.key) == (entry.key.encode(), entry.etag)
        assert entry.size == len(entry.key)


def test_a_prefix_is_compared_by_letters_not_by_folders(store: Store) -> None:
    for key in ("train/a", "train-old/b", "tra", "valid/c"):
        store.write(key, b"1")

    assert [entry.key for entry in store.entries("train")] == ["train-old/b", "train/a"]
    assert [entry.key for entry in store.entries("train/")] == ["train/a"]
    assert [entry.key for entry in store.entries("tra")] == ["tra", "train-old/b", "train/a"]
    assert store.entries("none/at/all") == ()


def test_entries_reach_beyond_one_page(bench: Bench) -> None:
    store = bench.open()
    keys = [f"many/{number:04}" for number in range(1_100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.write(key, b""), keys))

    assert [entry.key for entry in store.entries("many/")] == keys


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.entries() == ()
    assert store.entries("p/jobs/") == ()


# -- inputs


def test_a_folder_is_read_as_an_input_but_never_written(real_bench: Bench, tmp_path: Path) -> None:
    inside = real_bench.open()
    inside.write("churn/train/a.csv", b"1,2")
    inside.write("churn/train/.hidden", b"3")
    inside.write("churn/train/deep/_b.csv", b"4")
    inside.write("churn/train-old/c.csv", b"5")

    for path in ("/churn/train", "/churn/train/"):
        source = real_bench.input(path)
        assert source.uri == f"{real_bench.uri}/churn/train"
        assert [entry.key for entry in source.entries()] == [".hidden", "a.csv", "deep/_b.csv"]
        source.download("deep/_b.csv", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"4"
        with pytest.raises(InternalError):
            source.write("new", b"")
        with pytest.raises(InternalError):
            source.delete("a.csv")
        with pytest.raises(InternalError):
            source.upload("new", tmp_path / "b")


def test_a_single_object_is_an_input_with_one_entry(real_bench: Bench, tmp_path: Path) -> None:
    inside = real_bench.open()
    etag = inside.write("churn/train.csv", b"1,2")
    inside.write("churn/train.csv.bak", b"old")

    source = real_bench.input("/churn/train.csv")

    assert source.entries() == (Entry("train.csv", 3, etag),)
    assert source.entries("tr") == source.entries()
    assert source.entries("x") == ()
    assert source.read("train.csv") == (b"1,2", etag)
    source.download("train.csv", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"1,2"


def test_an_input_that_is_not_there_is_an_error(real_bench: Bench) -> None:
    real_bench.open().write("churn/train-old/a", b"1")

    for path in ("churn/train", "churn/train/", "nothing"):
        with pytest.raises(WorldError, match=r"does not exist|nothing at"):
            real_bench.input(f"/{path}")


# -- accidents

UPLOAD_AND_STALL = """
import sys, time
from pathlib import Path
from sagespec.stores.open import open_store

sent = 0

def stall(size):
    global sent
    sent += size
    if sent > 20_000_000:
        sys.stdout.write("half\\n")  # several threads come here, and `print` would mix their lines
        sys.stdout.flush()
        time.sleep(600)

root = Path(sys.argv[3]) if sys.argv[3] else None
open_store(sys.argv[1], root=root).upload("m/model.tar.gz", Path(sys.argv[2]), stall)
"""


def test_a_killed_upload_leaves_nothing_to_see_and_the_next_one_cleans_up(
    real_bench: Bench, large: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", UPLOAD_AND_STALL, real_bench.uri, str(large), str(real_bench.root or "")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    store = real_bench.open()

    assert said == b"half\n"
    assert store.entries() == ()
    assert _unfinished(real_bench)
    _make_old(real_bench)
    stored = store.upload("m/model.tar.gz", large)
    store.download("m/model.tar.gz", tmp_path / "back", sha256=stored.sha256)
    assert [entry.size for entry in store.entries()] == [64 * MB]
    assert not _unfinished(real_bench)


def _unfinished(bench: Bench) -> list[str]:
    """What an upload that did not end has left in this store."""
    if bench.root:
        return [file.name for file in (folder_of(bench.root) / ".incoming").iterdir()]
    if bench.kind == "directory":
        folder = Path(bench.uri.removeprefix("file://")) / "m"
        return [file.name for file in folder.iterdir() if file.name.startswith(".sagespec-")]
    import boto3

    bucket, _, prefix = bench.uri.removeprefix("s3://").partition("/")
    client = boto3.session.Session().client("s3", region_name="us-east-1")
    uploads = client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
    return [upload["UploadId"] for upload in uploads]


def _make_old(bench: Bench) -> None:
    """Let time pass over the remains of a killed upload: a folder's are swept when they are a minute old."""
    if bench.kind == "directory":
        for name in _unfinished(bench):
            os.utime(Path(bench.uri.removeprefix("file://")) / "m" / name, (0, 0))
    if bench.root:
        for name in _unfinished(bench):
            os.utime(folder_of(bench.root) / ".incoming" / name, (0, 0))


FULL_DISK = """
import resource, sys
from pathlib import Path
from sagespec.errors import WorldError
from sagespec.stores.open import open_store

store = open_store(sys.argv[1], root=Path(sys.argv[4]) if sys.argv[4] else None)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
for step in (
    lambda: store.upload("m/model.tar.gz", Path(sys.argv[2])),
    lambda: store.download("there", Path(sys.argv[3])),
    lambda: store.write("small", b"x" * (2 << 20)),
):
    try:
        step()
    except WorldError as error:
        print(error)
"""


def test_a_full_disk_is_named_and_leaves_no_part(real_bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 4 * MB)
    store = real_bench.open()
    store.upload("there", tmp_path / "file")
    target = tmp_path / "down" / "back"

    root = str(real_bench.root or "")
    command = [sys.executable, "-c", FULL_DISK, real_bench.uri, str(tmp_path / "file"), str(target), root]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    assert f"cannot write {target}: file too large" in printed
    assert "fix  raise the limit" in printed
    assert not list(target.parent.iterdir())
    if real_bench.kind in ("directory", "bucket"):  # the others write on the server's disk, which is not full
        assert printed.count("file too large") == 3
        assert [entry.key for entry in store.entries()] == ["there"]


# -- what a folder adds


def test_links_in_an_input_are_followed(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "a.csv").write_text("1")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "all").symlink_to(tmp_path / "big")
    (tmp_path / "train" / "one.csv").symlink_to(tmp_path / "big" / "a.csv")

    source = open_store("train", root=tmp_path, create=False)

    assert [(entry.key, entry.size) for entry in source.entries()] == [("all/a.csv", 1), ("one.csv", 1)]


@pytest.mark.parametrize(
    ("target", "said"), [("gone.csv", "link to gone.csv, which does not exist"), (".", "contains it")]
)
def test_a_link_to_nothing_or_in_a_circle_is_named(tmp_path: Path, target: str, said: str) -> None:
    (tmp_path / "link").symlink_to(target)

    with pytest.raises(WorldError, match=said):
        open_store(str(tmp_path), create=False).entries()


def test_what_is_no_file_is_told_and_never_waited_for(tmp_path: Path) -> None:
    """It would hang whoever reads it, or fill the memory."""
    store = open_store(str(tmp_path))
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()

    for key, what in (("fifo", "a FIFO"), ("endless", "a device")):
        with pytest.raises(WorldError, match=f"{tmp_path}/{key} is {what}, not a file"):
            store.read(key)
        with pytest.raises(WorldError, match=f"{tmp_path}/{key} is {what}, not a file"):
            store.read_part(key, 0, 1, if_match="1-1")
    for key in ("fifo", "endless", "folder"):
        with pytest.raises(WorldError, match="does not exist"):
            store.download(key, tmp_path / "copy")
    with pytest.raises(WorldError, match=f"{tmp_path}/folder is a folder, where a file is to be written"):
        store.write("folder", b"1", if_absent=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["endless", "fifo", "folder"]


def test_a_temporary_file_that_is_being_written_is_neither_listed_nor_swept(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    (tmp_path / "source").write_bytes(b"x" * 3 * MB)
    seen: list[tuple[Entry, ...]] = []

    def write_beside(_: int) -> None:
        for file in (tmp_path / "m").glob(".sagespec-*"):
            os.utime(file, (0, 0))  # old, but locked by its writer
        open_store(str(tmp_path)).write("m/other", b"1")
        seen.append(store.entries("m/"))

    store.upload("m/model", tmp_path / "source", write_beside)

    assert {entry.key for entries in seen for entry in entries} == {"m/other"}
    assert [entry.key for entry in store.entries("m/")] == ["m/model", "m/other"]


def test_nothing_is_made_before_the_first_write(tmp_path: Path) -> None:
    store = open_store("file://.sagespec/store", root=tmp_path)

    assert store.entries() == ()
    assert store.read("a") is None
    store.delete("a")
    assert list(tmp_path.iterdir()) == []


def test_a_file_cannot_be_a_store_nor_an_unknown_scheme(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(WorldError, match="is a file; a store is a folder"):
        open_store(str(tmp_path / "file"))
    with pytest.raises(WorldError, match=r"gs://bucket/x is not an address of a store.*\n.*fix  use s3://"):
        open_store("gs://bucket/x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(WorldError, match=r"cannot write .*: permission denied\n.*give your user access"):
        open_store(str(tmp_path)).write("a", b"1")
