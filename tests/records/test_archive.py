"""Archives, unpacked: nothing that is not a file below the root gets out."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sagespec.errors import WorldError
from sagespec.records.archive import is_gzip, unpack
from sagespec.records.members import UnfitMember
from sagespec.records.packing import pack
from tests.records.tars import NASTY, chunks, member, tar

MB = 1 << 20


def _targz(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path.write_bytes(gzip.compress(tar(*members)))
    return path


def _files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("kind", NASTY)
def test_what_may_not_be_in_an_archive_is_not_unpacked(tmp_path: Path, kind: str) -> None:
    file = _targz(tmp_path / "model.tar.gz", NASTY[kind])

    with pytest.raises(WorldError, match=r"model\.tar\.gz"):
        unpack(file, tmp_path / "in" / "model", max_bytes=MB)

    assert _files(tmp_path) == {"model.tar.gz": file.read_bytes()}
    assert not (tmp_path / "in" / "model" / "link").is_symlink()


def test_a_link_cannot_be_used_as_a_way_out(tmp_path: Path) -> None:
    link = member("way", type=tarfile.SYMTYPE, linkname=str(tmp_path))

    with pytest.raises(WorldError, match="'way', a symbolic link"):
        unpack(_targz(tmp_path / "a", link, member("way/out", b"x")), tmp_path / "model", max_bytes=MB)

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "members",
    [
        [member("m", b"1"), member("m", b"2")],
        [member("m", b"1"), member("./m", b"2")],
        [member("m", b"1"), member("m/below", b"2")],
        [member("m/below", b"1"), member("m", b"2")],
    ],
)
def test_two_members_in_one_place_are_refused(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with pytest.raises(WorldError, match=r"cannot unpack 'm"):
        unpack(_targz(tmp_path / "a", *members), tmp_path / "model", max_bytes=MB)


def test_permissions_beyond_may_be_run_are_dropped(tmp_path: Path) -> None:
    file = _targz(tmp_path / "a", member("su", b"x", mode=0o6777), member("shut", b"x", mode=0))

    unpack(file, tmp_path / "model", max_bytes=MB)

    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "model").iterdir()}
    assert modes == {"su": 0o755, "shut": 0o644}


def test_more_bytes_than_allowed_are_not_written(tmp_path: Path) -> None:
    file = _targz(tmp_path / "a", member("small", b"x" * 100), member("large", bytes(2 * MB)))

    with pytest.raises(WorldError, match=f"unpacks to more than {MB} bytes"):
        unpack(file, tmp_path / "model", max_bytes=MB)

    assert _files(tmp_path / "model") == {"small": b"x" * 100}


def test_what_is_exactly_as_large_as_allowed_is_unpacked(tmp_path: Path) -> None:
    unpack(_targz(tmp_path / "a", member("m", bytes(MB))), tmp_path / "model", max_bytes=MB)


def test_a_bomb_behind_the_last_member_is_defused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(tar(member("m", b"1")) + bytes(100 * MB)))

    with pytest.raises(WorldError, match="unpacks to more than"):
        unpack(tmp_path / "a", tmp_path / "model", max_bytes=MB, max_members=100)


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    file = _targz(tmp_path / "a", *(member(f"m{number}") for number in range(101)))

    with pytest.raises(UnfitMember, match="more than 100 members"):  # a verdict: collecting it again would end the same
        unpack(file, tmp_path / "model", max_bytes=MB, max_members=100)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_many_megabytes_is_not_read_into_memory(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("name")
    header.type, header.size = kind, 64 * MB
    (tmp_path / "a").write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(64 * MB)))

    with pytest.raises(WorldError, match="impossible size"):
        unpack(tmp_path / "a", tmp_path / "model", max_bytes=1 << 40)


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    header = bytearray(member("m", b"1")[0].tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x01"
    header[148:156] = b"        "
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    (tmp_path / "a").write_bytes(gzip.compress(bytes(header) + bytes(2048)))

    with pytest.raises(WorldError, match="impossible size"):
        unpack(tmp_path / "a", tmp_path / "model", max_bytes=MB)


def test_a_negative_size_in_an_extended_header_is_refused(tmp_path: Path) -> None:
    header, content = member("m", b"1" * 600)
    header.pax_headers = {"size": "-600"}

    with pytest.raises(WorldError, match=r"cannot be read: "):
        unpack(_targz(tmp_path / "a", (header, content)), tmp_path / "model", max_bytes=MB)


def test_a_sparse_file_of_the_newer_kind_is_refused(tmp_path: Path) -> None:
    header, content = member("m", b"1\n0\n9999999\n".ljust(512, b"\0"))
    header.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9999999"}

    with pytest.raises(WorldError, match="is a sparse file"):
        unpack(_targz(tmp_path / "a", (header, content)), tmp_path / "model", max_bytes=MB)

    assert _files(tmp_path / "model") == {}


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    whole = _targz(tmp_path / "a", member("m", random.Random(1).randbytes(100_000))).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1

    for data in (whole[:50_000], bytes(flipped), whole[:-4], whole[:10], gzip.compress(b"no tar" * 1000)):
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(WorldError, match=r"a cannot be read: "):
            unpack(tmp_path / "a", tmp_path / f"model-{len(data)}-{data[-1]}", max_bytes=MB)


def test_what_is_no_gzip_is_named(tmp_path: Path) -> None:
    for data in (b"", b"\x1f", b"PK\x03\x04", tar(member("m", b"1"))):
        (tmp_path / "a").write_bytes(data)
        assert not is_gzip(tmp_path / "a")
        with pytest.raises(WorldError, match=r"is not a \.tar\.gz file"):
            unpack(tmp_path / "a", tmp_path / "model", max_bytes=MB)
    with pytest.raises(WorldError, match="cannot read"):
        unpack(tmp_path / "none", tmp_path / "model", max_bytes=MB)


def test_an_archive_of_tar_itself_is_unpacked(tmp_path: Path) -> None:
    folder = tmp_path / "from"
    (folder / "deep" / ("long" * 40)).mkdir(parents=True)
    (folder / "deep" / ("long" * 40) / "ä b").write_bytes(b"1")
    (folder / "weights:0").write_bytes(b"2")
    for form in ("gnu", "pax"):
        subprocess.run(["tar", f"--format={form}", "-czf", tmp_path / form, "-C", folder, "."], check=True)

        unpack(tmp_path / form, tmp_path / f"to-{form}", max_bytes=MB)

        assert _files(tmp_path / f"to-{form}") == _files(folder)


# -- anything at all

NAMES = st.text(alphabet="ab./\\:C~\0\n ä", min_size=1, max_size=12)
TYPES = st.sampled_from([b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"L", b"K", b"x", b"g", b"S", b"Z"])
MEMBERS = st.lists(st.tuples(NAMES, TYPES, st.binary(max_size=600), st.integers(0, 0o7777), NAMES), max_size=6)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(members=MEMBERS, flips=st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), max_size=3))
def test_no_archive_writes_outside_its_folder_or_leaves_a_traceback(
    tmp_path: Path, members: list[tuple[str, bytes, bytes, int, str]], flips: list[tuple[int, int]]
) -> None:
    raw = bytearray()
    for name, kind, content, mode, target in members:
        header, _ = member(name, content, type=kind, mode=mode, linkname=target)
        raw += header.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)
    raw += bytes(1024)
    for position, value in flips:
        raw[position % len(raw)] = value
    place = tmp_path / os.urandom(4).hex()
    folder = place / "inside"
    folder.mkdir(parents=True)
    (place / "a").write_bytes(gzip.compress(bytes(raw), 1))

    try:
        unpack(place / "a", folder, max_bytes=10_000)
    except WorldError:
        pass
    else:
        pack([lambda: chunks(bytes(raw))], place / "again", "/m")  # what may be unpacked may be packed
        place.joinpath("again").unlink()

    assert {path.name for path in place.iterdir()} == {"a", "inside"}
    for path in folder.rglob("*"):
        assert path.is_dir() or path.is_file()
        assert not path.is_symlink()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 10_000
