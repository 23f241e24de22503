"""Which values of a spec are secret.

Asked where a text about a changed field is made (`reconcile.causes`), so that no plan, event or record ever holds the
value. What a container is given is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

ROTATED = "rotated"  # of a secret by reference: its value is another one

_SECRET_NAME = re.compile(
    r"secret|token(?!i[sz])|passw|passphrase|credential|private|auth|api_?key|access_?key|(^|_)(key|keys|pwd|pat|dsn|sas)(_|$)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"://[^/\s]*:[^/\s]*@")  # a URL with a password in it
_NUMBER_OR_NOTHING = re.compile(r"(-?[0-9.]+(e-?[0-9]+)?)?")


def rotated(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The secrets whose version is another, as far as both are known."""
    return sorted(name for name, version in new.items() if name in old and old[name] != version)


def looks_secret(name: str, *values: str) -> bool:
    """Whether a variable's name, or one of its values, says that the value is secret."""
    return bool(_SECRET_NAME.search(name)) or _has_password(*values)


def is_secret_field(field: str, *values: str) -> bool:
    """Whether the values of a field of a spec must not be shown. field: its path, e.g. environment.API_KEY.

    A whole environment counts as secret. Hyperparameters are judged as variables are, but a number is no secret:
    max_tokens may be shown.
    """
    section, _, name = field.partition(".")
    if section == "environment":
        return not name or looks_secret(name, *values)
    if section == "arguments":  # a list of words, one of which may say that the next is secret
        return looks_secret(" ".join(values), *values)
    if section == "hyperparameters" and not all(_NUMBER_OR_NOTHING.fullmatch(value) for value in values):
        return looks_secret(name, *values)
    return _has_password(*values)


def _has_password(*values: str) -> bool:
    return any(_SECRET_VALUE.search(value) for value in values)
