"""How a command that changed something ends: its summary, its URLs, its exit code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sagespec.cli.given import (
    DONE,
    FAILED,
    STOPPED,
    Shared,
)

if TYPE_CHECKING:
    from sagespec.converge import Converged
    from sagespec.project import Project


def endpoint_urls(project: Project) -> dict[str, str]:
    """Where the endpoints of the specs answer."""
    names = sorted(item.address.name for item in project.load().specs if item.address.kind == "endpoint")
    return {name: endpoint_url(project, name) for name in names}


def endpoint_url(project: Project, endpoint_name: str) -> str:
    return f"{project.gateway_url}/endpoints/{endpoint_name}/invocations"


def end_with(given: Shared, converged: Converged, begun: float, **words: Any) -> int:
    from sagespec.show import write_converged

    write_converged(given.screen, converged, time.monotonic() - begun, **words)
    if converged.cancelled:
        return STOPPED
    return DONE if converged.ok else FAILED
