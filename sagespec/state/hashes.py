"""Hashes of plain data, with a format number: how wanted and live things are found to be the same.

`resolve` hashes what specs ask for, containers carry the hash as a label, and `reconcile` compares the two. What is
hashed must stay byte for byte what it was: another hash replaces containers.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

HASH_FORMAT = 1


def hash_of(value: Any) -> str:
    """`<format>-<16 hex digits>` over the canonical JSON of `value`.

    The format number lets a later release hash differently and still compare what an earlier one
    made by the earlier rule, so that an upgrade replaces nobody's containers.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{HASH_FORMAT}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def same_hash(wanted: str, live: str) -> bool:
    """Whether `live` matches `wanted`; a hash in another format counts as the same.

    What a newer or older release made cannot be compared here, and replacing it on a guess would be
    the worse mistake.
    """
    return wanted == live or wanted.partition("-")[0] != live.partition("-")[0]
