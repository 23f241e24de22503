"""The code of a script: a file, or all that is in a folder, with links followed, but for what is ignored.

`resolve` makes a job's key from `counted`, and `run` copies the same files into the containers.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from sagespec.errors import WorldError, disk_problems
from sagespec.sources.files import (
    MAX_FILES,
    STORE_LOCK,
    content_of,
    digest_of,
    files_of,
    is_shipped,
    named,
    too_large,
)
from sagespec.sources.ignored import IGNORE_FILE, TOOLS, TOOLS_BEFORE, Ignored
from sagespec.sources.walking import Above, enter, leads_nowhere
from sagespec.state.listing import Counted, short_of

MAX_BYTES = 2 * 2**30


def counted(source: Path) -> Counted:
    """What is there: a hash over names, contents and execute bits, of a single file without its name.

    WorldError when something cannot be read, is no file or folder, or is a link that leads back or nowhere.
    """
    return _counted(source, _Trip(source))


def counted_like(source: Path, before: Callable[[], str]) -> Counted:
    """What is there, counted as earlier releases did, before .sagespecignore too, where that gives the fingerprint
    `before`. It is asked for only where these counted more."""
    trip = _Trip(source)
    now = _counted(source, trip)
    if not trip.left_out or before() in ("", now.fingerprint):
        return now
    for tools in (TOOLS_BEFORE, None):
        with suppress(WorldError):
            earlier = _counted(source, _Trip(source, tools))
            if earlier.fingerprint == before():
                return earlier
    return now


def _counted(source: Path, trip: _Trip) -> Counted:
    with disk_problems(f"cannot read {source}"):
        files: dict[str, str] = {}
        if not source.is_dir():
            content = content_of(source, is_followed=True)
            return Counted(digest_of([content]), {source.name: short_of(content)})
        deque(_paths(source, "", trip), maxlen=0)  # all are met before one is read
        return Counted(_fingerprint(source, "", trip.again(), files), files)


def copy_code(source: Path, folder: Path) -> None:
    """What `counted` counts into `folder`, links as what they lead to."""
    with disk_problems(f"cannot copy {source}"):
        if source.is_file():
            shutil.copy2(source, folder)
            return
        for path in _paths(source, "", _Trip(source)):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / path, target)


def is_left_out(source: Path, path: str) -> bool:
    """Whether a file of a script's folder is ignored, or one of the folders it is in."""
    ignored, parts = Ignored(source), path.split("/")
    above = ("/".join(parts[:count]) for count in range(1, len(parts)))
    return ignored.names(path) or any(ignored.names(folder, is_folder=True) for folder in above)


class _Trip:
    """A way through the folders of a source, along links: where it is, and how much it has met."""

    def __init__(self, source: Path, tools: tuple[str, ...] | None = TOOLS) -> None:
        """tools: None for a count as before .sagespecignore."""
        self._source, self._tools = source, tools
        self._ignored = Ignored(source, tools or ())
        self._above: Above = ()
        self.left_out = False  # something that earlier releases did not leave out
        self._files = 0
        self._bytes = 0

    def again(self) -> _Trip:
        return _Trip(self._source, self._tools)

    def files_of(self, folder: Path, at: str) -> Iterator[Path]:
        """The files and links to folders below `folder`, while we are in it. at: its path in the source, with a slash
        at the end."""
        above, self._above = self._above, enter(folder, self._above)
        for path in files_of(folder, lambda path: self._is_wanted(f"{at}{path}"), lambda path: self._enters(at + path)):
            file = folder / path
            if file.is_dir() and not (self._enters(at + path) and not (file / STORE_LOCK).is_file()):
                continue
            self._count(file)
            yield file
        self._above = above

    def _is_wanted(self, path: str) -> bool:
        if self._tools is None:
            return is_shipped(path) and path != IGNORE_FILE
        if not is_shipped(path):
            return False
        is_ignored = self._ignored.names(path)
        self.left_out |= is_ignored and path != IGNORE_FILE
        return not is_ignored

    def _enters(self, path: str) -> bool:
        is_ignored = self._tools is not None and self._ignored.names(path, is_folder=True)
        self.left_out |= is_ignored
        return not is_ignored

    def _count(self, file: Path) -> None:
        self._files += 1
        if file.is_file():
            self._bytes += file.stat().st_size
        elif file.is_symlink() and not file.exists():
            raise leads_nowhere(file)
        if self._files > MAX_FILES:
            raise too_large(self._source, f"{MAX_FILES:,} files")
        if self._bytes > MAX_BYTES:
            raise too_large(self._source, f"{MAX_BYTES >> 30} GiB")


def _fingerprint(folder: Path, at: str, trip: _Trip, files: dict[str, str]) -> str:
    parts = []
    for file in trip.files_of(folder, at):
        name = file.relative_to(folder).as_posix()
        if file.is_dir():
            parts.append(named(name, _fingerprint(file, f"{at}{name}/", trip, files).encode()))
        else:
            content = content_of(file, is_followed=True)
            files[at + name] = short_of(content)
            parts.append(named(name, content))
    return digest_of(parts)


def _paths(folder: Path, at: str, trip: _Trip) -> Iterator[str]:
    for file in trip.files_of(folder, at):
        path = at + file.relative_to(folder).as_posix()
        if file.is_dir():
            yield from _paths(file, f"{path}/", trip)
        else:
            yield path
