"""The way in: a WSGI app that answers as S3 does, for buckets in a folder.

Which operation a request is, its method and the names in its query say. A name that is not known refuses the request:
`?acl`, `?tagging` and their kin make it another one than it would be without them, and a PUT of an object that was not
meant to be one destroys the object. Who may ask is decided before: `api` checks signatures.
"""

from __future__ import annotations

import secrets
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from sagespec.buckets.layout import Layout
from sagespec.buckets.refusals import Refusal
from sagespec.s3 import copies, listings, multipart, objects
from sagespec.s3.answers import Answer, refused
from sagespec.s3.asked import Request, request_of

Operation = Callable[[Layout, Request], Answer]

# By method and by the name in the query that makes it another operation ('' for none); for a bucket and for an object.
_OF_BUCKET: Mapping[tuple[str, str], Operation] = {
    ("GET", ""): listings.list_objects,
    ("GET", "list-type"): listings.list_objects_2,
    ("GET", "location"): listings.bucket_location,
    ("GET", "versioning"): listings.bucket_versioning,
    ("GET", "uploads"): multipart.list_uploads,
    ("HEAD", ""): listings.head_bucket,
    ("PUT", ""): listings.create_bucket,
    ("DELETE", ""): listings.delete_bucket,
    ("POST", "delete"): listings.delete_objects,
}
_OF_OBJECT: Mapping[tuple[str, str], Operation] = {
    ("GET", ""): objects.get_object,
    ("GET", "tagging"): objects.get_tags,
    ("GET", "uploadId"): multipart.list_parts,
    ("HEAD", ""): objects.head_object,
    ("PUT", ""): objects.put_object,
    ("PUT", "tagging"): objects.put_tags,
    ("PUT", "uploadId"): multipart.upload_part,
    ("POST", "uploads"): multipart.create_upload,
    ("POST", "uploadId"): multipart.complete_upload,
    ("DELETE", ""): objects.delete_object,
    ("DELETE", "tagging"): objects.delete_tags,
    ("DELETE", "uploadId"): multipart.abort_upload,
}
_COPIES = {objects.put_object: copies.copy_object, multipart.upload_part: copies.copy_part}

# What a query may say besides; presigned addresses carry X-Amz-….
_DETAILS = {
    "x-id", "prefix", "delimiter", "marker", "max-keys", "encoding-type", "continuation-token", "start-after",
    "fetch-owner", "max-parts", "part-number-marker", "max-uploads", "key-marker", "upload-id-marker", "partNumber",
    "versionId", "max-buckets", "bucket-region", "AWSAccessKeyId", "Signature", "Expires",
}  # fmt: skip


class S3App:
    """root: the folder of the buckets."""

    def __init__(self, root: Path) -> None:
        self._layout = Layout(root)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer, is_head = self._answer(environ), environ["REQUEST_METHOD"] == "HEAD"
        headers = [*answer.headers, ("x-amz-request-id", secrets.token_hex(8).upper())]
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return () if is_head else answer.chunks

    def _answer(self, environ: dict[str, Any]) -> Answer:
        resource = environ.get("PATH_INFO", "")
        request: Request | None = None
        try:
            request = request_of(environ)
            resource = request.resource
            return operation_of(request)(self._layout, request)
        except Refusal as refusal:
            return refused(refusal, resource)
        except (ConnectionError, TimeoutError):  # the client has gone, or stopped sending
            return refused(Refusal("RequestTimeout", "The body ends before its end."), resource)
        except Exception as error:  # a fault of ours, or of the disk: for the client, and for whoever runs the server
            traceback.print_exc(file=environ.get("wsgi.errors", sys.stderr))
            return refused(Refusal("InternalError", f"The request failed here: {error}", 500), resource)


def operation_of(request: Request) -> Operation:
    """`Refusal` for what is no operation, or none of ours."""
    if not request.bucket:
        if request.method == "GET":
            return listings.list_buckets
        raise _no_such(request)
    table = _OF_OBJECT if request.key else _OF_BUCKET
    names = {name for method, name in table if name}
    special = [name for name in request.query if name in names]
    unknown = [name for name in request.query if name not in names and not _is_detail(name)]
    if unknown or len(special) > 1:
        raise _not_here(f"{request.method} with ?{(unknown or special)[-1][:60]}")
    if request.query.get("versionId", "null") not in ("null", ""):
        raise Refusal("NoSuchVersion", "There are no versions here.", 404)
    if request.method in ("GET", "HEAD") and request.key and "partNumber" in request.query:
        raise _not_here("reading a part by its number")
    operation = table.get((request.method, special[0] if special else ""))
    if operation is None:
        raise _no_such(request)
    return _COPIES[operation] if operation in _COPIES and copies.SOURCE in request.headers else operation


def _is_detail(name: str) -> bool:
    return name in _DETAILS or name.startswith(("X-Amz-", "x-amz-", "response-"))


def _not_here(what: str) -> Refusal:
    return Refusal("NotImplemented", f"These buckets do not know {what}.", 501)


def _no_such(request: Request) -> Refusal:
    return Refusal("MethodNotAllowed", f"{request.method} is not allowed against this resource.", 405)
