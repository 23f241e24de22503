"""XML that clients send: lists of keys, of parts, of tags. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from sagespec.buckets.about import Tags
from sagespec.buckets.checksums import ALGORITHMS
from sagespec.buckets.refusals import Refusal
from sagespec.buckets.uploads import Claimed
from sagespec.s3.asked import number_of
from sagespec.s3.described import check_tags

_MOST_KEYS = 1000


def keys_to_delete(text: bytes) -> tuple[list[str], bool]:
    """The keys, and whether only what went wrong is answered."""
    root = _root(text, "Delete")
    keys = [_text(one, "Key") for one in _all(root, "Object")]
    if not 1 <= len(keys) <= _MOST_KEYS:
        raise _malformed(f"it names {len(keys)} keys; 1 to {_MOST_KEYS:,} are deleted at once")
    return keys, _text(root, "Quiet").lower() == "true"


def claimed_parts(text: bytes) -> list[Claimed]:
    found = []
    for part in _all(_root(text, "CompleteMultipartUpload"), "Part"):
        number = number_of(_text(part, "PartNumber"))
        if number is None:
            raise _malformed("a part has no number")
        sums = {name: value for name in ALGORITHMS if (value := _text(part, f"Checksum{name.upper()}"))}
        found.append(Claimed(number, _text(part, "ETag").strip('"'), sums))
    return found


def tags(text: bytes) -> Tags:
    root = _root(text, "Tagging")
    found = [(_text(tag, "Key"), _text(tag, "Value")) for one in _all(root, "TagSet") for tag in _all(one, "Tag")]
    return check_tags(tuple(found))


def _root(text: bytes, name: str) -> ElementTree.Element:
    try:
        read = text.decode("utf-8-sig")  # so that no other encoding hides what is looked for
        if "<!DOCTYPE" in read or "<!ENTITY" in read:  # what could grow, or lead to other files
            raise _malformed("it has a DOCTYPE")
        root = ElementTree.fromstring(read)  # noqa: S314  # without entities
    except (ElementTree.ParseError, ValueError) as error:
        raise _malformed(str(error)) from error
    if _name(root) != name:
        raise _malformed(f"it is no {name}")
    return root


def _all(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """With or without a namespace: clients do both."""
    return (child for child in element if _name(child) == name)


def _text(element: ElementTree.Element, name: str) -> str:
    return next((child.text or "" for child in _all(element, name)), "")


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _malformed(why: str) -> Refusal:
    return Refusal("MalformedXML", f"The XML is not what this request takes: {why}.")
