"""A folder of a container, read from its engine as a tar stream: its files, and what the links in it stand for.

Used to pack archives (`packing`) and to store checkpoints. SageMaker keeps both in S3, which has no links, so a link
into the folder is what it leads to. The engine sends a link without content: the folder is read again for that, once.
What is neither a file, a folder nor such a link is left out, and listed with the reason.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from sagespec.records.links import Listing, Resolved
from sagespec.records.members import (
    MAX_MEMBERS,
    UNFIT_NAME,
    Joined,
    UnfitMember,
    damage,
    has_odd_name,
    leads_out,
    name_of,
    opened,
    unfit_kind,
)

MOST_LISTED = 5

Read = Callable[[], Iterator[bytes]]
Member = tuple[str, tarfile.TarInfo, IO[bytes] | None]  # path, header, and the content of a file


@dataclass(frozen=True, order=True)
class LeftOut:
    """A member that is neither a file nor a folder, nor stands for one. why: "a link to 'x', which is not there"."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name!r}, {self.why}"


def listed(things: Iterable[object]) -> str:
    """For people; the first of many."""
    texts = [str(thing) for thing in things]
    more = [f"and {len(texts) - MOST_LISTED} more"] if len(texts) > MOST_LISTED else []
    return "; ".join([*texts[:MOST_LISTED], *more])


class Folder:
    """read: gives the stream, as often as asked. place: where the program sees the folder, /opt/ml/model.
    max_members: 0 for any number. keeps_odd_names: also those that not every file system can have."""

    def __init__(self, read: Read, place: str, *, max_members: int = 0, keeps_odd_names: bool = False) -> None:
        self._read, self._place = read, place
        self._max_members, self._keeps_odd_names = max_members, keeps_odd_names
        self._listing = Listing(place)
        self.left_out: list[LeftOut] = []
        self.odd_names: list[str] = []

    def members(self) -> Iterator[Member]:
        """Its files and folders; a content is read before the next member is asked for.

        WorldError when the stream is cut short, UnfitMember when there are too many.
        """
        with damage(self._place), opened(io.BufferedReader(Joined(self._read()))) as source:
            for count, member in enumerate(source, start=1):
                if self._max_members and count > self._max_members:
                    raise UnfitMember(
                        f"{self._place} holds more than {self._max_members:,} members",
                        fix="write fewer, larger files",
                    )
                name, kind = name_of(member), unfit_kind(member)
                if has_odd_name(member):
                    self.odd_names.append(member.name)
                if leads_out(member) or (has_odd_name(member) and not self._keeps_odd_names):
                    self.left_out.append(LeftOut(member.name, UNFIT_NAME))
                elif member.issym():
                    self._listing.add_link(name, member.linkname)
                elif member.islnk():
                    self._listing.add_hard_link(name, member.linkname)
                elif kind:
                    self.left_out.append(LeftOut(name, kind))
                elif name:
                    self._listing.add(name, is_folder=member.isdir())
                    yield name, member, source.extractfile(member)

    def links(self) -> Resolved:
        """What links stand for; those that lead astray join `left_out`. To be asked when `members` is through."""
        found = self._listing.resolved(MAX_MEMBERS)
        self.left_out += [LeftOut(name, why) for name, why in found.astray.items()]
        return found

    def again(self, wanted: Collection[str]) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes]]]:
        """Those of these files that are there, read once more."""
        missing = set(wanted)
        if not missing:
            return
        with damage(self._place), opened(io.BufferedReader(Joined(self._read()))) as source:
            for member in source:
                content = source.extractfile(member) if member.isreg() else None
                if content is not None and (name := name_of(member)) in missing:
                    missing.discard(name)
                    yield name, member, content
