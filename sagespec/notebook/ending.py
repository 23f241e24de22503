"""Waits for the end of a Jupyter server, and says why it is to end. Imports little: containers run it, too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from sagespec.notebook.jupyter import Jupyter

UNUSED = "unused"
LOOK_SECONDS = 15.0  # at most between two looks at whether it is used


def wait(jupyter: Jupyter, cancelled: threading.Event, failed: Callable[[], Exception | None]) -> str:
    """Until there is a reason to end; the reason, "" where the user has asked. failed: what runs beside it and has
    ended; that is raised."""
    idle = jupyter.lab.idle_seconds
    looks = min(LOOK_SECONDS, idle / 5) if idle else LOOK_SECONDS
    while not cancelled.wait(min(looks, 1.0)):
        if jupyter.process.poll() is not None:
            return _ended(jupyter)
        if error := failed():
            raise error
        since = jupyter.idle_since() if idle else None
        if since is not None and (datetime.now(UTC) - since).total_seconds() >= idle:
            return UNUSED
    return ""


def _ended(jupyter: Jupyter) -> str:
    if jupyter.process.returncode == 0:
        return "shut down from its page"
    raise jupyter.failure(f"Jupyter has ended with exit code {jupyter.process.returncode}")
