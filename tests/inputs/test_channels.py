"""What is in a channel: prefixes, manifests, shuffling and shards, and the fingerprint that must never change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.inputs.channels import contents_of, input_of, share_of
from sagespec.inputs.pipes import orders_of
from sagespec.state.desired import DesiredChannel
from sagespec.stores.open import open_store
from tests.contracts.servers import s3_server


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for path in ("b.csv", "a/2.csv", "a/1.csv", "a/10.csv"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


def paths_of(root: Path, source: str, **fields: Any) -> list[str]:
    return contents_of(DesiredChannel("train", source, **fields), root).paths


def write_manifest(folder: Path, *elements: Any) -> str:
    (folder / "listed.json").write_text(json.dumps(elements))
    return str(folder / "listed.json")


def test_a_folder_gives_its_files_by_key_and_a_file_itself(data: Path, tmp_path: Path) -> None:
    assert paths_of(tmp_path, "data") == ["a/1.csv", "a/10.csv", "a/2.csv", "b.csv"]
    assert paths_of(tmp_path, "data/a/2.csv") == ["2.csv"]


def test_nothing_there_is_told_with_the_channel(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(WorldError, match="channel train: there is nothing at empty"):
        paths_of(tmp_path, "empty")


# -- fingerprints ----------------------------------------------------------------------------------


def test_a_fingerprint_is_of_names_sizes_and_contents(data: Path, tmp_path: Path) -> None:
    """As it always was: it stands in manifests of trained models."""
    channel = DesiredChannel("train", "data", "text/csv")
    found = input_of(channel, contents_of(channel, tmp_path))
    digest = hashlib.sha256()
    for path in ("a/1.csv", "a/10.csv", "a/2.csv", "b.csv"):
        digest.update(f"{path}\0{len(path)}\0{hashlib.sha256(path.encode()).hexdigest()}\n".encode())
    assert (found.fingerprint, found.objects, found.bytes) == (digest.hexdigest(), 4, 27)
    assert (found.source, found.content_type) == ("data", "text/csv")


@pytest.mark.s3
def test_a_fingerprint_of_s3_is_of_names_sizes_and_etags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with s3_server("moto") as server:
        server.activate(monkeypatch)
        etag = open_store(f"{server.uri}/in").write("a.csv", b"1,2")
        channel = DesiredChannel("train", f"{server.uri}/in/")
        found = input_of(channel, contents_of(channel, tmp_path))
    assert found.fingerprint == hashlib.sha256(f"a.csv\0{3}\0{etag}\n".encode()).hexdigest()


@pytest.mark.s3
@pytest.mark.parametrize("kind", ["rclone", "moto"])
def test_a_prefix_may_end_inside_a_name(kind: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with s3_server(kind) as server:
        server.activate(monkeypatch)
        store = open_store(server.uri)
        for key in ("in/part-1.csv", "in/part-2.csv", "in/parts/a.csv", "in/other.csv", "in/folder/x", "in/folder-2/y"):
            store.write(key, key.encode())
        assert paths_of(tmp_path, f"{server.uri}/in/part-") == ["part-1.csv", "part-2.csv"]
        assert paths_of(tmp_path, f"{server.uri}/in/part") == ["part-1.csv", "part-2.csv", "parts/a.csv"]
        assert paths_of(tmp_path, f"{server.uri}/in/folder") == ["x"], "a folder is that folder alone"
        assert paths_of(tmp_path, f"{server.uri}/in/other.csv") == ["other.csv"]
        assert paths_of(tmp_path, f"{server.uri}/in/folder-") == ["folder-2/y"]
        with pytest.raises(WorldError, match=r"nothing at .*\n  why  it is no folder; .* begins so is in/folder-2/y"):
            paths_of(tmp_path, f"{server.uri}/in/fold")
        with pytest.raises(WorldError, match=f"there is nothing at {server.uri}/in/part-3"):
            paths_of(tmp_path, f"{server.uri}/in/part-3")
        ends_inside, whole = (DesiredChannel("train", f"{server.uri}/{end}") for end in ("in/parts/a", "in/parts/"))
        found = [input_of(channel, contents_of(channel, tmp_path)) for channel in (ends_inside, whole)]
        assert found[0].fingerprint == found[1].fingerprint


# -- shares ----------------------------------------------------------------------------------------


def test_shards_are_every_nth_and_hold_all_once() -> None:
    paths = [f"{number:02}" for number in range(10)]
    shares = [share_of(paths, seed=None, index=index, count=3, sharded=True) for index in range(3)]
    assert shares == [["00", "03", "06", "09"], ["01", "04", "07"], ["02", "05", "08"]]
    assert share_of(paths[:1], seed=None, index=1, count=3, sharded=True) == []
    assert share_of(paths, seed=None, index=1, count=3) == paths


def test_a_seed_gives_the_same_order_again_and_another_each_epoch() -> None:
    paths = [f"{number:02}" for number in range(20)]
    orders = [share_of(paths, seed=7, epoch=epoch) for epoch in range(3)]
    assert orders == [share_of(paths, seed=7, epoch=epoch) for epoch in range(3)]
    assert len({tuple(order) for order in [paths, *orders]}) == 4
    assert all(sorted(order) == paths for order in orders)


def test_shuffled_shards_hold_all_once_and_change_hands() -> None:
    paths = [f"{number:02}" for number in range(20)]
    epochs = [
        [share_of(paths, seed=1, epoch=epoch, index=index, count=2, sharded=True) for index in range(2)]
        for epoch in range(2)
    ]
    assert all(sorted(first + second) == paths for first, second in epochs)
    assert set(epochs[0][0]) != set(epochs[1][0])


@pytest.mark.parametrize("closes", [True, False])
def test_the_next_epoch_is_there_as_soon_as_one_is_read(tmp_path: Path, closes: bool) -> None:
    """Though the reader opens it at once, and even before it has closed the one it has read."""
    for folder in ("pipes", "input/config", "input/data/train"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "input/data/train/a").write_bytes(b"abc")
    order = {"objects": ["a"], "seed": None, "index": 0, "count": 1, "gzip": False, "recordio": False}
    (tmp_path / "input/config/feeder.json").write_text(json.dumps({"train": order}))
    program = Path(__file__).parents[2] / "images" / "feeder" / "train"
    with subprocess.Popen([sys.executable, program], env={"SAGEMAKER_BASE_DIR": str(tmp_path)}) as feeder:
        while not (tmp_path / "output/ready").exists():
            time.sleep(0.01)
        with contextlib.ExitStack() as unclosed:
            unclosed.callback(feeder.terminate)
            for epoch in range(50):
                pipe = unclosed.enter_context((tmp_path / f"pipes/train_{epoch}").open("rb"))
                assert pipe.read() == b"abc"
                if closes:
                    pipe.close()
    assert not list((tmp_path / "pipes").iterdir())


def test_the_feeder_shuffles_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "images" / "feeder")
    from pipe_feeder import Channel

    paths = [f"{number:02}" for number in range(20)]
    for index in range(2):
        fed = Channel("train", {"objects": paths, "seed": 5, "index": index, "count": 2}, Path(), Path())
        for epoch in range(3):
            share = share_of(paths, seed=5, epoch=epoch, index=index, count=2, sharded=True)
            assert fed.objects_of(epoch) == share


def test_a_pipe_is_not_fed_what_a_program_would_not_read_as_a_file(data: Path, tmp_path: Path) -> None:
    for path in ("_SUCCESS", ".b.csv.crc", ".ipynb_checkpoints/b.csv"):
        (data / path).parent.mkdir(exist_ok=True)
        (data / path).write_text(path)
    for is_sharded in (False, True):
        channel = DesiredChannel("train", "data", input_mode="pipe", sharded=is_sharded)
        orders = orders_of(channel, contents_of(channel, tmp_path), 2)
        fed = {path for order in orders for path in order["objects"]}
        assert fed == {"b.csv", "a/2.csv", "a/1.csv", "a/10.csv"}


# -- manifests -------------------------------------------------------------------------------------


def test_a_manifest_names_objects_below_a_prefix_in_its_order(data: Path, tmp_path: Path) -> None:
    listed = write_manifest(tmp_path, {"prefix": f"{data}/"}, "b.csv", "a/10.csv")
    contents = contents_of(DesiredChannel("train", listed, is_manifest=True), tmp_path)
    assert contents.paths == ["b.csv", "a/10.csv"]
    assert [contents.file(entry).read_text() for entry in contents.entries] == ["b.csv", "a/10.csv"]
    assert contents.manifest == Path(listed).read_bytes()


@pytest.mark.parametrize(
    ("prefix", "key"),
    [("data/", "a/1.csv"), ("data/a/1", "0.csv"), ("file://{data}/a/", "1.csv"), ("./", "data/b.csv")],
)
def test_a_prefix_may_be_relative_to_the_manifest_or_end_inside_a_name(
    data: Path, tmp_path: Path, prefix: str, key: str
) -> None:
    listed = write_manifest(tmp_path, {"prefix": prefix.format(data=data)}, key)
    (path,) = paths_of(Path("/"), listed, is_manifest=True)
    assert path in ("a/1.csv", "10.csv", "1.csv", "data/b.csv")


@pytest.mark.s3
@pytest.mark.parametrize("kind", ["rclone", "moto"])
def test_a_manifest_in_s3(kind: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with s3_server(kind) as server:
        server.activate(monkeypatch)
        store = open_store(server.uri)
        for key in ("data/part-1.csv", "data/part-2.csv", "data/part-10.csv", "other/x.csv"):
            store.write(key, key.encode())
        store.write("listed", json.dumps([{"prefix": f"{server.uri}/data/part-"}, "10.csv", "1.csv"]).encode())
        assert paths_of(tmp_path, f"{server.uri}/listed", is_manifest=True) == ["part-10.csv", "part-1.csv"]
        store.write("listed", json.dumps([{"prefix": "data/"}, "part-1.csv"]).encode())
        with pytest.raises(WorldError, match="write it in full: s3://bucket/prefix/"):
            paths_of(tmp_path, f"{server.uri}/listed", is_manifest=True)
        with pytest.raises(WorldError, match="not a manifest"):
            paths_of(tmp_path, f"{server.uri}/data/", is_manifest=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not json", "is not JSON: Expecting value: line 1 column 1"),
        ("[]", "names no objects"),
        ('[{"prefix": "data/"}]', "names no objects"),
        ('{"prefix": "data/"}', "names no objects"),
        ('["data/b.csv", "data/a/1.csv"]', 'first element is "data/b.csv"'),
        ('[{"prefix": "data/", "x": 1}, "b.csv"]', 'first element is {"prefix": "data/", "x": 1}'),
        ('[{"prefix": "data/"}, "b.csv", 3]', "element 3 is 3, not a key"),
        ('[{"prefix": "data/"}, "b.csv", "b.csv"]', "element 3 names 'b.csv' again"),
        ('[{"prefix": "data/"}, "b.csv", "c.csv", "d.csv"]', r"element 3 is 'c.csv', but there is no .*and 1 more"),
        ('[{"prefix": "data/"}, "../secret"]', "cannot be used as a file name"),
        ('[{"prefix": "nowhere/"}, "b.csv"]', "nowhere does not exist"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_told_with_its_place(
    data: Path, tmp_path: Path, content: str, said: str
) -> None:
    assert data.exists()
    (tmp_path / "listed.json").write_text(content)
    with pytest.raises(WorldError, match=said):
        paths_of(tmp_path, "listed.json", is_manifest=True)


# -- folders as they stand -------------------------------------------------------------------------


def test_a_folder_is_used_as_it_stands_where_everybody_may_read_all_of_it(data: Path, tmp_path: Path) -> None:
    channel = DesiredChannel("train", "data")
    assert contents_of(channel, tmp_path).is_plain_folder
    (data / "link.csv").symlink_to(data / "b.csv")
    assert not contents_of(channel, tmp_path).is_plain_folder, "a link leads out of what a container sees"
    (data / "link.csv").unlink()
    (data / "b.csv").chmod(0o600)
    assert not contents_of(channel, tmp_path).is_plain_folder
    (data / "b.csv").chmod(0o644)
    (data / "a").chmod(0o700)
    assert not contents_of(channel, tmp_path).is_plain_folder


@pytest.mark.parametrize("fields", [{}, {"input_mode": "fastfile"}, {"sharded": True}, {"is_manifest": True}])
def test_an_object_with_the_name_of_a_folder_is_refused_with_both_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fields: dict[str, Any]
) -> None:
    with s3_server("moto") as server:  # rclone keeps objects as files
        server.activate(monkeypatch)
        store = open_store("s3://acme/w")
        for key, content in {"part": b"", "part/0.csv": b"1\n", "part/1.csv": b"2\n", "part-2": b""}.items():
            store.write(key, content)
        manifest = json.dumps([{"prefix": "s3://acme/w/"}, "part-2", "part/1.csv", "part"])
        open_store("s3://acme").write("list.json", manifest.encode())
        source = "s3://acme/list.json" if fields.get("is_manifest") else "s3://acme/w/"
        with pytest.raises(WorldError, match=r"holds the object part and below it part/[01]\.csv"):
            contents_of(DesiredChannel("train", source, **fields), tmp_path)
