"""Repeats what an engine or a store refuses for a moment."""

from __future__ import annotations

from typing import TypeVar

PATIENCE_SECONDS = 60.0  # with an engine or a store that is away for a moment


FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 15.0


T = TypeVar("T")
