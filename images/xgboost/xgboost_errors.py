"""What XGBoost says of an error or as a warning, without the places in its own source and the stack."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from toolkit.errors import ClientError, without_stack
from toolkit.lean_xgboost import xgboost

LONGEST = 400
OF_THE_HOSTS = "/collective/"  # in the place of an error: a host is gone, which `Hosts` reports


@contextmanager
def plain_errors() -> Iterator[None]:
    """Inside, an XGBoostError becomes a ClientError of one sentence; a RuntimeError where XGBoost gives no reason."""
    before = warnings.showwarning
    warnings.showwarning = _print_plainly  # type: ignore[assignment]
    try:
        yield
    except xgboost.core.XGBoostError as error:
        if OF_THE_HOSTS in str(error):
            raise
        if sentence := sentence_of(str(error)):
            raise ClientError(f"XGBoost: {sentence}") from None
        raise RuntimeError(f"XGBoost gives no reason: {str(error).partition(chr(10))[0]}") from None
    finally:
        warnings.showwarning = before


def sentence_of(text: str) -> str:
    """XGBoost's own words in an error; empty if a check of its own failed without any.

    >>> sentence_of("[14:33:56] /workspace/src/x.cc:8: Check failed: a > 0 (0 vs. 0) : exact has a limit\nStack trace:")
    'exact has a limit'
    """
    said = re.sub(r"Check failed: .*?:(?=\s|$)", "", without_stack(text), flags=re.DOTALL)
    words = " ".join(said.split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def _print_plainly(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    sentence = (
        sentence_of(str(message)) if "xgboost" in filename else f"{filename}:{lineno}: {category.__name__}: {message}"
    )
    print(f"warning: {sentence}", file=sys.stderr, flush=True)
