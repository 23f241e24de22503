"""Which names buckets and keys may have, and which keys are paths on a disk. Pure."""

from __future__ import annotations

import hashlib
import re

from sagespec.buckets.refusals import Refusal

FOLDER = "s3"  # of `.sagespec`: each folder in it is a bucket
OURS = ".sagespec-"  # how names of our own files begin; keys with such parts are kept aside
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
MOST_KEY_BYTES = 1024
_MOST_NAME_BYTES = 255


def is_bucket_name(name: str) -> bool:
    """As S3 has it. No such name begins with a dot, so the folders of ours beside the buckets cannot be one."""
    return _BUCKET.fullmatch(name) is not None and ".." not in name


def check_bucket_name(name: str) -> str:
    if not is_bucket_name(name):
        raise Refusal(
            "InvalidBucketName",
            f"{name!r} is no name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens.",
        )
    return name


def check_key(key: str) -> str:
    if not key:
        raise Refusal("InvalidArgument", "A key has at least one character.")
    if len(key.encode(errors="surrogatepass")) > MOST_KEY_BYTES:
        raise Refusal("KeyTooLongError", "A key has at most 1,024 bytes.")
    return key


def is_plain(key: str) -> bool:
    """Whether the key is a path that stays inside its bucket and that a disk can have."""
    return "\0" not in key and all(map(_is_plain_name, key.split("/")))


def _is_plain_name(name: str) -> bool:
    if name in ("", ".", "..") or name.startswith(OURS):
        return False
    return len(name.encode(errors="surrogatepass")) <= _MOST_NAME_BYTES


def is_text(name: str) -> bool:
    """Whether a name found on the disk is UTF-8: no other can be a key."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def hashed(key: str) -> str:
    """The name of what is kept beside a bucket's tree for this key."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
