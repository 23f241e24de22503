"""Hashes of plain data, with a format number: how wanted and live things are found to be the same.

`resolve` hashes what specs ask for, containers carry the hash as a label, and `reconcile` compares the two. What is
hashed must stay byte for byte what it was: another hash replaces containers.

    <format>-<16 hex digits>
    <format>-<16 hex digits>-<12 of a checksum>    of a variant that serves a job's model: with the model's checksum
    <format>-<16 hex digits>-<12 or none>-<8>      of one that uses secrets: with a hash of their versions
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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


def with_model(hash_text: str, sha256: str, secrets: Mapping[str, str] | None = None) -> str:
    """A variant's hash with its model's checksum, so that a model trained again is another, and a hash of the versions
    of its secrets, so that a rotated one is; as it is without either.

    >>> with_model("1-0123456789abcdef", "fedcba9876543210")
    '1-0123456789abcdef-fedcba987654'
    """
    model, versions = sha256[:12], hash_of(secrets).partition("-")[2][:8] if secrets else ""
    return "-".join([hash_text, *([model] if model or versions else []), *([versions] if versions else [])])


def model_of(hash_text: str) -> str:
    """The checksum that a hash holds; '' for none, as in what earlier releases made."""
    return _parts(hash_text)[2]


def secrets_of(hash_text: str) -> str:
    """What a hash holds of the versions of secrets; '' for nothing: there are none, or they could not be asked."""
    return _parts(hash_text)[3]


def without_secrets(hash_text: str) -> str:
    return "-".join(part for part in _parts(hash_text)[:3] if part)


def same_but_for_models(wanted: str, live: str) -> bool:
    """Whether both are of one variant, whichever training their models are of, and whichever version its secrets."""
    return _parts(wanted)[:2] == _parts(live)[:2]


def same_hash(wanted: str, live: str) -> bool:
    """Whether `live` matches `wanted`, as far as both tell; a hash in another format counts as the same.

    What a newer or older release made cannot be compared here, and replacing it on a guess would be
    the worse mistake. Where one of them holds no checksum of a model, or no versions of secrets, the rest decides.
    """
    if wanted == live or _parts(wanted)[0] != _parts(live)[0]:
        return True
    return same_but_for_models(wanted, live) and _same_model(wanted, live) and _same_secrets(wanted, live)


def _same_model(wanted: str, live: str) -> bool:
    models = {model_of(wanted), model_of(live)}
    return len(models) == 1 or ("" in models and UNTRAINED not in models)


def _same_secrets(wanted: str, live: str) -> bool:
    versions = {secrets_of(wanted), secrets_of(live)}
    return len(versions) == 1 or "" in versions


def _parts(hash_text: str) -> tuple[str, str, str, str]:
    format_number, digits, model, secrets, *_ = [*hash_text.split("-"), "", "", ""]
    return format_number, digits, model, secrets
