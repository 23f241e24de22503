"""The one exception an algorithm raises on purpose, and what the errors of native libraries say."""

from __future__ import annotations

import re


class ClientError(Exception):
    """The input or a hyperparameter is wrong, and its owner can fix it.

    Ends training with `ClientError: ...` in output/failure; every other exception ends it with
    `AlgorithmError: ...`.
    """


def without_stack(text: str) -> str:
    r"""What a native library says, without the places in its source and its stack.

    >>> without_stack("[14:33:56] /src/x.cc:8: no such feature\nStack trace:\n  [bt] (0) lib.so")
    'no such feature'
    """
    said = re.split(r"\n?Stack trace:|\n\s*\[bt\]", text)[0]
    return re.sub(r"\[\d+:\d+:\d+\] (?:WARNING: )?\S+:\d+: ", "", said)
