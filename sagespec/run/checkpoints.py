"""A job's checkpoints between its containers and the store: put in before the start, copied out while it runs.

`Trainer` makes one `Checkpoints` for each attempt. Files come as a tar stream of the folder, as from any engine;
what has not changed is read and not stored again. A file that changed is taken once two looks in a row find it the
same, so that one half written is left alone; when its container has ended it is taken as it is. The store replaces
an object whole or not at all. The hosts share one place, as in SageMaker: what the names are is the user's affair.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from sagespec.errors import WorldError
from sagespec.records.archive import regular_files
from sagespec.runtimes.protocol import Runtime
from sagespec.state.launches import Launch
from sagespec.stores.keys import sha256_of
from sagespec.stores.protocol import CHUNK_BYTES, Store

SYNC_EVERY_SECONDS = 3.0
HOLD_SECONDS = 0.2  # for so long a file must stay as it is
SYNC_SHARE = 0.1  # of the time at most goes into looking and copying
PUT_IN_FILE = "input/config/sagespec-checkpoints.json"  # name -> SHA-256 of what each host was started with

Hashes = Mapping[str, str]  # SHA-256 by name


class Checkpoints:
    """`path` in every container of `launches`, kept in `store` under `prefix`. scratch: for what may be lost."""

    def __init__(
        self, runtime: Runtime, launches: Sequence[Launch], path: str, store: Store, prefix: str, scratch: Path
    ) -> None:
        self._runtime = runtime
        self._launches = launches
        self._path = path
        self._store = store
        self._prefix = prefix
        self._scratch = scratch
        self._put_in: Hashes = {}
        self._writers: dict[str, str] = {}  # of what is stored: alias of the host it is from; '' if put in or unknown
        self._given: dict[str, dict[str, str]] = {}  # by alias: what the host was given or gave last, and still has
        self._looked: dict[str, Hashes] = {}  # by alias: at the last look
        self._one_at_a_time = threading.Lock()

    # -- in

    def put_in(self) -> int:
        """Fill the folder of every created host with what the store has; how many files that are."""
        with TemporaryDirectory(dir=self._scratch) as scratch:
            folder = Path(scratch, "checkpoints")
            folder.mkdir()
            hashes = {}
            for name in self._names_stored():
                self._store.download(self._prefix + name, folder / name)
                hashes[name] = sha256_of(folder / name)
            for launch in self._launches:
                self._runtime.put(launch.name, self._path, folder)
                self._runtime.write(launch.name, {PUT_IN_FILE: json.dumps(hashes).encode()})
        return len(hashes)

    def take_up(self) -> None:
        """Learn what the hosts were started with, and what is stored already."""
        there = next((launch for launch in self._launches if self._runtime.inspect(launch.name)), None)
        self._put_in = json.loads(self._runtime.read(there.name, PUT_IN_FILE) or b"{}") if there else {}
        self._given = {launch.alias: dict(self._put_in) for launch in self._launches}
        self._writers = dict.fromkeys(self._names_stored(), "")

    def clear(self) -> None:
        """Forget what is stored."""
        for name in self._names_stored():
            self._store.delete(self._prefix + name)

    def _names_stored(self) -> list[str]:
        return [entry.key.removeprefix(self._prefix) for entry in self._store.entries(self._prefix)]

    # -- out

    @contextmanager
    def synced(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Copies out in a thread of its own while the block runs. What fails is told once and tried again."""
        done = threading.Event()

        def go_on() -> None:
            wait, is_failing = SYNC_EVERY_SECONDS, False
            while not done.wait(wait):
                begun = time.monotonic()
                try:
                    self.sync(done)
                    is_failing = False
                except (WorldError, OSError) as error:
                    if not is_failing:
                        what = error.problems[0].what if isinstance(error, WorldError) else str(error)
                        tell(f"checkpoints wait to be stored: {what}")
                    is_failing = True
                wait = max(SYNC_EVERY_SECONDS, (time.monotonic() - begun) / SYNC_SHARE)

        thread = threading.Thread(target=go_on, name="checkpoints", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()

    def sync(self, done: threading.Event) -> None:
        """Store what changed and holds still."""
        with self._one_at_a_time:
            if self._look_at_all() and not done.wait(HOLD_SECONDS):
                self._look_at_all()

    def sync_at_end(self) -> None:
        """Store all that changed: the containers have ended, or are as good as gone."""
        with self._one_at_a_time:
            self._look_at_all(at_end=True)

    def _look_at_all(self, *, at_end: bool = False) -> bool:
        """Store and delete what is due; whether something else has changed. A host that vanished says nothing."""
        is_pending = False
        there = [launch for launch in self._launches if self._runtime.inspect(launch.name)]
        for launch in there:
            found = self._look(launch, at_end=at_end)
            self._looked[launch.alias] = found
            given = self._given[launch.alias]
            is_pending |= any(given.get(name) != sha256 for name, sha256 in found.items())
            if at_end or found.items() & given.items():  # else the old ones go before a new one is safe
                self._delete(launch.alias, given.keys() - found.keys())
        if there and len(there) == len(self._launches):
            unclaimed = {name for name, writer in self._writers.items() if not writer} - self._put_in.keys()
            self._delete("", unclaimed.difference(*self._looked.values()))
        return is_pending

    def _look(self, launch: Launch, *, at_end: bool) -> Hashes:
        """What is in the folder of one host now; what is due is stored on the way."""
        before, given = self._looked.get(launch.alias, {}), self._given[launch.alias]
        found: dict[str, str] = {}
        with TemporaryDirectory(dir=self._scratch) as scratch:
            copy = Path(scratch, "copy")
            stream = self._runtime.get(launch.name, self._path)
            for name, content in regular_files(stream, f"/opt/ml/{self._path} of {launch.name}"):
                may_be_due = at_end or before.get(name) not in (None, given.get(name))
                found[name] = _hash_of(content, copy if may_be_due else None)
                if found[name] == given.get(name):
                    continue
                if may_be_due and (at_end or before.get(name) == found[name]):
                    self._store.upload(self._prefix + name, copy)
                    given[name] = found[name]
                    self._writers[name] = launch.alias
        return found

    def _delete(self, alias: str, names: Iterable[str]) -> None:
        """What a host no longer has; but not what another has written since."""
        for name in sorted(names):
            if self._writers.get(name, "") in ("", alias):
                self._store.delete(self._prefix + name)
                self._writers.pop(name, None)
            if alias:
                del self._given[alias][name]


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
