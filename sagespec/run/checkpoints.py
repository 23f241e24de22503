"""A job's checkpoints between its containers and the store: put in before the start, copied out while it runs.

Each attempt has one `Checkpoints`. Files come as a tar stream of the folder, as from any engine; what has not changed
is read but not stored again. A file that changed is stored once two scans in a row find it the same, so that one that
is half written is left alone; when its container has ended it is stored as it is. The store replaces an object whole
or not at all. The hosts share one place, as in SageMaker: it is up to the user that names do not clash. A link into the
folder (last.ckpt) is stored as the file it leads to, and comes back as one.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from sagespec.errors import WorldError
from sagespec.records.folders import Folder, LeftOut, listed
from sagespec.records.members import damage
from sagespec.runtimes.protocol import Runtime
from sagespec.state.launches import Launch
from sagespec.stores.keys import sha256_of
from sagespec.stores.protocol import CHUNK_BYTES, Store, UnfitKey

SCAN_EVERY_SECONDS = 3.0
HOLD_SECONDS = 0.2  # that a file must not change before it is stored
SCAN_SHARE = 0.1  # of the time, at most, goes into scanning and copying

Hashes = Mapping[str, str]  # SHA-256 by name


class Checkpoints:
    """`path` in every container of `launches`, kept in `store` under `prefix`.

    scratch: for temporary files. note: told what goes wrong, once.
    """

    def __init__(
        self,
        runtime: Runtime,
        launches: Sequence[Launch],
        *,
        path: str,
        store: Store,
        prefix: str,
        scratch: Path,
        note: Callable[[str], None],
    ) -> None:
        self._runtime = runtime
        self._launches = launches
        self._path = path
        self._store = store
        self._prefix = prefix
        self._scratch = scratch
        self._put_in: Hashes = {}
        self._writers: dict[
            str, str
        ] = {}  # by name: alias of the host that a stored file is from; '' if put in or unknown
        self._known: dict[str, dict[str, str]] = {}  # by alias: what both the host and the store have
        self._scanned: dict[str, Hashes] = {}  # by alias: what the last scan found
        self._note = note
        self._unfit: set[str] = set()  # names that were left out
        self._one_at_a_time = threading.Lock()

    # -- in

    def put_in(self) -> dict[str, str]:
        """Fill the folder of every created host with what the store has; the hashes of that."""
        with TemporaryDirectory(dir=self._scratch) as scratch:
            folder = Path(scratch, "checkpoints")
            folder.mkdir()
            hashes = {}
            for name in self._names_stored():
                self._store.download(self._prefix + name, folder / name)
                hashes[name] = sha256_of(folder / name)
            for launch in self._launches:
                self._runtime.put(launch.name, self._path, folder)
        return hashes

    def resume(self, put_in: Hashes) -> None:
        """Find out what is already stored. put_in: what the hosts were started with."""
        self._writers = dict.fromkeys(self._names_stored(), "")
        self._put_in = {name: sha256 for name, sha256 in put_in.items() if name in self._writers}
        self._known = {launch.alias: dict(self._put_in) for launch in self._launches}

    def clear(self) -> None:
        """Forget what is stored."""
        for name in self._names_stored():
            self._store.delete(self._prefix + name)

    def _names_stored(self) -> list[str]:
        return [entry.key.removeprefix(self._prefix) for entry in self._store.entries(self._prefix)]

    # -- out

    @contextmanager
    def kept_meanwhile(self) -> Iterator[None]:
        """Stores changes in a thread while the block runs. A failure is noted once, and tried again."""
        done = threading.Event()

        def keep() -> None:
            wait, is_failing = SCAN_EVERY_SECONDS, False
            while not done.wait(wait):
                begun = time.monotonic()
                try:
                    self.keep_changes(done)
                    is_failing = False
                except (WorldError, OSError) as error:
                    if not is_failing:
                        what = error.problems[0].what if isinstance(error, WorldError) else str(error)
                        self._note(f"checkpoints are not stored yet: {what}; trying again")
                    is_failing = True
                wait = max(SCAN_EVERY_SECONDS, (time.monotonic() - begun) / SCAN_SHARE)

        thread = threading.Thread(target=keep, name="checkpoints", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()

    def keep_changes(self, done: threading.Event) -> None:
        """Store what changed, and then did not change for a moment. done: set when there is no time for that."""
        with self._one_at_a_time:
            if self._scan_all() and not done.wait(HOLD_SECONDS):
                self._scan_all()

    def keep_rest(self) -> None:
        """Store everything that changed: the containers have ended."""
        with self._one_at_a_time:
            self._scan_all(at_end=True)

    def _scan_all(self, *, at_end: bool = False) -> bool:
        """Store and delete what is due; whether anything else has changed. A host that vanished proves nothing."""
        is_pending = False
        seen = self._runtime.look([launch.name for launch in self._launches])
        there = [launch for launch in self._launches if (found := seen[launch.name]) and not found.is_lost]
        for launch in there:
            hashes = self._scan(launch, at_end=at_end)
            self._scanned[launch.alias] = hashes
            known = self._known[launch.alias]
            is_pending |= any(known.get(name) != sha256 for name, sha256 in hashes.items())
            if at_end or hashes.items() & known.items():  # else the old ones would go before a new one is safe
                self._delete(launch.alias, known.keys() - hashes.keys())
        if there and len(there) == len(self._launches):
            unclaimed = {name for name, writer in self._writers.items() if not writer} - self._put_in.keys()
            self._delete("", unclaimed.difference(*self._scanned.values()))
        return is_pending

    def _scan(self, launch: Launch, *, at_end: bool) -> Hashes:
        """What is in the folder of one host now; what is due is stored in passing."""
        found: dict[str, str] = {}
        place = f"/opt/ml/{self._path}"
        folder = Folder(partial(self._runtime.get, launch.name, self._path), place, keeps_odd_names=True)
        with damage(f"{place} of {launch.name}"), TemporaryDirectory(dir=self._scratch) as scratch:
            copy = Path(scratch, "copy")
            for name, _, content in folder.members():
                if content is not None and name not in self._unfit:
                    may_be_due = self._may_be_due(name, launch.alias, at_end=at_end)
                    found[name] = _hash_of(content, copy if may_be_due else None)
                    self._keep(name, copy, found, launch, at_end=at_end)
            self._scan_links(folder, copy, found, launch, at_end=at_end)
        if at_end:
            self._note_left_out(launch, folder.left_out)
        return found

    def _scan_links(self, folder: Folder, copy: Path, found: dict[str, str], launch: Launch, *, at_end: bool) -> None:
        """Add to `found` what links stand for, and store what is due of it: for that, files are read again."""
        due: dict[str, list[str]] = {}
        for file, names in folder.links().copies.items():
            for name in names if file in found else ():
                if name not in self._unfit:
                    found[name] = found[file]
                    if self._is_due(name, found, launch.alias, at_end=at_end):
                        due.setdefault(file, []).append(name)
        for file, _, content in folder.again(due):
            sha256 = _hash_of(content, copy)
            for name in due[file]:
                found[name] = sha256
                self._keep(name, copy, found, launch, at_end=at_end)

    def _may_be_due(self, name: str, alias: str, *, at_end: bool) -> bool:
        return at_end or self._scanned.get(alias, {}).get(name) not in (None, self._known[alias].get(name))

    def _is_due(self, name: str, found: Hashes, alias: str, *, at_end: bool) -> bool:
        is_new = found[name] != self._known[alias].get(name)
        return is_new and (at_end or self._scanned.get(alias, {}).get(name) == found[name])

    def _keep(self, name: str, copy: Path, found: dict[str, str], launch: Launch, *, at_end: bool) -> None:
        """Store `copy` as `name`, if that is due."""
        if not self._is_due(name, found, launch.alias, at_end=at_end):
            return
        known = self._known[launch.alias]
        self._delete(launch.alias, [other for other in known if _is_below(other, name)])
        try:
            self._store.upload(self._prefix + name, copy)
        except UnfitKey as error:
            self._leave_out(name, launch, error)
            del found[name]
            return
        known[name] = found[name]
        self._writers[name] = launch.alias

    def _note_left_out(self, launch: Launch, left_out: Sequence[LeftOut]) -> None:
        new = [one for one in left_out if one.name not in self._unfit]
        self._unfit.update(one.name for one in new)
        if new:
            self._note(f"left out of the checkpoints of {launch.alias}: {listed(new)}")

    def _leave_out(self, name: str, launch: Launch, error: UnfitKey) -> None:
        """A job may give a file any name, and must not lose its model for it."""
        if not self._unfit:
            self._note(
                f"what has such a name in /opt/ml/{self._path} of {launch.alias} is left out: {error.problems[0].what}"
            )
        self._unfit.add(name)

    def _delete(self, alias: str, names: Iterable[str]) -> None:
        """Delete what a host no longer has; but not what another has written since."""
        for name in sorted(names):
            if self._writers.get(name, "") in ("", alias):
                self._store.delete(self._prefix + name)
                self._writers.pop(name, None)
            if alias:
                del self._known[alias][name]


def _is_below(one: str, other: str) -> bool:
    """Whether a folder cannot have both files: one of them would have to be a folder, too."""
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _hash_of(content: IO[bytes], copy: Path | None) -> str:
    """SHA-256 of the content, which is also written to `copy`."""
    digest = hashlib.sha256()
    target = copy.open("wb") if copy else None
    try:
        while block := content.read(CHUNK_BYTES):
            digest.update(block)
            if target:
                target.write(block)
    finally:
        if target:
            target.close()
    return digest.hexdigest()
