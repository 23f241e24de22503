"""What pip installed, kept by what it was asked for, so that the next start takes no time and needs no network.

An environment is the folder `<key>`, complete once its `COMPLETE` is there, with `<key>.lock` beside it: locked
(flock) alone by whoever installs or removes it, shared by all who use it until they end. So what starts at the same
time installs once, a kill leaves nothing that is taken for whole, and nothing in use is removed. It is looked for
in the folder that this machine's programs share (SAGESPEC_PACKAGES), or in the container's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SHARED_VARIABLE = "SAGESPEC_PACKAGES"
COMPLETE = "complete"  # holds the size in bytes; its time is that of the last use
MOST_BYTES = 10 * 2**30  # of a shared folder; beyond, what was not used for longest goes first
POLL_SECONDS = 0.05
# What decides where pip looks, or what it takes.
PIP_PATHS = ("PIP_FIND_LINKS", "PIP_CONSTRAINT")
PIP_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", *PIP_PATHS, "PIP_NO_INDEX", "PIP_PRE")
LOCAL = re.compile(r"/|:|\.whl\b|\.zip\b|\.tar\b|\.tgz\b")  # in a line that may name a file
NESTED = re.compile(r"(?:-r|--requirement)[ =]*(\S+)")
PACKAGE_FILES = ("pyproject.toml", "setup.py", "setup.cfg")  # beside what a package is built in


def key_of(code: Path, outer_packages: Sequence[str], *, with_code: bool, more: Sequence[str]) -> str:
    """A hash of all that decides what pip would install: what is asked for, and what is there already."""
    requirements = code / "requirements.txt"
    text = requirements.read_bytes() if requirements.is_file() else b""
    parts = [sys.version, sysconfig.get_platform(), text.hex(), *more]
    parts += [f"{name}={os.environ.get(name, '')}" for name in PIP_SETTINGS]
    for folder in outer_packages:
        parts += [folder, *sorted(path.name for path in Path(folder).glob("*.dist-info"))]
    for file in _files_named(code, text.decode("utf-8", "replace"), with_code=with_code):
        name = file.relative_to(code) if file.is_relative_to(code) else file  # each container has its own place for it
        parts += [str(name), hashlib.sha256(file.read_bytes()).hexdigest()]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _files_named(code: Path, text: str, *, with_code: bool) -> Iterator[Path]:
    """The files that pip may read besides: all of the code, if a line looks like a path or asks for another file."""
    local = [line for line in _lines_in(text) if not line[0].isalnum() or LOCAL.search(line)]
    settings = (word for name in PIP_PATHS for word in os.environ.get(name, "").split())
    if with_code or local or any((code / path).exists() for path in settings if not Path(path).is_absolute()):
        yield from sorted(path for path in code.rglob("*") if path.is_file() and not _is_left_by_tools(path))
    yield from (path for path in map(Path, local) if path.is_absolute() and path.is_file())


def _is_left_by_tools(path: Path) -> bool:
    """Whether Python or pip makes it in a user's folder: it would be another folder at the next start."""
    return "__pycache__" in path.parts or any(
        folder.name.endswith(".egg-info")
        or (folder.name == "build" and any((folder.parent / name).is_file() for name in PACKAGE_FILES))
        for folder in path.parents
    )


def is_editable(code: Path) -> bool:
    """Whether requirements.txt asks for an editable install, which is a mere link into the code."""
    return any(re.match(r"-e|--editable", line) for line in _lines_with_nested(code / "requirements.txt", set()))


def _lines_with_nested(file: Path, seen: set[Path]) -> Iterator[str]:
    """The lines of a requirements file, and of those it asks for."""
    if file in seen or not file.is_file():
        return
    seen.add(file)
    for line in _lines_in(file.read_text(encoding="utf-8", errors="replace")):
        yield line
        if nested := NESTED.match(line):
            yield from _lines_with_nested(file.parent / nested[1], seen)


def _lines_in(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def modules_in(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(environment), "platbase": str(environment)}))


def where_kept(own: Path) -> Path:
    """What this machine's programs share, or the container's own."""
    return Path(os.environ.get(SHARED_VARIABLE) or own)


def find_or_make(key: str, folder: Path, make: Callable[[Path], object]) -> Path:
    """Where the modules of the environment `key` are; made by `make(place)` if nobody has."""
    return modules_in(find_or_make_folder(key, folder, make))


def find_or_make_folder(key: str, folder: Path, make: Callable[[Path], object]) -> Path:
    """The folder `key` in `folder`; made by `make(place)` if nobody has. It is in use, and so not removed, until this
    process and its forks have ended."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = folder / key
    lock = os.open(f"{environment}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while not _is_found(environment, lock):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(POLL_SECONDS)  # another has begun, or is just looking
            continue
        shutil.rmtree(environment, ignore_errors=True)  # what a killed one left
        try:
            make(environment)
        except BaseException:
            os.close(lock)
            raise
        (environment / COMPLETE).write_text(f"{size_of(environment)}\n", encoding="utf-8")
        sweep(folder)
    os.utime(environment / COMPLETE)
    return environment


def _is_found(environment: Path, lock: int) -> bool:
    """Whether it is there; then it is locked for use. Waits for whoever is making it."""
    fcntl.flock(lock, fcntl.LOCK_SH)
    if is_complete(environment):
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def is_complete(environment: Path) -> bool:
    return (environment / COMPLETE).is_file()


def size_of(environment: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in environment.rglob("*"))


def sweep(folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Remove what killed installations left, and the longest unused beyond `most_bytes`; nothing that is in use."""
    left, by_last_use = 0, []
    for lock in folder.glob("*.lock"):
        complete = lock.with_suffix("") / COMPLETE
        try:
            size, used_at = int(complete.read_text(encoding="utf-8")), complete.stat().st_mtime
        except (OSError, ValueError):
            size, used_at = 0, 0.0
        left += size
        by_last_use.append((used_at, size, lock))
    for used_at, size, lock in sorted(by_last_use):
        if used_at and left <= most_bytes:
            return
        if _removed(lock):
            left -= size


def _removed(lock: Path) -> bool:
    environment = lock.with_suffix("")
    if not environment.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        (environment / COMPLETE).unlink(missing_ok=True)  # first: what a kill leaves here is not taken for whole
        shutil.rmtree(environment, ignore_errors=True)
    return True
