"""Messages to people that do not arrive."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sagespec.state.manifest import Record


class Undelivered(Record):
    """One address that takes no messages. to: the name of the secret that holds it. why: of the last try. waiting: for
    a later one. dropped: given up since."""

    to: str
    since: datetime
    why: str
    waiting: int = 0
    dropped: int = 0

    def as_json(self) -> dict[str, Any]:
        found = self.model_dump(mode="json", include={"to", "why", "waiting", "dropped"})
        return found | {"since": self.since.isoformat()}
