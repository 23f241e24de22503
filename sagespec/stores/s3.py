"""A store in an S3 bucket, AWS's or a compatible one (MinIO, Ceph, R2, rclone), through boto3.

Opened by `open_store` with the usual AWS settings: profile, keys, region, AWS_ENDPOINT_URL(_S3).
Large files are uploaded and downloaded in parallel parts. The SHA-256 of a whole file is computed while it is
read; each request's signature covers the SHA-256 of its body, so the client sends no extra checksum headers,
which many compatible servers reject.

Conditional writes use If-None-Match and If-Match, as on AWS. Some servers (rclone among them) accept these
headers but ignore them. The first conditional write to an endpoint other than AWS is therefore repeated, and a
server that does not refuse the repeat is not trusted: there the store checks before it writes and again a
moment later. That is best effort: two writers at the same moment may both believe that they won. Run one apply
at a time on such servers. (With rclone, reading an object also fails while it is being replaced.)

An input (create=False) is one object, or all objects below a prefix, treated as a folder: `s3://b/train`
means s3://b/train/…, never s3://b/train-old/…, which a plain prefix match would include.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypedDict

import boto3
import botocore.loaders
import botocore.session
from boto3.s3.transfer import TransferConfig
from botocore import exceptions as aws
from botocore.config import Config

from sagespec.errors import WorldError, disk_problems
from sagespec.stores.keys import (
    changed,
    check_key,
    check_sha256,
    input_only,
    input_place,
    missing,
    replacing,
    sha256_of,
)
from sagespec.stores.protocol import Conflict, CountBytes, Entry, Stored, UnfitKey
from sagespec.stores.s3_problems import ERRORS, check_listing, status_of, world_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_READERS = 16
_PART_BYTES = 8 << 20
_MOST_PARTS = 9_000  # S3 takes 10,000
_MOST_KEY_BYTES = 1024
_SETTLE_SECONDS = 0.3

_LARGE_SECONDS = 60.0  # a server may need this long to complete a large upload
_SMALL_SECONDS = 10.0  # and no longer to read, write or list records: status and plan wait for that


class _Where(TypedDict):
    Bucket: str
    Key: str


class _NotImplementedThere(Exception):
    """The server does not support conditional writes, and says so."""


class S3Store:
    def __init__(self, bucket: str, prefix: str, *, create: bool = True) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self.uri = f"s3://{bucket}/{self._prefix}".rstrip("/")
        self._create = create
        self._single = ""  # base name of the one object, if this was opened on one
        self._begins = ""  # what all names begin with, if this was opened on a prefix that ends inside them
        self._endpoint = "AWS"
        with self._problems():
            self._client = _new_client(_SMALL_SECONDS)
        self._endpoint = self._client.meta.endpoint_url
        on_aws = ".amazonaws.com" in self._endpoint
        # Whether the server honours a condition, by the condition's name; missing while unknown.
        self._honoured: dict[str, bool] = {"IfNoneMatch": True, "IfMatch": True} if on_aws else {}
        if not create:
            self._open_input(prefix)

    def _open_input(self, prefix: str) -> None:
        """Find out whether the address is an object, a folder or the beginning of names, and check that it exists."""
        place = input_place(self.uri, prefix, self._first_key, self._has_objects)
        self._prefix, self._single, self._begins = place.prefix, place.single, place.begins
        if place.begins:
            self.uri = f"s3://{self._bucket}/{place.prefix}".rstrip("/")

    def _has_objects(self, prefix: str) -> bool:
        with self._problems():
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
            check_listing(page)
        return bool(page.get("Contents"))

    def _first_key(self, prefix: str) -> str | None:
        with self._problems():
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)
            check_listing(page)
        return next((found["Key"] for found in page.get("Contents", ())), None)

    @cached_property
    def _client_for_large(self) -> S3Client:
        return _new_client(_LARGE_SECONDS)

    # -- reading

    def read(self, key: str) -> tuple[bytes, str] | None:
        where = self._where(key)
        with self._problems(key):
            try:
                found = self._client.get_object(**where)
                return found["Body"].read(), found["ETag"].strip('"')
            except self._client.exceptions.NoSuchKey:
                return None

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        wanted = list(keys)
        with ThreadPoolExecutor(min(_READERS, len(wanted)) or 1, "sagespec-s3") as pool:
            found = zip(wanted, pool.map(self.read, wanted), strict=True)
            return {key: content[0] for key, content in found if content is not None}

    def download(self, key: str, file: Path, *, sha256: str | None = None, progress: CountBytes | None = None) -> None:
        where = self._where(key)
        with replacing(file) as temporary:
            with self._problems(key):
                try:
                    self._client_for_large.download_file(**where, Filename=str(temporary), Callback=progress)
                except aws.ClientError as error:
                    # A HEAD response has no body; listing tells a wrong key from a wrong bucket.
                    if status_of(error) in (301, 400, 403, 404):
                        self._first_key(where["Key"])
                    if status_of(error) == 404:
                        raise missing(key, self.uri) from error
                    raise
            if sha256 is not None:
                check_sha256(sha256_of(temporary), sha256, key=key, uri=self.uri)

    def read_part(self, key: str, start: int, size: int, *, if_match: str) -> bytes:
        where = self._where(key)
        with self._problems(key):
            try:
                found = self._client_for_large.get_object(
                    **where, Range=f"bytes={start}-{start + size - 1}", IfMatch=f'"{if_match}"'
                )
                with closing(found["Body"]) as body:
                    if found["ETag"].strip('"') != if_match:  # some servers accept the condition and ignore it
                        raise changed(key, self.uri)
                    part = body.read()
            except aws.ClientError as error:
                if status_of(error) in (404, 412, 416):
                    raise changed(key, self.uri) from error
                raise
        if len(part) != size:
            raise WorldError(
                f"{self.uri}/{key}: {self._endpoint} sent {len(part)} bytes where {size} were requested",
                why="it does not support reading parts of objects (HTTP Range), or a proxy in between does not",
                fix="use another server, or bypass the proxy",
            )
        return part

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        found: list[Entry] = []
        with self._problems():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + (self._single or self._begins or prefix)
            )
            for page in pages:
                check_listing(page)
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._prefix)
                    if key and not key.endswith("/"):  # what consoles create as a folder
                        modified_at = item["LastModified"].timestamp() if "LastModified" in item else 0.0
                        found.append(Entry(key, item["Size"], item["ETag"].strip('"'), modified_at))
        if self._single:
            found = [entry for entry in found if entry.key == self._single]
        if self._single or self._begins:
            found = [entry for entry in found if entry.key.startswith(prefix)]
        for entry in found:
            check_key(entry.key, self.uri)
        return tuple(sorted(found))

    # -- writing

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        condition = {"IfNoneMatch": "*"} if if_absent else {} if if_match is None else {"IfMatch": f'"{if_match}"'}
        if not condition:
            return self._put(key, data, {})
        name = next(iter(condition))
        honoured = self._honoured.get(name)
        if not honoured:
            self._look_first(key, if_match)
        try:
            etag = self._put(key, data, condition)
        except _NotImplementedThere:
            honoured = self._honoured[name] = False
            etag = self._put(key, data, {})
        if honoured is None and etag != if_match:  # repeating the same content would rightly succeed
            etag, honoured = self._try_again(key, data, condition, etag)
            self._honoured[name] = honoured
        if not honoured:
            self._look_again(key, etag)
        return etag

    def upload(self, key: str, file: Path, progress: CountBytes | None = None) -> Stored:
        where = self._where_to_write(key)
        with disk_problems(f"cannot read {file}"), file.open("rb") as source:
            part_bytes = max(_PART_BYTES, -(-file.stat().st_size // _MOST_PARTS))
            hashed = _Hashed(source)
            with self._problems(key):
                if file.stat().st_size > part_bytes:
                    self._abort_unfinished(where["Key"])
                self._client_for_large.upload_fileobj(
                    hashed,  # type: ignore[arg-type]  # boto3 needs no more of it than `read`
                    **where,
                    Config=TransferConfig(multipart_threshold=part_bytes, multipart_chunksize=part_bytes),
                    Callback=progress,
                )
                stored_bytes = self._client.head_object(**where)["ContentLength"]
        if stored_bytes != hashed.size:
            raise WorldError(
                f"{self.uri}/{key} has {stored_bytes} bytes after an upload of {hashed.size}",
                fix="check the server's log; someone else may be writing there",
            )
        return Stored(hashed.size, hashed.sha256)

    def delete(self, key: str) -> None:
        where = self._where_to_write(key)
        with self._problems(key):
            self._client.delete_object(**where)

    # -- conditional writes

    def _put(self, key: str, data: bytes, condition: dict[str, str]) -> str:
        where = self._where_to_write(key)
        with self._problems(key):
            try:
                return self._client.put_object(**where, Body=data, **condition)["ETag"].strip('"')  # type: ignore[arg-type]
            except aws.ClientError as error:
                code = error.response["Error"].get("Code", "")
                # 404: If-Match on an object that is gone. 409: another conditional write at the same moment.
                if condition and (status_of(error) in (409, 412) or code == "NoSuchKey"):
                    raise _lost(key, self.uri, "IfNoneMatch" in condition) from error
                if condition and status_of(error) == 501:
                    raise _NotImplementedThere from error
                raise

    def _look_first(self, key: str, if_match: str | None) -> None:
        present = self.read(key)
        if (present[1] if present else None) != if_match:
            raise _lost(key, self.uri, if_match is None)

    def _try_again(self, key: str, data: bytes, condition: dict[str, str], etag: str) -> tuple[str, bool]:
        """Repeat the write under a condition that no longer holds: the ETag, and whether it was refused."""
        try:
            return self._put(key, data, condition), False
        except Conflict:
            return etag, True

    def _look_again(self, key: str, etag: str) -> None:
        time.sleep(_SETTLE_SECONDS)
        present = self.read(key)
        if present is None or present[1] != etag:
            raise _lost(key, self.uri, False)

    # -- places

    def _where(self, key: str) -> _Where:
        check_key(key, self.uri)
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _where_to_write(self, key: str) -> _Where:
        if not self._create:
            raise input_only(self.uri)
        where = self._where(key)
        if len(where["Key"].encode()) > _MOST_KEY_BYTES:
            raise UnfitKey(f"{key!r} in {self.uri} is too long", why="S3 has no keys above 1,024 bytes")
        return where

    def _abort_unfinished(self, full_key: str) -> None:
        """Drop parts left by an upload of this object whose process was killed: they cost money, unseen."""
        with suppress(aws.ClientError):  # listing them is not allowed, or not supported by the server
            found = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=full_key)
            for unfinished in found.get("Uploads", ()):
                if unfinished["Key"] == full_key:
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=full_key, UploadId=unfinished["UploadId"]
                    )

    @contextmanager
    def _problems(self, key: str = "") -> Iterator[None]:
        try:
            yield
        except ERRORS as error:
            place = f"{self.uri}/{key}" if key else self.uri
            raise world_error(error, place, self._bucket, self._endpoint) from error


class _Hashed:
    """A file for boto3 to read, part by part and in order; has the size and SHA-256 of what was read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._digest.update(data)
        self.size += len(data)
        return data

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


