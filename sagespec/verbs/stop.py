"""Stops a training job early, keeping the model trained so far."""

from __future__ import annotations

STOP_SEEN_EVERY_SECONDS = 0.5
