"""When a look at the project was: a request that changes a spec meanwhile must not be answered out of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sagespec.api.serve import look
from sagespec.project import Project
from sagespec.verbs.states import Status


class Noted(Project):
    """Knows when it was asked."""

    asked_at = datetime.max.replace(tzinfo=UTC)

    def status(self) -> Status:
        self.asked_at = datetime.now(UTC)
        return super().status()


def test_a_look_is_of_when_it_began(root: Path) -> None:
    """The specs are read first, and the engine may take seconds: an endpoint updated meanwhile would be told to be in
    service, with what it served before."""
    with Noted(root, runtime="process") as project:
        assert look(project).at <= project.asked_at