# -- the client ------------------------------------------------------------------------------------


def _new_client(read_seconds: float) -> S3Client:
    """read_seconds: without a byte from the server, after which a request is made once more."""
    # An unreachable endpoint costs attempts x connect timeout plus the pauses between: about ten seconds.
    config = Config(
        connect_timeout=3,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=2 * _READERS,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = botocore.session.get_session()
    session.register_component("data_loader", _loader())
    # As every other SDK of AWS has it: boto3 alone does not know AWS_REGION. Compatible servers rarely care about the
    # region, but a signature needs one.
    region_name = os.environ.get("AWS_REGION") or session.get_config_variable("region") or "us-east-1"
    session.set_config_variable("region", region_name)  # for whatever gets the keys, too
    try:
        return boto3.session.Session(botocore_session=session).client("s3", config=config)
    except ValueError as error:  # "Invalid endpoint: …"
        raise WorldError(
            str(error), fix="write AWS_ENDPOINT_URL (or endpoint_url in ~/.aws/config) as http://host:port"
        ) from error


@cache
def _loader() -> botocore.loaders.Loader:
    """Reads AWS's service descriptions only once: they take 50 of a client's 60 ms, and a job opens several clients."""
    return botocore.loaders.create_loader()


# -- what went wrong -------------------------------------------------------------------------------


def _lost(key: str, uri: str, if_absent: bool) -> Conflict:
    fact = "already exists" if if_absent else "was changed or removed by someone else"
    return Conflict(f"{uri}/{key} {fact}")
