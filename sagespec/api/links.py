"""Links to objects as boto3 signs them where nothing else is asked for: AWS's Signature Version 2, in the query."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from botocore.auth import HmacV1QueryAuth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from sagespec.api.call import Call
from sagespec.api.key import Key


@dataclass(frozen=True)
class Link:
    """expires: seconds since 1970, as it was sent."""

    access: str
    signature: str
    expires: str


def link_of(call: Call) -> Link | None:
    """What the query says of such a signature; None where it has none that can be read."""
    given = call.parameters
    access, signature, expires = (given.get(name, "") for name in ("AWSAccessKeyId", "Signature", "Expires"))
    is_whole = bool(access and signature) and re.fullmatch(r"[0-9]{1,12}", expires) is not None
    return Link(access, signature, expires) if is_whole else None


def has_expired(link: Link, now: datetime) -> bool:
    return int(link.expires) < now.timestamp()


def is_ours(link: Link, call: Call, key: Key) -> bool:
    """Whether our key signed it, for this request."""
    headers = HTTPHeaders()
    for name, value in call.headers.items():
        headers[name] = value
    signer = _Signer(Credentials(key.access, key.secret), link.expires)
    url = urlsplit(f"http://sagespec{call.target}")
    expected = signer.get_signature(call.method, url, headers)  # type: ignore[arg-type]  # it needs get_all, too
    return hmac.compare_digest(expected.encode(), link.signature.encode())


class _Signer(HmacV1QueryAuth):
    """expires: the moment itself, not how long until then."""

    def __init__(self, credentials: Credentials, expires: str) -> None:
        super().__init__(credentials)
        self._at = expires

    def _get_date(self) -> str:
        return self._at
