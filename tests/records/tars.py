"""Tar streams for tests: as engines send them, and as nobody should."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, content


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def tar(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for header, content in members:
            archive.addfile(header, io.BytesIO(content))
    return stream.getvalue()


def chunks(data: bytes, size: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


NASTY = {
    "a symbolic link": member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": member("link", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "a pipe": member("pipe", type=tarfile.FIFOTYPE),
    "a character device": member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "a block device": member("disk", type=tarfile.BLKTYPE),
    "a sparse file": member("sparse", type=tarfile.GNUTYPE_SPARSE),
    "an unknown kind": member("what", type=b"Z"),
    "an absolute path": member("/etc/passwd", b"x"),
    "a way up": member("../passwd", b"x"),
    "a way up from inside": member("a/b/../../../passwd", b"x"),
    "a folder on the way up": member("..", type=tarfile.DIRTYPE),
    "a Windows path": member("..\\..\\passwd", b"x"),
    "a drive": member("C:/Windows/x", b"x"),
    "a line break": member("a\nb", b"x"),
    "no text": member("\udcff\udcfe", b"x"),
}
