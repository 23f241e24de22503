"""What is in a folder of your own: its files in order, and one hash over them.

`resolve` fingerprints scripts and build contexts with it; `run` and the runtimes ship the same files. What no
program needs is left out: version control, caches.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from sagespec.errors import disk_problems

NEVER_SHIPPED = frozenset({".git", ".hg", ".svn", "__pycache__", ".DS_Store", ".ipynb_checkpoints"})


def is_shipped(path: str) -> bool:
    """Whether a file goes along; `path` is relative, with forward slashes."""
    return NEVER_SHIPPED.isdisjoint(path.split("/")) and not path.endswith(".pyc")


def files_of(folder: Path, is_wanted: Callable[[str], bool] = is_shipped) -> Iterator[str]:
    """The files below `folder` that are wanted, links to files included, as sorted relative paths."""
    found = []
    for above, folders, files in os.walk(folder):
        here = Path(above).relative_to(folder)
        folders[:] = [name for name in folders if name not in NEVER_SHIPPED]
        links = [name for name in folders if Path(above, name).is_symlink()]
        found += [(here / name).as_posix() for name in (*files, *links)]
    return (path for path in sorted(found) if is_wanted(path))


def fingerprint_of(source: Path, is_wanted: Callable[[str], bool] = is_shipped, *, through_links: bool = False) -> str:
    """A hash over a file, or over the names, contents, links and execute bits below a folder; 16 hex digits.

    The name of a single file does not count, those inside a folder do. through_links: what a link leads to counts
    instead of the link, for what is shipped by `copy_source`. WorldError when something cannot be read.
    """
    digest = hashlib.sha256()
    with disk_problems(f"cannot read {source}"):
        if source.is_file():
            digest.update(_content(source, through_links))
        else:
            for path in files_of(source, is_wanted):
                digest.update(f"{path}\0".encode(errors="surrogateescape") + _content(source / path, through_links))
    return digest.hexdigest()[:16]


def copy_source(source: Path, folder: Path) -> None:
    """A file, or what is below a folder, into `folder`: what `fingerprint_of` counts, links as what they lead to."""
    with disk_problems(f"cannot copy {source}"):
        if source.is_file():
            shutil.copy2(source, folder)
            return
        for path in files_of(source):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if (source / path).is_dir():
                shutil.copytree(source / path, target, ignore=shutil.ignore_patterns(*NEVER_SHIPPED))
            else:
                shutil.copy2(source / path, target)


def _content(file: Path, through_links: bool) -> bytes:
    if through_links and file.is_dir():
        return fingerprint_of(file, through_links=True).encode()
    if file.is_symlink() and not (through_links and file.exists()):
        return f"link {os.readlink(file)}\n".encode(errors="surrogateescape")  # noqa: PTH115  # as text, not resolved
    with file.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    return f"{'x' if os.access(file, os.X_OK) else '-'} {content}\n".encode()
