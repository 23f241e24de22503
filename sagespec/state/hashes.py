"""Hashes of plain data, with a format number: how wanted and live things are found to be the same.

`resolve` hashes what specs ask for, containers carry the hash as a label, and `reconcile` compares the two. What is
hashed must stay byte for byte what it was: another hash replaces containers.

    <format>-<16 hex digits>
    <format>-<16 hex digits>-<12 of a checksum>    of a variant that serves a job's model: with the model's checksum
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

HASH_FORMAT = 1
UNTRAINED = "untrained"  # in place of the checksum of a model that is not there yet


def hash_of(value: Any) -> str:
    """`<format>-<16 hex digits>` over the canonical JSON of `value`.

    The format number lets a later release hash differently and still compare what an earlier one
    made by the earlier rule, so that an upgrade replaces nobody's containers.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{HASH_FORMAT}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def with_model(hash_text: str, sha256: str) -> str:
    """A variant's hash with its model's checksum, so that a model trained again is another; as it is without one.

    >>> with_model("1-0123456789abcdef", "fedcba9876543210")
    '1-0123456789abcdef-fedcba987654'
    """
    return f"{hash_text}-{sha256[:12]}" if sha256 else hash_text


def model_of(hash_text: str) -> str:
    """The checksum that a hash holds; '' for none, as in what earlier releases made."""
    return _parts(hash_text)[2]


def same_but_for_models(wanted: str, live: str) -> bool:
    """Whether both are of one variant, whichever training their models are of."""
    return _parts(wanted)[:2] == _parts(live)[:2]


def same_hash(wanted: str, live: str) -> bool:
    """Whether `live` matches `wanted`, as far as both tell; a hash in another format counts as the same.

    What a newer or older release made cannot be compared here, and replacing it on a guess would be
    the worse mistake. Where one of them holds no checksum of a model, the rest decides.
    """
    if wanted == live or _parts(wanted)[0] != _parts(live)[0]:
        return True
    models = {model_of(wanted), model_of(live)}
    return same_but_for_models(wanted, live) and "" in models and UNTRAINED not in models


def _parts(hash_text: str) -> tuple[str, str, str]:
    format_number, _, rest = hash_text.partition("-")
    digits, _, model = rest.partition("-")
    return format_number, digits, model
