"""Which objects a bucket has, in S3's order, page by page: of its folder, of what lies aside, and of links.

S3 orders keys by their UTF-8 bytes, which is the order of Python's strings. In a folder, `a.csv` comes before what is
in `a/`, so folders are ordered with their slash. Nothing is read before it is asked for: a page of a large bucket
walks over a page's folders.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from pathlib import Path

from sagespec.buckets.about import read_side
from sagespec.buckets.layout import Found, Layout, linked
from sagespec.buckets.names import MOST_KEY_BYTES, OURS, is_plain, is_text

Item = tuple[str, Path]


@dataclass(frozen=True)
class Asked:
    """Which keys: those that begin with `prefix` and come after `after`. With a delimiter, keys that have one after the
    prefix are one group."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000


@dataclass(frozen=True)
class Page:
    """last: what the next page comes after, '' for the last page."""

    objects: tuple[Found, ...]
    groups: tuple[str, ...]
    last: str


def keys_of(layout: Layout, bucket: str, asked: Asked) -> Iterator[Item]:
    """The keys and files of all that was asked for, in order. Where the delimiter is a slash, only the first one of a
    folder below the prefix: the others are of its group."""
    folder, _, _ = asked.prefix.rpartition("/")
    lead = f"{folder}/" if folder else ""
    start = layout.require(bucket)
    # A prefix may be no path at all (`a//`), or lead over a link: then the tree has nothing of it.
    is_inside = not folder or (is_plain(folder) and len(folder) <= MOST_KEY_BYTES)
    if is_inside and not layout.is_behind_link(bucket, f"{lead}x"):
        tree = _walk(start / folder if folder else start, lead, asked)
    else:
        tree = iter(())
    found = merge(tree, _aside(layout, bucket, asked), key=lambda item: item[0])
    for _, same in groupby(found, key=lambda item: item[0]):
        yield next(same)


def page_of(layout: Layout, bucket: str, asked: Asked) -> Page:
    objects: list[Found] = []
    groups: list[str] = []
    last = ""
    for key, path in keys_of(layout, bucket, asked) if asked.limit else ():
        group = _group(key, asked)
        if group and (group == asked.after or (groups and groups[-1] == group)):
            continue
        if len(objects) + len(groups) == asked.limit:
            return Page(tuple(objects), tuple(groups), last)
        if group:
            groups.append(group)
        else:
            with suppress(FileNotFoundError):  # removed meanwhile
                objects.append(Found(key, path, layout.about(bucket, key, path, path.stat())))
        last = group or key
    return Page(tuple(objects), tuple(groups), "")


def all_of(layout: Layout, bucket: str, prefix: str) -> Iterator[Found]:
    for key, path in keys_of(layout, bucket, Asked(prefix)):
        with suppress(FileNotFoundError):
            yield Found(key, path, layout.about(bucket, key, path, path.stat()))


def _group(key: str, asked: Asked) -> str:
    if not asked.delimiter:
        return ""
    at = key.find(asked.delimiter, len(asked.prefix))
    return key[: at + len(asked.delimiter)] if at >= 0 else ""


def _walk(folder: Path, lead: str, asked: Asked) -> Iterator[Item]:
    """lead: what the keys of all in `folder` begin with."""
    for name, is_folder in _names(folder):
        key = lead + name
        if is_folder:
            if _may_hold(key, asked):
                below = _walk(folder / name, key, asked)
                is_one_group = asked.delimiter == "/" and key.startswith(asked.prefix) and key != asked.prefix
                yield from islice(below, 1) if is_one_group else below
        elif key.startswith(asked.prefix) and key > asked.after:
            yield key, folder / name


def _names(folder: Path) -> list[tuple[str, bool]]:
    """The files and folders, these with a slash, in the order of their keys."""
    names: list[tuple[str, bool]] = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
        for item in found:
            if not is_text(item.name) or item.name.startswith(OURS):
                continue
            if item.is_dir(follow_symlinks=False):
                names.append((f"{item.name}/", True))
            elif item.is_file(follow_symlinks=False):
                names.append((item.name, False))
    return sorted(names)


def _may_hold(folder_key: str, asked: Asked) -> bool:
    """Whether a key below the folder can be among those asked for."""
    if not (folder_key.startswith(asked.prefix) or asked.prefix.startswith(folder_key)):
        return False
    return folder_key > asked.after or asked.after.startswith(folder_key)


def _aside(layout: Layout, bucket: str, asked: Asked) -> list[Item]:
    found: list[Item] = []
    folder = layout.aside_folder(bucket)
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            key = _key_of(layout, bucket, path)
            if key and key.startswith(asked.prefix) and key > asked.after:
                file = linked(path) if path.suffix == ".link" else path
                found += [(key, file)] if file else []
    return sorted(found)


_keys: dict[Path, str] = {}  # by the file beside the tree, whose name is a hash of the key: no other can be there


def _key_of(layout: Layout, bucket: str, path: Path) -> str:
    if path not in _keys:
        with suppress(OSError, ValueError, KeyError, TypeError):
            if path.suffix == ".link":
                _keys[path] = str(json.loads(path.read_bytes())["key"])
            else:
                side = read_side((layout.side_folder(bucket) / path.name[:2] / path.name).read_bytes())
                _keys[path] = side.key if side else ""
    return _keys.get(path, "")
