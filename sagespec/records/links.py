"""Where the links in a folder lead, worked out from the names in it alone: nothing is ever opened to follow one.

`folders` fills a `Listing` while it reads a folder from an engine. A link that leads to something in the folder stands
for what is there; one that leads anywhere else is astray. Hard links are links to the root of the folder.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

MAX_HOPS = 40  # as Linux has it
MAX_DEPTH = 200

Parts = tuple[str, ...]


class Astray(Exception):
    """A link that leads to nothing in its folder; the text says where it leads."""


@dataclass
class Resolved:
    """copies: names that links stand for, by the file that is there. folders: what they need besides. astray: the
    other links, and where each leads."""

    copies: dict[str, list[str]] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    astray: dict[str, str] = field(default_factory=dict)


class Listing:
    """What is in the folder that a program sees at `place` (/opt/ml/model)."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._root: Parts = _parts(place)
        self._children: dict[Parts, dict[str, None]] = {(): {}}  # of folders; in order
        self._links: dict[Parts, str] = {}
        self._files: set[Parts] = set()

    def add(self, name: str, *, is_folder: bool) -> None:
        parts = self._put(name)
        if is_folder:
            self._children.setdefault(parts, {})
        else:
            self._files.add(parts)

    def add_link(self, name: str, target: str) -> None:
        self._links[self._put(name)] = target

    def add_hard_link(self, name: str, other: str) -> None:
        self.add_link(name, f"{self._place}/{other}")

    def _put(self, name: str) -> Parts:
        parts = _parts(name)
        for count, part in enumerate(parts):
            self._children.setdefault(parts[:count], {})[part] = None
        return parts

    def resolved(self, most: int) -> Resolved:
        """What all the links stand for, `most` names at most."""
        found, left = Resolved(), most
        for link, target in self._links.items():
            try:
                pairs = list(islice(self._behind(link), left + 1))
            except Astray as astray:
                found.astray[_text(link)] = f"a link to {target!r}, {astray}"
                continue
            if len(pairs) > left:
                found.astray[_text(link)] = f"a link to {target!r}, and with others it stands for over {most:,} files"
                continue
            left -= len(pairs)
            for name, file in pairs:
                if file is None:
                    found.folders.append(_text(name))
                else:
                    found.copies.setdefault(_text(file), []).append(_text(name))
        return found

    def _behind(self, link: Parts) -> Iterator[tuple[Parts, Parts | None]]:
        """Names at and below a link, and the files that they stand for; None for a folder."""
        real = self._followed(link)
        if real in self._files:
            yield link, real
        else:
            above = [link[:count] for count in range(len(link))]
            yield from self._below(link, real, above)

    def _below(self, name: Parts, folder: Parts, above: list[Parts]) -> Iterator[tuple[Parts, Parts | None]]:
        if folder in above or len(above) > MAX_DEPTH:
            raise Astray("a folder that it lies in" if folder in above else "which is too deep")
        yield name, None
        for child in self._children[folder]:
            inner = (*folder, child)
            try:
                real = self._followed(inner) if inner in self._links else inner
            except Astray:
                continue  # it is astray where it is, too
            if real in self._files:
                yield (*name, child), real
            else:
                yield from self._below((*name, child), real, [*above, folder])

    def _followed(self, link: Parts) -> Parts:
        """The file or folder that a link leads to, over others if need be."""
        here, ahead, hops = (*self._root, *link[:-1]), deque([link[-1]]), 0
        while ahead:
            part = ahead.popleft()
            here = here[:-1] if part == ".." else (*here, part)
            inner = here[len(self._root) :] if here[: len(self._root)] == self._root else None
            if inner is None or inner in self._children:
                continue
            if inner in self._links:
                hops += 1
                if hops > MAX_HOPS:
                    raise Astray("which leads back to itself")
                here = () if self._links[inner].startswith("/") else here[:-1]
                ahead.extendleft(reversed(_parts(self._links[inner])))
            elif inner not in self._files or ahead:
                raise Astray("which is not there")
        if here[: len(self._root)] != self._root:
            raise Astray(f"which is not in {self._place}")
        return here[len(self._root) :]


def _parts(path: str) -> Parts:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _text(parts: Parts) -> str:
    return "/".join(parts)
