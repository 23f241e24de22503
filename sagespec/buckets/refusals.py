"""What a bucket refuses, in S3's own codes and statuses, so that both who asks over HTTP and who asks here can tell.

Raised by the files beside this one; `s3` answers with them, `stores.bucket` says them in our words.
"""

from __future__ import annotations


class Refusal(Exception):
    """code: of S3, which clients compare. message: for people. status: of HTTP."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


def no_such_bucket(bucket: str) -> Refusal:
    text = (
        f"There is no bucket {bucket} in this project, and AWS's own are not reached: make it (aws s3 mb s3://{bucket})"
    )
    return Refusal("NoSuchBucket", f"{text} and put the data there, or name another.", 404)


def no_such_key(key: str) -> Refusal:
    return Refusal("NoSuchKey", f"There is no object {key}.", 404)


def no_such_upload(upload_id: str) -> Refusal:
    return Refusal("NoSuchUpload", f"There is no upload {upload_id}: it was completed or aborted.", 404)


def failed_condition(what: str) -> Refusal:
    return Refusal("PreconditionFailed", f"At least one of the preconditions did not hold: {what}.", 412)


def disk_full(what: str) -> Refusal:
    """507, which no client tries again: that would fill the disk further."""
    return Refusal("InsufficientStorage", f"The disk of the bucket has no room: {what}. Free some and try again.", 507)
