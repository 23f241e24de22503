"""What is in a channel: its objects in order, those of each host, and one fingerprint over them.

`inputs` brings them to the containers. A channel's source is a prefix or folder, a single object, or a manifest:
a JSON list whose first element names a prefix and whose others are keys below it (SageMaker's ManifestFile).
Only listed here, never copied.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sagespec.errors import WorldError
from sagespec.state.data import DataObject
from sagespec.state.desired import DesiredChannel
from sagespec.state.manifest import Input
from sagespec.stores.bucket import BucketStore
from sagespec.stores.keys import check_key, sha256_of
from sagespec.stores.open import open_store
from sagespec.stores.protocol import Entry, Store

_SHORTEST_MANIFEST = 2  # the prefix and one key
_HASHERS = 4


@dataclass(frozen=True)
class Contents:
    """The objects of a channel in the order they are read: of their keys, or of the manifest.

    Keys are relative to what the source names, and so are the files' names in the container. manifest: the file
    itself, which the container gets, too.
    """

    store: Store
    entries: tuple[Entry, ...]
    manifest: bytes | None = None

    @property
    def paths(self) -> list[str]:
        return [entry.key for entry in self.entries]

    @property
    def data(self) -> dict[str, int]:
        """The keys and sizes of what the built-in algorithms take for data."""
        return {entry.key: entry.size for entry in self.entries if not is_hidden(entry.key)}

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.entries)

    @property
    def root(self) -> Path | None:
        """The folder or file on this machine, of a bucket of the project's own, too; None for S3."""
        if isinstance(self.store, BucketStore):
            return self.store.folder
        return Path(self.store.uri.removeprefix("file://")) if self.store.uri.startswith("file://") else None

    @property
    def has_etags(self) -> bool:
        """Whether entries tell their content, which then need not be read."""
        return not self.store.uri.startswith("file://")

    def file(self, entry: Entry) -> Path:
        """The path of an object on this machine."""
        root = self.root
        assert root is not None
        if isinstance(self.store, BucketStore):
            return self.store.file(entry.key)
        return root / entry.key if root.is_dir() else root

    @property
    def is_plain_folder(self) -> bool:
        """Whether a container can be given the folder itself: all of it belongs to the channel, nothing in it links
        elsewhere, and everybody may read it (root in a container may have no more rights than that)."""
        if self.root is None or not self.root.is_dir() or self.manifest is not None:
            return False
        files = {self.file(entry) for entry in self.entries}
        return all(self.root in file.parents for file in files) and _is_plain(self.root, files)


def contents_of(channel: DesiredChannel, root: Path) -> Contents:
    """What is at the channel's source now. WorldError when it is empty, or when a manifest is wrong."""
    store = open_store(channel.source, root=root, create=False)
    found = store.entries()
    if not channel.is_manifest:
        if not found:
            raise WorldError(
                f"channel {channel.name}: there is nothing at {channel.source}",
                why="SageMaker also refuses an empty channel",
                fix="check the path, or put the data there",
            )
        return _without_clash(channel, Contents(store, found))
    content = store.read(found[0].key) if len(found) == 1 and not _is_folder(store) else None
    if content is None:
        raise WorldError(
            f"channel {channel.name}: {channel.source} is a folder, not a manifest",
            fix="name the manifest file itself, or leave out data_type: manifest",
        )
    return _without_clash(channel, _listed(channel, content[0], store, root))


def _without_clash(channel: DesiredChannel, contents: Contents) -> Contents:
    """WorldError when an object has the name of a folder of others: S3 keeps both, no disk does."""
    folders = {str(folder) for path in contents.paths for folder in PurePosixPath(path).parents}
    if clash := next((path for path in contents.paths if path in folders), None):
        below = next(path for path in contents.paths if path.startswith(f"{clash}/"))
        raise WorldError(
            f"channel {channel.name}: {contents.store.uri} holds the object {clash} and below it {below}",
            why="as files, one name cannot be a file and a folder",
            fix=f"remove or rename {clash}; some programs leave such an object, often an empty one, for a folder",
        )
    return contents


def require_data(channel: DesiredChannel, contents: Contents) -> None:
    """WorldError when there is nothing in a channel that a built-in algorithm reads."""
    data = contents.data
    if any(data.values()):
        return
    raise WorldError(
        f"channel {channel.name}: there are no data at {channel.source}",
        why="its files are empty" if data else "names that begin with a dot or an underscore are no data",
        fix="put the data there" if data else "rename the files that are",
    )


def is_hidden(path: str) -> bool:
    """Whether an object holds no data: programs put their own things under names that begin with a dot or an
    underscore, files as well as folders. The built-ins (images/toolkit/training.py) say the same of files."""
    return any(part.startswith((".", "_")) for part in PurePosixPath(path).parts)


def share_of(
    paths: Sequence[str], *, seed: int | None, epoch: int = 0, index: int = 0, count: int = 1, sharded: bool = False
) -> list[str]:
    """The objects of host `index` of `count`, in the order it reads them in an epoch.

    A seed shuffles the order in each epoch; where the channel is sharded also who gets which, as SageMaker's
    ShuffleConfig does. The program of images/feeder does the same.
    """
    ordered = list(paths)
    if seed is not None:
        random.Random(seed + epoch).shuffle(ordered)  # noqa: S311  # repeatable on purpose
        return ordered[index::count] if sharded else ordered
    if not sharded:
        return ordered
    mine = set(shard(ordered, index, count))
    return [path for path in ordered if path in mine]


