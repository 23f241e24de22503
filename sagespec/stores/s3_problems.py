"""What goes wrong with S3, in our words: the server's codes and boto3's exceptions as WorldErrors. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from boto3.exceptions import Boto3Error
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from sagespec.errors import WorldError
from sagespec.stores.protocol import StoreAway

TOO_MANY_REQUESTS = 429
INTERNAL_ERROR, NOT_IMPLEMENTED = 500, 501
NOT_FOUND = 404


class NotS3(Exception):
    """An answer that no S3 server gives: of a proxy, say, or of the page that a network has one sign in on."""


# What boto3's calls may raise.
ERRORS = (aws.ClientError, aws.BotoCoreError, Boto3Error, ResponseParserError, NotS3, KeyError, RecursionError)


def status_of(error: aws.ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (aws configure)"
_REGION = "set AWS_REGION (or region in ~/.aws/config) to the region of the bucket"


def check_listing(page: Mapping[str, object]) -> None:
    """NotS3 for an empty or a foreign page: no bucket is empty because of that."""
    if "Name" not in page:
        raise NotS3("its list of objects does not name the bucket")


# By error code: what is wrong and how to fix it. For a HEAD, the code is the bare status.
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "NoSuchBucket": ("there is no bucket {bucket}", "check its name, or create it: aws s3 mb s3://{bucket}"),
    "InvalidBucketName": ("{bucket!r} is not a valid bucket name", "check the address: s3://bucket/prefix"),
    "NoSuchKey": ("there is no such object", "check the address; it may have been removed by hand"),
    "404": ("there is no such bucket or object", "check the address"),
    "InvalidAccessKeyId": ("the server does not know the access key", _KEYS),
    "SignatureDoesNotMatch": ("the secret key does not belong to the access key", _KEYS),
    "AccessDenied": (
        "access is refused",
        "allow s3:ListBucket on the bucket, s3:GetObject, s3:PutObject and s3:DeleteObject on its objects",
    ),
    "403": ("access is refused", "check the keys and their permissions"),
    "ExpiredToken": ("the credentials have expired", "get new ones, e.g. aws sso login"),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set it, e.g. by NTP"),
    "IllegalLocationConstraintException": ("the bucket is in another region", _REGION),
    "PermanentRedirect": ("the bucket is in another region", _REGION),
    "301": ("the bucket is in another region", _REGION),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", _REGION),
    "SlowDown": ("the server is overloaded", "try again later"),
    "ServiceUnavailable": ("the server is overloaded", "try again later"),
    "XMinioStorageFull": ("the server's disk is full", "free some space there"),
    "BadDigest": ("the data arrived corrupted", "try again; check the network and its proxies"),
}


def world_error(error: Exception, place: str, bucket: str, endpoint: str) -> WorldError:
    """boto3's `error` as one of ours; what the server said is kept as the reason."""
    if isinstance(error, aws.ClientError):
        code = error.response["Error"].get("Code", "")
        fact, fix = _REFUSALS.get(
            code, (f"the server refused with {code or status_of(error)}", "check the server's log")
        )
        if code == "400" and endpoint.startswith("http://"):  # what TLS servers say to it
            fix = "if the server speaks https, write AWS_ENDPOINT_URL with https://; else check its log"
        why = f"{endpoint} says: {error.response['Error'].get('Message') or code}"
        if code.isdigit() and status_of(error) == NOT_FOUND and error.operation_name != "HeadObject":
            return _not_s3("it answered 404 without saying what is missing", place, endpoint)
        kind = StoreAway if _may_pass(status_of(error)) else WorldError
        return kind(f"{place}: {fact.format(bucket=bucket)}", why=why, fix=fix.format(bucket=bucket))
    why = str(error)
    match error:
        case aws.NoCredentialsError() | aws.PartialCredentialsError():
            return WorldError(f"{place}: no AWS credentials were found", why=why, fix=_KEYS)
        case aws.ProfileNotFound():
            return WorldError(f"{place}: {why}", fix="set AWS_PROFILE to a profile in ~/.aws/config, or unset it")
        case aws.SSOError() | aws.CredentialRetrievalError() | aws.TokenRetrievalError():
            return WorldError(f"{place}: the credentials could not be fetched", why=why, fix="e.g. aws sso login")
        case aws.SSLError() if "WRONG_VERSION_NUMBER" in why:
            fix = "write AWS_ENDPOINT_URL (or endpoint_url in ~/.aws/config) with http://"
            return WorldError(f"{place}: {endpoint} speaks http, not https", why=why, fix=fix)
        case aws.SSLError():
            fix = "set AWS_CA_BUNDLE to the certificate authority of that server"
            return WorldError(f"{place}: {endpoint} has an untrusted certificate", why=why, fix=fix)
        case aws.ParamValidationError():
            return WorldError(f"{place}: {why}", fix="check the address: s3://bucket/prefix")
        case aws.ConnectionError() | aws.HTTPClientError():
            fix = "check the network and AWS_ENDPOINT_URL; is the server running?"
            return StoreAway(f"{place}: {endpoint} does not answer", why=why, fix=fix)
        case KeyError():
            return _not_s3(f"its answer lacks {why}", place, endpoint)
        case RecursionError():  # botocore takes every redirect for one to another region
            return _not_s3("it leads elsewhere, again and again", place, endpoint)
        case NotS3() | ResponseParserError():
            return _not_s3(why.partition(":")[0], place, endpoint)
    return WorldError(f"{place}: {why}", fix="check the AWS settings: aws configure list")


def _may_pass(status: int) -> bool:
    return status == TOO_MANY_REQUESTS or (status >= INTERNAL_ERROR and status != NOT_IMPLEMENTED)


def _not_s3(why: str, place: str, endpoint: str) -> StoreAway:
    return StoreAway(
        f"{place}: {endpoint} does not answer as an S3 server does",
        why=why,
        fix="check the network and AWS_ENDPOINT_URL: a proxy or a sign-in page may stand in between",
    )
