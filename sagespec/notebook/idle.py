"""Since when nobody has used a Jupyter server, from what its API says. Pure.

A kernel that computes, a page that is open, a key typed into a terminal are use. A training job is none: it lives
outside, and is not ended with the notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

Answer = Mapping[str, Any]


def idle_since(status: Answer, kernels: Sequence[Answer], terminals: Sequence[Answer]) -> datetime | None:
    """The moment of the last use; None while there is some. Each is as /api/status, /api/kernels and /api/terminals
    answer."""
    if any(kernel["execution_state"] == "busy" or kernel["connections"] for kernel in kernels):
        return None
    return max(_time(answer["last_activity"]) for answer in (status, *kernels, *terminals))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
