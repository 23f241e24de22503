"""Filter patterns of CloudWatch Logs, as far as words go: all of them, or with `?` any, and none of those with `-`."""

from __future__ import annotations

import re
from collections.abc import Callable

from sagespec.api.errors import ApiError

_WORD = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a message matches. ApiError for patterns over fields or expressions.

    >>> matches = matcher('?ERROR ?Traceback -"not an ERROR"')
    >>> matches("ERROR 1"), matches("fine"), matches("not an ERROR")
    (True, False, False)
    """
    text = pattern.strip()
    if text[:1] in ("{", "[", "%"):
        raise ApiError(
            "InvalidParameterException", "Invalid filter pattern: sagespec has words here, no fields or expressions"
        )
    words = [(sign, _unquoted(quoted) if quoted is not None else word) for sign, quoted, word in _found(text)]
    all_of, any_of, none_of = ([word for sign, word in words if sign == kind] for kind in ("", "?", "-"))

    def matches(message: str) -> bool:
        if any(word in message for word in none_of) or not all(word in message for word in all_of):
            return False
        return not any_of or bool(all_of) or any(word in message for word in any_of)

    return matches


def _found(text: str) -> list[tuple[str, str | None, str]]:
    return [(found[1], found[2], found[3] or "") for found in _WORD.finditer(text)]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
