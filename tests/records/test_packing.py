"""Packing: equal files give equal bytes, links are what they lead to, and what does not fit is named, never lost."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.records.archive import unpack
from sagespec.records.folders import Read
from sagespec.records.members import UnfitMember
from sagespec.records.packing import pack
from tests.records.tars import NASTY, chunks, hard_link, link, member, tar

MB = 1 << 20
PLACE = "/opt/ml/model"
Made = tuple[tarfile.TarInfo, bytes]


def reads(*hosts: bytes, size: int = 1000) -> list[Read]:
    return [lambda data=data: chunks(data, size) for data in hosts]  # type: ignore[misc]


def contents(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isreg()}  # type: ignore[union-attr]


def packed(tmp_path: Path, *members: Made, leaves_out: bool = False) -> tuple[dict[str, bytes], list[str]]:
    """What is in the archive of one host, and the notes."""
    notes = pack(reads(tar(*members)), tmp_path / "a.tar.gz", PLACE, leaves_out=leaves_out)
    return contents(tmp_path / "a.tar.gz"), notes


def test_a_stream_is_packed_with_its_members_at_the_root(tmp_path: Path) -> None:
    stream = tar(
        member(".", type=tarfile.DIRTYPE),
        member("./model.bin", b"weights" * 1000),
        member("./code", type=tarfile.DIRTYPE),
        member("./code/inference.py", b"print()", mode=0o700),
    )
    assert pack(reads(stream), tmp_path / "out" / "model.tar.gz", PLACE) == []
    with tarfile.open(tmp_path / "out" / "model.tar.gz") as archive:
        assert [(m.name, m.mode, m.isdir()) for m in archive] == [
            ("model.bin", 0o644, False),
            ("code", 0o755, True),
            ("code/inference.py", 0o755, False),
        ]


def test_equal_files_give_equal_archives(tmp_path: Path) -> None:
    for name, owner, chunk_size in (("one", "ada", 7), ("two", "bob", 100_000)):
        stream = tar(member("m", b"1", mtime=hash(owner) % 10**9, uname=owner, uid=len(name), mode=0o600))
        pack(reads(stream, size=chunk_size), tmp_path / name, PLACE)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_empty_folder_makes_an_archive_without_members(tmp_path: Path) -> None:
    pack(reads(tar()), tmp_path / "model.tar.gz", PLACE)
    unpack(tmp_path / "model.tar.gz", tmp_path / "model", max_bytes=0)
    assert list((tmp_path / "model").iterdir()) == []


def test_files_of_several_hosts_are_merged_and_the_first_host_wins(tmp_path: Path) -> None:
    first = tar(member("model", b"1"), member("shard", b"a file"), link("last", "model"))
    second = tar(
        member("model", b"2"),
        member("shard", type=tarfile.DIRTYPE),
        member("shard/deep/part", b"lost"),
        member("part-2", b"3"),
        link("last", "model"),
        link("other", "model"),
    )
    pack(reads(first, second), tmp_path / "all", PLACE)
    expected = {"model": b"1", "shard": b"a file", "part-2": b"3", "last": b"1", "other": b"2"}
    assert contents(tmp_path / "all") == expected


def test_tar_itself_reads_what_is_packed(tmp_path: Path) -> None:
    name = "ä" * 80 + "/" + "long" * 40
    pack(reads(tar(member(name, b"1"))), tmp_path / "model.tar.gz", PLACE)
    listed = subprocess.check_output(["tar", "-tzf", tmp_path / "model.tar.gz", "--quoting-style=literal"], text=True)
    assert listed == f"{name}\n"


def test_links_into_the_folder_and_hard_links_are_packed_as_what_they_lead_to(tmp_path: Path) -> None:
    made = [
        link("best", "epoch=2.ckpt"),
        member("epoch=2.ckpt", b"2" * 5000, mode=0o755),
        hard_link("same", "epoch=2.ckpt"),
        link("run/latest", "/opt/ml/model/epoch=2.ckpt"),
        member("run/one/w", b"w"),
        link("now", "run/one"),
    ]
    found, notes = packed(tmp_path, *made)
    two = b"2" * 5000
    expected = {"epoch=2.ckpt": two, "best": two, "same": two, "run/latest": two, "run/one/w": b"w", "now/w": b"w"}
    assert (found, notes) == (expected, [])
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert archive.getmember("best").mode == 0o755
    unpack(tmp_path / "a.tar.gz", tmp_path / "model", max_bytes=MB)


@pytest.mark.parametrize("kind", [kind for kind in NASTY if "sparse" not in kind])
def test_what_may_not_be_in_a_model_is_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UnfitMember, match="/opt/ml/model holds "):
        packed(tmp_path, member("good", b"1"), NASTY[kind])
    assert list(tmp_path.iterdir()) == []


def test_all_that_may_not_be_in_a_model_is_named_at_once_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(WorldError) as caught:
        packed(tmp_path, link("l", "gone"), member("pipe", type=tarfile.FIFOTYPE), member("a\nb"), member("m", b"1"))
    assert str(caught.value).splitlines() == [
        "/opt/ml/model holds 'pipe', a FIFO; 'a\\nb', a name that leads out of the archive or fits no file system; "
        "'l', a link to 'gone', which is not there",
        "  why  an archive may hold files and folders below its root, as SageMaker's hosting has it",
        "  fix  put the file itself there, or remove it",
    ]


def test_what_does_not_fit_is_left_out_of_the_output_and_odd_names_are_kept(tmp_path: Path) -> None:
    odd = [member(name, b"1") for name in ("a\\b.txt", "C:/x", "a\nb", "\udce4")]
    made = [*odd, member("pipe", type=tarfile.FIFOTYPE), link("l", "/etc/passwd"), member("../up", b"x")]
    found, notes = packed(tmp_path, *made, leaves_out=True)
    assert sorted(found) == ["C:/x", "a\nb", "a\\b.txt", "\udce4"]
    assert notes == [
        "left out of a.tar.gz: 'pipe', a FIFO; '../up', a name that leads out of the archive or fits no file system; "
        "'l', a link to '/etc/passwd', which is not in /opt/ml/model",
        "a.tar.gz has names that not every system can have: 'a\\\\b.txt'; 'C:/x'; 'a\\nb'; '\\udce4'",
    ]


@pytest.mark.parametrize(("leaves_out", "count"), [(False, 101), (True, 101), (False, 100)])
def test_an_output_may_have_any_number_of_files(
    tmp_path: Path, leaves_out: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagespec.records.packing.MAX_MEMBERS", 100)
    made = [member(str(number)) for number in range(count)]
    if count > 100 and not leaves_out:
        with pytest.raises(UnfitMember, match="holds more than 100 members"):
            packed(tmp_path, *made)
    else:
        assert len(packed(tmp_path, *made, leaves_out=leaves_out)[0]) == count


def test_links_that_stand_for_more_than_a_disk_holds_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagespec.records.packing.MAX_MODEL_BYTES", 25_000)
    made = [member("m", b"x" * 10_000), member("n", b"1"), link("l", "n"), *(link(f"m{n}", "m") for n in range(3))]
    found, notes = packed(tmp_path, *made, leaves_out=True)
    assert sorted(found) == ["l", "m", "n"]
    assert notes[0].startswith("left out of a.tar.gz: 'm0', a link, and with others it stands for over ")


def test_a_model_that_no_instance_would_load_is_packed_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagespec.records.packing.MAX_MODEL_BYTES", 25_000)
    made = [member("m", b"x" * 20_000), member("n", b"x" * 5_001)]
    found, notes = packed(tmp_path, *made)
    assert len(found) == 2
    assert notes == ["a.tar.gz unpacks to 0 GiB, and an instance loads no more than 0 GiB"]
    assert packed(tmp_path, *made, leaves_out=True)[1] == []


def test_a_stream_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    stream = tar(member("m", b"x" * 100_000))
    with pytest.raises(WorldError, match="cannot be read"):
        pack(reads(stream[:50_000]), tmp_path / "model.tar.gz", PLACE)
    assert list(tmp_path.iterdir()) == []
