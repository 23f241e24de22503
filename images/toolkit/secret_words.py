"""A command as it may be shown: the values of options whose names say that they are secret are left out.

A log and the reason of a failure are kept in the store, and read by people who may not know what a job was given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# As in sagespec/state/secrets.py, which no image has; a test holds them to be the same.
SECRET_NAME = re.compile(
    r"secret|token(?!i[sz])|passw|passphrase|credential|private|auth|api_?key|access_?key|(^|_)(key|keys|pwd|pat|dsn|sas)(_|$)",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(r"://[^/\s]*:[^/\s]*@")
_NUMBER_OR_NOTHING = re.compile(r"(-?[0-9.]+(e-?[0-9]+)?)?")
MASK = "***"


def shown(words: Sequence[str]) -> str:
    """The words on one line.

    >>> shown(["python", "train.py", "--api_token", "hunter2", "--max_tokens", "5", "--lr", "0.1"])
    'python train.py --api_token *** --max_tokens 5 --lr 0.1'
    """
    before = ["", *words]
    return " ".join(MASK if _is_secret(option, word) else word for option, word in zip(before, words, strict=False))


def _is_secret(option: str, word: str) -> bool:
    if SECRET_VALUE.search(word):
        return True
    is_named = option.startswith("-") and SECRET_NAME.search(option.lstrip("-"))
    return bool(is_named) and not _NUMBER_OR_NOTHING.fullmatch(word)