def objects_of(contents: Contents) -> tuple[DataObject, ...]:
    """Each object with its checksum: an ETag of a bucket; another file of this machine is read, as its ETag is only
    its time."""
    checksums = zip(contents.entries, _checksums(contents), strict=True)
    return tuple(DataObject(entry.key, entry.size, checksum) for entry, checksum in checksums)


def input_of(channel: DesiredChannel, contents: Contents, objects: Sequence[DataObject] | None = None) -> Input:
    """What the job's manifest keeps of a channel; the same for the same data, wherever they were cached. objects: of
    the contents, where they are known already."""
    digest = hashlib.sha256()
    for one in objects_of(contents) if objects is None else objects:
        digest.update(f"{one.key}\0{one.size}\0{one.checksum}\n".encode())
    data = contents.data
    return Input(
        source=channel.source,
        fingerprint=digest.hexdigest(),
        objects=len(contents.entries),
        bytes=contents.bytes,
        content_type=channel.content_type,
        data_files=None if channel.writable else len(data),  # else a program may add to it
        data_bytes=None if channel.writable else sum(data.values()),
    )


def _checksums(contents: Contents) -> list[str]:
    if contents.has_etags:
        return [entry.etag for entry in contents.entries]
    with ThreadPoolExecutor(_HASHERS) as pool:
        return list(pool.map(sha256_of, map(contents.file, contents.entries)))


def _listed(channel: DesiredChannel, content: bytes, store: Store, root: Path) -> Contents:
    """The objects that a manifest names, in its order."""
    prefix, keys = _read_manifest(channel, content)
    folder, _, begin = prefix.rpartition("/")
    if "://" not in prefix and not prefix.startswith(("/", "~")):
        if store.uri.startswith("s3://"):
            raise _wrong_manifest(channel, f"its prefix is {prefix!r}", "write it in full: s3://bucket/prefix/")
        beside = Path(store.uri.removeprefix("file://")).parent
        folder = str(beside / folder)
    place = open_store(f"{folder}/", root=root, create=False)
    wanted = [check_key(begin + key, place.uri) for key in keys]
    begins_all = os.path.commonprefix(wanted)  # noqa: RUF071  # of letters: S3 knows no folders
    there = {entry.key: entry for entry in place.entries(begins_all)}
    missing = [key for key in wanted if key not in there]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise _wrong_manifest(
            channel,
            f"element {wanted.index(missing[0]) + 2} is {keys[wanted.index(missing[0])]!r}, but there is no "
            f"{place.uri}/{missing[0]}{more}",
            "put the object there, or take it out of the manifest",
        )
    return Contents(place, tuple(there[key] for key in wanted), content)


def _read_manifest(channel: DesiredChannel, content: bytes) -> tuple[str, list[str]]:
    form = 'write a JSON list: [{"prefix": "s3://bucket/folder/"}, "part-1.csv", "part-2.csv"]'
    try:
        elements: Any = json.loads(content)
    except ValueError as error:
        raise _wrong_manifest(channel, f"it is not JSON: {error}", form) from None
    if not isinstance(elements, list) or len(elements) < _SHORTEST_MANIFEST:
        raise _wrong_manifest(channel, "it names no objects", form)
    first, *keys = elements
    if not isinstance(first, dict) or first.keys() != {"prefix"} or not isinstance(first["prefix"], str):
        raise _wrong_manifest(channel, f"its first element is {json.dumps(first)[:60]}", form)
    seen: set[str] = set()
    for number, key in enumerate(keys, start=2):
        if not isinstance(key, str) or not key:
            raise _wrong_manifest(channel, f"element {number} is {json.dumps(key)[:60]}, not a key", form)
        if key in seen:
            raise _wrong_manifest(channel, f"element {number} names {key!r} again", "name each object once")
        seen.add(key)
    return first["prefix"], keys


def _wrong_manifest(channel: DesiredChannel, what: str, fix: str) -> WorldError:
    return WorldError(f"channel {channel.name}: the manifest {channel.source} cannot be used: {what}", fix=fix)


def _is_folder(store: Store) -> bool:
    return store.uri.startswith("file://") and Path(store.uri.removeprefix("file://")).is_dir()


def _is_plain(folder: Path, wanted: set[Path]) -> bool:
    for above, folders, files in os.walk(folder):
        here = Path(above)
        if here.stat().st_mode & 0o005 != 0o005 or any((here / name).is_symlink() for name in folders):
            return False
        for file in (here / name for name in files):
            if file not in wanted or file.is_symlink() or not file.stat().st_mode & 0o004:
                return False
    return True


def shard(objects: Sequence[str], host_index: int, host_count: int) -> list[str]:
    """The objects of one host under ShardedByS3Key: about 1/n of them, every n-th in key order."""
    return sorted(objects)[host_index::host_count]
