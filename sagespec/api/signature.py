"""AWS's Signature Version 4: who signed a request, for which service, and whether with our key.

The canonical request is built by botocore's own signer from what was sent, so that both sides agree on it. The host
alone may be another: AWS's own name of the service in that region, which a client has signed for that was led here
afterwards. Whoever holds the key could sign for either.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import sha256

from botocore.auth import BaseSigner, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from sagespec.api.call import Call
from sagespec.api.hosts import own_hosts
from sagespec.api.key import Key
from sagespec.api.links import Link, has_expired, is_ours, link_of

SKEW = timedelta(minutes=15)
LONGEST_EXPIRY = timedelta(days=7)
UNSIGNED = "UNSIGNED-PAYLOAD"
_PAYLOAD = "x-amz-content-sha256"  # of what is signed in any case
_TIME = "%Y%m%dT%H%M%SZ"
_HEADER = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<scope>[^,\s]+)\s*,\s*SignedHeaders=(?P<headers>[^,\s]+)\s*,"
    r"\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_SCOPE = re.compile(
    r"(?P<access>[^/]+)/(?P<day>\d{8})/(?P<region>[A-Za-z0-9-]+)/(?P<service>[A-Za-z0-9.-]+)/aws4_request"
)


class Flaw(Enum):
    """Why a signature is refused, and what to do about it."""

    MISSING = "the request is not signed"
    MALFORMED = "the signature is no Signature Version 4 of AWS"
    UNKNOWN_KEY = "the access key is not this project's"
    SKEWED = "the request was signed at another time: more than 15 minutes lie between your clock and this machine's"
    EXPIRED = "the link has expired"
    WRONG = "the signature is not the one that the request would have with this project's key"
    UNSIGNED_HEADER = "a header that begins with x-amz- is not signed"
    ANOTHER_BODY = "the body is not the one that was signed"


@dataclass(frozen=True)
class Signature:
    """As it was sent. at: when it was made. expires: of a presigned link, after so long."""

    access: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    at: str
    expires: timedelta | None = None

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def signature_of(call: Call) -> Signature | Link | Flaw:
    """What the request says of its signature, in its header or, presigned, in its query."""
    header = call.headers.get("authorization")
    if header is not None:
        if not (found := _HEADER.fullmatch(header.strip())):
            return Flaw.MALFORMED
        at = call.headers.get("x-amz-date", "")
        return _signature(found["scope"], found["headers"], found["signature"], at)
    given = call.parameters
    if given.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256":
        is_signed = "X-Amz-Signature" in given or "Signature" in given
        return link_of(call) or (Flaw.MALFORMED if is_signed else Flaw.MISSING)
    seconds = given.get("X-Amz-Expires", "")
    if not re.fullmatch(r"[0-9]{1,6}", seconds) or timedelta(seconds=int(seconds)) > LONGEST_EXPIRY:
        return Flaw.MALFORMED
    names = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date")
    scope, headers, signature, at = (given.get(name, "") for name in names)
    return _signature(scope, headers, signature, at, timedelta(seconds=int(seconds)))


def _signature(scope: str, headers: str, signature: str, at: str, expires: timedelta | None = None) -> Signature | Flaw:
    found = _SCOPE.fullmatch(scope)
    if not found or _time(at) is None or at[:8] != found["day"]:
        return Flaw.MALFORMED
    names = tuple(headers.lower().split(";"))
    return Signature(
        found["access"], found["day"], found["region"], found["service"], names, signature, at, expires=expires
    )


def flaw_of(signature: Signature | Link, call: Call, key: Key, *, now: datetime) -> Flaw | None:
    """What is wrong with a signature; None if it was made with our key, for this request, and lately.

    The body is not looked at: whoever reads it holds it against `payload_hash`.
    """
    if isinstance(signature, Link):
        return _flaw_of_link(signature, call, key, now=now)
    if not hmac.compare_digest(signature.access.encode(), key.access.encode()):
        return Flaw.UNKNOWN_KEY
    at = _time(signature.at)
    assert at is not None
    if at - now > SKEW or (signature.expires is None and now - at > SKEW):
        return Flaw.SKEWED
    if signature.expires is not None and now - at > signature.expires:
        return Flaw.EXPIRED
    if "host" not in signature.signed_headers or not set(signature.signed_headers) <= call.headers.keys():
        return Flaw.WRONG
    if any(name.startswith("x-amz-") for name in call.headers.keys() - {*signature.signed_headers, _PAYLOAD}):
        return Flaw.UNSIGNED_HEADER  # whoever has a link to write one object would copy another into it
    is_right = _is_over(call, key, signature, call.headers["host"]) or any(
        _is_over(call, key, signature, host) for host in own_hosts(signature.service, signature.region)
    )
    return None if is_right else Flaw.WRONG


def _flaw_of_link(link: Link, call: Call, key: Key, *, now: datetime) -> Flaw | None:
    if not hmac.compare_digest(link.access.encode(), key.access.encode()):
        return Flaw.UNKNOWN_KEY
    if has_expired(link, now):
        return Flaw.EXPIRED
    return None if is_ours(link, call, key) else Flaw.WRONG


def payload_hash(signature: Signature, call: Call) -> str:
    """What the signature says of the body: its SHA-256 as hex, or a word of AWS's for a body that is not signed or is
    signed in chunks. Reads the body of a request that does not say."""
    if declared := call.headers.get(_PAYLOAD):
        return declared
    if signature.service == "s3" and signature.expires is not None:
        return UNSIGNED
    return sha256(call.body).hexdigest()


def _is_over(call: Call, key: Key, sent: Signature, host: str) -> bool:
    """Whether it was signed with our key for this host."""
    return hmac.compare_digest(_signature_over(call, key, sent, host).encode(), sent.signature.encode())


def _signature_over(call: Call, key: Key, sent: Signature, host: str) -> str:
    """The signature that a request to `host` would have, made with our key and otherwise as it was sent."""
    kind = _S3Signer if sent.service == "s3" else _Signer
    signer = kind(Credentials(key.access, key.secret), sent.service, sent.region)
    query = call.query
    if sent.expires is not None:
        query = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
    headers = {name: call.headers[name] for name in sent.signed_headers} | {"host": host}
    request = AWSRequest(call.method, f"http://sagespec{call.path}?{query}", headers)
    request.context.update(timestamp=sent.at, payload=payload_hash(sent, call))
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


class _AsSent(BaseSigner):
    """Signs the headers that were signed and no others, and a body that is known by its hash."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["payload"])


class _Signer(_AsSent, SigV4Auth):
    pass


class _S3Signer(_AsSent, S3SigV4Auth):
    pass


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
