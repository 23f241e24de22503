"""What headers say of an object, both ways. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from sagespec.buckets.about import About, Tags
from sagespec.buckets.refusals import Refusal
from sagespec.buckets.writing import Described
from sagespec.s3.answers import Headers, http_date

_KEPT = (
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "cache-control",
    "expires",
    "x-amz-website-redirect-location",
)
_META = "x-amz-meta-"
_MOST_META_BYTES = 2 << 10
_MOST_TAGS = 10
_NS = 1_000_000_000


def described(headers: Mapping[str, str], checksums: Mapping[str, str] | None = None) -> Described:
    kept = {name: headers[name] for name in _KEPT if headers.get(name)}
    encodings = [one.strip() for one in kept.pop("content-encoding", "").split(",")]
    if left := ", ".join(one for one in encodings if one and one != "aws-chunked"):
        kept["content-encoding"] = left
    metadata = {name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)}
    if sum(len(name) + len(value.encode()) for name, value in metadata.items()) > _MOST_META_BYTES:
        raise Refusal("MetadataTooLarge", "The metadata of an object has at most 2 KiB.")
    return Described(kept, metadata, tags_of_header(headers.get("x-amz-tagging", "")), checksums or {})


def tags_of_header(said: str) -> Tags:
    return check_tags(tuple(parse_qsl(said, keep_blank_values=True)))


def check_tags(tags: Tags) -> Tags:
    if len(tags) > _MOST_TAGS:
        raise Refusal("BadRequest", f"An object has at most {_MOST_TAGS} tags.")
    if len({name for name, _ in tags}) != len(tags):
        raise Refusal("InvalidTag", "Two tags have the same key.")
    if any(not name or len(name) > 128 or len(value) > 256 for name, value in tags):
        raise Refusal("InvalidTag", "A tag's key has 1 to 128 characters, its value at most 256.")
    return tags


def headers_of(about: About, asked: Mapping[str, str], query: Mapping[str, str]) -> list[tuple[str, str]]:
    """All but the length. asked: the request's headers; query: may say others than are kept (`response-…`)."""
    kept = {"content-type": "binary/octet-stream", **about.headers}
    for name, value in query.items():
        if name.startswith("response-") and name.removeprefix("response-") in _KEPT:
            if any(ord(letter) < 32 for letter in value):  # it would begin another header
                raise Refusal("InvalidArgument", f"{name} has control characters.")
            kept[name.removeprefix("response-")] = value.encode().decode("latin-1")
    found = [
        ("ETag", f'"{about.etag}"'),
        ("Last-Modified", http_date(about.stamp // _NS)),
        ("Accept-Ranges", "bytes"),
        *((name.title(), value) for name, value in kept.items()),
        *((f"{_META}{name}", value) for name, value in about.metadata.items()),
    ]
    if about.tags:
        found.append(("x-amz-tagging-count", str(len(about.tags))))
    if asked.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        found += checksum_headers(about)
    return found


def checksum_headers(about: About) -> Headers:
    named = [(f"x-amz-checksum-{name}", value) for name, value in about.checksums.items()]
    return [*named, ("x-amz-checksum-type", about.checksum_type)] if named else []
