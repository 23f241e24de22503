"""Bakes what an instance has below /opt/ml into its image: it can start on any node then, and move to another.

It is one layer on top of the program's, and seen even where the program declares a volume there. What is baked is
known by what is in it: the same is neither built nor pushed twice, and all instances of one model share it. Members
are read twice, once for their hash; none is held in memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, cast

from sagespec.errors import WorldError
from sagespec.runtimes.docker.builds import build
from sagespec.runtimes.docker.engine import refusals
from sagespec.runtimes.docker.files import BASE, Entry, tar
from sagespec.runtimes.protocol import Tell
from sagespec.runtimes.swarm.registry import Registry, apart, repository_of
from sagespec.state.labels import LABEL_MODEL, LABEL_PROJECT

BAKED = "baked"  # the repository
LABEL_BAKED = "sagespec.baked"  # the hash of what is in it
LABEL_PROGRAM = "sagespec.baked-on"
LAYER = "layer.tar"
MADE_AT = 946_684_800  # 2000-01-01, of all that is baked: zip files know no earlier time than 1980

Members = Callable[[], Iterable[Entry]]

_COPY_BYTES = 1 << 18
_TAG_LETTERS = 32


class Bakery:
    """cluster: the id of the Swarm, whose bakes are apart from those of others in the same registry."""

    def __init__(self, engine: Any, registry: Registry, cluster: str) -> None:
        self._engine, self._registry = engine, registry
        self.repository = apart(BAKED, cluster)
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def bake(self, program: str, members: Members, tell: Tell, *, labels: Mapping[str, str] | None = None) -> str:
        """The name@digest of `program`, a name@digest itself, with the members below /opt/ml.

        members: gives them once more each time it is called, named relative to /opt/ml. labels: what people and `gc`
        find it by; those of another project or model have a bake of their own.
        """
        key, size, count = _read(program, members(), labels or {})
        if not count:
            return program
        target = self._registry.name(self.repository, key[:_TAG_LETTERS])
        with self._turn(key):
            digest = self._registry.digest(target)
            if not digest:
                tell(f"baking {size / 2**20:.1f} MiB into {target}")
                named = {baked(name): text for name, text in (labels or {}).items()}
                marks = {LABEL_BAKED: key, LABEL_PROGRAM: program, **named}
                digest = self._make(target, _context(program, members, size), marks, tell)
        return f"{repository_of(target)}@{digest}"

    def _make(self, target: str, context: Iterable[Entry], marks: Mapping[str, str], tell: Tell) -> str:
        build(
            self._engine,
            context,
            target,
            _quiet,
            fix="run the command again when nothing else changes the files; `docker system df` shows whether the "
            "engine's disk is full",
            labels=dict(marks),
        )
        try:
            return self._registry.push(target, target, tell)
        finally:  # nodes have it from the registry; here it would only take up space
            with suppress(WorldError), refusals(f"remove {target}"):
                self._engine.remove_image(target)

    def _turn(self, key: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())


def marks_of(project_name: str, model: str) -> dict[str, str]:
    """Labels of a container by which what is baked for it is known, too."""
    return {LABEL_PROJECT: project_name} | ({LABEL_MODEL: model} if model else {})


def baked(label: str) -> str:
    """What an image has in place of a label of containers, as those that are made of it have its labels, too.

    >>> baked("sagespec.project")
    'sagespec.baked-project'
    """
    return label.replace("sagespec.", "sagespec.baked-", 1)


def _quiet(_: str) -> None:
    """What a build of two lines prints tells nobody anything."""


def _read(program: str, members: Iterable[Entry], labels: Mapping[str, str]) -> tuple[str, int, int]:
    """The hash of what is to be baked, in whatever order it comes; the size of its tar; how many files it has."""
    lines, size, count = [], 0, 0
    for info, content in members:
        digest = hashlib.sha256()
        left = info.size if content else 0
        while content and left and (piece := content.read(min(left, _COPY_BYTES))):
            digest.update(piece)
            left -= len(piece)
        member = _plain(info)
        size += len(member.tobuf(tarfile.PAX_FORMAT)) + (-(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
        count += not info.isdir()
        lines.append([member.name, member.type.decode(), member.mode, member.linkname, member.size, digest.hexdigest()])
    said = json.dumps([program, sorted(labels.items()), sorted(lines)])
    return hashlib.sha256(said.encode()).hexdigest(), size + 2 * tarfile.BLOCKSIZE, count


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member at its place in the image, without what differs from one making of it to the next."""
    plain = tarfile.TarInfo(f"{BASE}/{info.name}".strip("/"))
    plain.type, plain.mode, plain.mtime = info.type, info.mode & 0o7777, MADE_AT  # engines add the kind to modes
    plain.size = info.size if info.isreg() else 0
    plain.linkname = f"{BASE}/{info.linkname}".strip("/") if info.islnk() else info.linkname
    return plain


def _context(program: str, members: Members, size: int) -> Iterator[Entry]:
    """What the engine builds from: the layer as it was read before, and where it goes."""
    dockerfile = f"FROM {program}\nADD {LAYER} /\n".encode()
    info = tarfile.TarInfo("Dockerfile")
    info.size = len(dockerfile)
    yield info, io.BytesIO(dockerfile)
    layer = tarfile.TarInfo(LAYER)
    layer.size, layer.mtime = size, MADE_AT
    plain = ((_plain(info), content) for info, content in members())
    yield layer, cast("BinaryIO", _Pieces(tar(plain)))


class _Pieces:
    """Just enough of a file for a tar to be a member of a tar."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, b""

    def read(self, size: int) -> bytes:
        if not self._held:
            self._held = next(self._pieces, b"")
        piece, self._held = self._held[:size], self._held[size:]
        return piece
