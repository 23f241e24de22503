"""Buckets, and what is in them: made, looked at, listed, emptied, removed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from urllib.parse import quote

from sagespec.buckets.layout import Found, Layout
from sagespec.buckets.listing import Asked, Page, page_of
from sagespec.buckets.names import check_bucket_name
from sagespec.buckets.refusals import Refusal
from sagespec.buckets.writing import buckets_of, delete, make_bucket, remove_bucket
from sagespec.s3.answers import Answer, Element, iso, xml
from sagespec.s3.asked import Request, number_of
from sagespec.s3.bodies import check_small
from sagespec.s3.parsed import keys_to_delete

ACCOUNT = "000000000000"
_OWNER: Element = ("Owner", [("ID", ACCOUNT), ("DisplayName", "sagespec")])
_MOST_KEYS = 1000
_NS = 1_000_000_000


def list_buckets(layout: Layout, request: Request) -> Answer:
    begins = request.query.get("prefix", "")
    found = [
        ("Bucket", [("Name", name), ("CreationDate", iso(made))])
        for name, made in buckets_of(layout)
        if name.startswith(begins)
    ]
    return xml("ListAllMyBucketsResult", [_OWNER, ("Buckets", found)])


def create_bucket(layout: Layout, request: Request) -> Answer:
    check_small(request.headers, request.small_body())
    make_bucket(layout, request.bucket)
    return Answer(200, [("Location", f"/{request.bucket}"), ("Content-Length", "0")])


def head_bucket(layout: Layout, request: Request) -> Answer:
    layout.require(check_bucket_name(request.bucket))
    return Answer(200, [("x-amz-bucket-region", "us-east-1"), ("Content-Length", "0")])


def delete_bucket(layout: Layout, request: Request) -> Answer:
    remove_bucket(layout, request.bucket)
    return Answer(204)


def bucket_location(layout: Layout, request: Request) -> Answer:
    """Empty, as S3 says it of us-east-1."""
    layout.require(request.bucket)
    return xml("LocationConstraint", "")


def bucket_versioning(layout: Layout, request: Request) -> Answer:
    """There is none, which some clients ask before they read."""
    layout.require(request.bucket)
    return xml("VersioningConfiguration", "")


def delete_objects(layout: Layout, request: Request) -> Answer:
    layout.require(request.bucket)
    body = request.small_body()
    check_small(request.headers, body)
    keys, is_quiet = keys_to_delete(body)
    said: list[Element] = []
    for key in keys:
        try:
            delete(layout, request.bucket, key)
        except Refusal as refusal:
            said.append(("Error", [("Key", key), ("Code", refusal.code), ("Message", refusal.message)]))
        else:
            said += [] if is_quiet else [("Deleted", [("Key", key)])]
    return xml("DeleteResult", said)


def list_objects(layout: Layout, request: Request) -> Answer:
    query = request.query
    asked = _asked(request, query.get("marker", ""))
    page, written = page_of(layout, request.bucket, asked), _writer(request)
    said: list[Element] = [
        ("Name", request.bucket),
        ("Prefix", written(asked.prefix)),
        ("Marker", written(asked.after)),
        ("MaxKeys", asked.limit),
        *_told(request, asked, page),
    ]
    if page.last and asked.delimiter:
        said.append(("NextMarker", written(page.last)))
    return xml("ListBucketResult", [*said, *_contents(page, written, with_owner=True)])


def list_objects_2(layout: Layout, request: Request) -> Answer:
    query = request.query
    token, start = query.get("continuation-token"), query.get("start-after", "")
    asked = _asked(request, start if token is None else _from_token(token))
    page, written = page_of(layout, request.bucket, asked), _writer(request)
    said: list[Element] = [
        ("Name", request.bucket),
        ("Prefix", written(asked.prefix)),
        ("KeyCount", len(page.objects) + len(page.groups)),
        ("MaxKeys", asked.limit),
        *_told(request, asked, page),
    ]
    said += [("ContinuationToken", token)] if token is not None else []
    said += [("StartAfter", written(start))] if start else []
    said += [("NextContinuationToken", _token(page.last))] if page.last else []
    return xml("ListBucketResult", [*said, *_contents(page, written, with_owner=query.get("fetch-owner") == "true")])


def limit_of(request: Request, name: str) -> int:
    said = request.query.get(name, "")
    number = number_of(said) if said else _MOST_KEYS
    if number is None:
        raise Refusal("InvalidArgument", f"{name} is a number, not {said[:20]!r}.")
    return min(number, _MOST_KEYS)


def _asked(request: Request, after: str) -> Asked:
    if request.query.get("encoding-type", "url") != "url":
        raise Refusal("InvalidArgument", "encoding-type is url or nothing.")
    query = request.query
    return Asked(query.get("prefix", ""), query.get("delimiter", ""), after, limit_of(request, "max-keys"))


def _told(request: Request, asked: Asked, page: Page) -> list[Element]:
    written = _writer(request)
    told: list[Element] = [("Delimiter", written(asked.delimiter))] if asked.delimiter else []
    told += [("EncodingType", "url")] if "encoding-type" in request.query else []
    return [*told, ("IsTruncated", bool(page.last))]


def _contents(page: Page, written: Callable[[str], str], *, with_owner: bool) -> list[Element]:
    objects: list[Element] = [("Contents", _object(found, written, with_owner)) for found in page.objects]
    return [*objects, *(("CommonPrefixes", [("Prefix", written(group))]) for group in page.groups)]


def _object(found: Found, written: Callable[[str], str], with_owner: bool) -> list[Element]:
    about = found.about
    said: list[Element] = [
        ("Key", written(found.key)),
        ("LastModified", iso(about.stamp / _NS)),
        ("ETag", f'"{about.etag}"'),
        *(("ChecksumAlgorithm", name.upper()) for name in about.checksums),
        *([("ChecksumType", about.checksum_type)] if about.checksums else []),
        ("Size", about.size),
        ("StorageClass", "STANDARD"),
    ]
    return [*said, _OWNER] if with_owner else said


def _writer(request: Request) -> Callable[[str], str]:
    """How keys are written: XML cannot hold each of their characters, which is what encoding-type=url is for."""
    return _quoted if "encoding-type" in request.query else str


def _quoted(text: str) -> str:
    return quote(text, safe="/")


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Refusal("InvalidArgument", "The continuation token is not one of this server's.") from error
