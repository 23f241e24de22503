"""Applies on every change of a spec, every engine event and a timer."""

from __future__ import annotations

LOCK_WAIT_OF_WATCH_SECONDS = 600.0  # somebody applies by hand: their turn first
