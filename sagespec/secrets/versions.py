"""What tells two values of one secret apart, and tells nothing of the value.

A plain hash would: whoever sees one reads a short secret off it. So it is scrypt's, with a salt that the project keeps
in its store and shows nowhere. Where a secret is kept under versions of its own, those are hashed.
"""

from __future__ import annotations

import hashlib
from functools import cache

_COST = {"n": 2**15, "r": 8, "p": 1, "maxmem": 64 * 2**20}  # 50 ms, and 32 MiB
VERSION_BYTES = 8


@cache
def version_of_text(text: str, salt: bytes) -> str:
    secret = text.encode(errors="surrogateescape")
    return hashlib.scrypt(secret, salt=salt, dklen=VERSION_BYTES, **_COST).hex()


def version_of_place(place: str, version: str) -> str:
    """Of a secret that its keeper gives versions: two places that both are at version 3 hold two secrets.

    >>> version_of_place("ssm:/acme/api", "3") != version_of_place("ssm:/acme/db", "3")
    True
    """
    return hashlib.sha256(f"{place}\0{version}".encode()).hexdigest()[: 2 * VERSION_BYTES]
