"""The last look at the project, which all pages share."""

from __future__ import annotations

from sagespec.dashboard.background import Background, Look
from sagespec.dashboard.happenings import Happenings
from sagespec.verbs.states import Status
from sagespec.web.snapshots import Snapshots

EVERY_SECONDS = 1.0


class Latest:
    def __init__(self, snapshots: Snapshots, happenings: Happenings) -> None:
        self._snapshots = snapshots
        self._looks = Background(
            lambda: snapshots.status(EVERY_SECONDS), every_seconds=EVERY_SECONDS, news=lambda: happenings.count
        )

    def seen(self) -> Look[Status]:
        return self._looks.last()

    def forget(self) -> None:
        """Something was changed: the next page waits for a look."""
        self._snapshots.forget()
        self._looks.forget()
