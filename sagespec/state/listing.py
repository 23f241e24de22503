"""The files of a source by path, each with a short hash of its content: what a manifest keeps of them, so that a
later plan can name those that differ.

Of many files, those in folders count as one for each folder at the top (`common/`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_KEPT = 300
MOST_NAMED = 8
_SHORT = 16

Listing = Mapping[str, str]


@dataclass(frozen=True)
class Counted:
    """A source as it is now. files: short hashes by path."""

    fingerprint: str
    files: Listing = field(default_factory=dict)


def short_of(content: bytes) -> str:
    """Of what `files.content_of` gives: the begin of the hash, and an x where the file may be run.

    >>> short_of(b"x 0123456789abcdef0123456789abcdef\\n")
    '0123456789abcdef x'
    """
    kind, _, rest = content.decode(errors="surrogateescape").strip().partition(" ")
    if kind in ("x", "-"):
        return rest[:_SHORT] + (" x" if kind == "x" else "")
    return hashlib.sha256(content).hexdigest()[:_SHORT]


def kept(files: Listing) -> Listing:
    """What a manifest keeps of them; nothing where even the folders are too many."""
    shown = files if len(files) <= MOST_KEPT else _by_folder(files)
    return {_as_text(path): short for path, short in shown.items()} if len(shown) <= MOST_KEPT else {}


def _as_text(path: str) -> str:
    """A name that is no UTF-8 as JSON can hold it, so that it is the same when it is read again."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def differences(before: Listing, now: Listing) -> str:
    """The files that differ, for people; '' where that is not known.

    >>> differences({"a.py": "1", "b.py": "2"}, {"a.py": "3", "b.py": "2 x", "c.py": "4"})
    'a.py changed, b.py may be run now, c.py added'
    """
    if not before or not now:
        return ""
    if any(path.endswith("/") for path in (*before, *now)):
        before, now = _by_folder(before), _by_folder(now)
    said = [
        f"{_shown(path)} {_what(before.get(path), now.get(path))}"
        for path in sorted({*before, *now})
        if before.get(path) != now.get(path)
    ]
    more = [f"and {len(said) - MOST_NAMED} more"] if len(said) > MOST_NAMED else []
    return ", ".join([*said[:MOST_NAMED], *more])


def _what(before: str | None, now: str | None) -> str:
    if before is None or now is None:
        return "added" if before is None else "removed"
    if before.removesuffix(" x") == now.removesuffix(" x"):
        return "may be run now" if now.endswith(" x") else "may not be run any more"
    return "changed"


def _shown(path: str) -> str:
    return path if path.isprintable() else repr(path)


def _by_folder(files: Listing) -> Listing:
    folders: dict[str, list[str]] = {}
    found = {}
    for path, short in sorted(files.items()):
        folder, slash, rest = path.partition("/")
        if slash and rest:
            folders.setdefault(f"{folder}/", []).append(f"{rest}\0{short}")
        else:
            found[path] = short
    for folder, lines in folders.items():
        content = "\n".join(lines).encode(errors="surrogateescape")
        found[folder] = hashlib.sha256(content).hexdigest()[:_SHORT]
    return found
