"""What was repaired since it was no longer as it was applied, and what is so again and again."""

from __future__ import annotations

from datetime import datetime

from sagespec.display import second_text
from sagespec.state.manifest import Record

REPAIRS_FORMAT = 1


class Repaired(Record):
    """One action that repaired drift. seen: what was there instead of what was applied. by: the run."""

    about: str
    action: str
    seen: str
    by: str
    at: datetime


class RepairsRecord(Record):
    """What one pass has repaired."""

    format: int = REPAIRS_FORMAT
    repairs: tuple[Repaired, ...] = ()


class Flap(Record):
    """What is repaired again and again. count: of the last ten minutes. until: it is left alone so long."""

    about: str
    count: int
    until: datetime

    @property
    def text(self) -> str:
        return f"repaired {self.count} times in 10 min, next at {second_text(self.until)}"
