"""How a command that changed something ends: its summary, its URLs, its exit code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sagespec.cli.given import DONE, FAILED, STOPPED, Invocation

if TYPE_CHECKING:
    from sagespec.converge import Converged


def end_with(given: Invocation, converged: Converged, begun: float, **words: Any) -> int:
    from sagespec.show.ending import write_converged

    write_converged(given.screen, converged, time.monotonic() - begun, **words)
    if converged.cancelled:
        return STOPPED
    return DONE if converged.ok else FAILED
