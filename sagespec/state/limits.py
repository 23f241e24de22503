"""How many requests an instance is asked at once, and how many wait for it."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    concurrency: int
    queue: int
