"""Which of what is so is news: one message when it begins and one when it is over, at most one an hour of one thing.

What comes and goes within the hour is counted and said in one message, so that something that flaps floods nobody. What
was said is kept in a file: a loop that is started again does not say it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sagespec.notify.conditions import Condition, Key
from sagespec.spec.notify import Topic

AT_MOST_EVERY = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(days=7)


@dataclass(frozen=True)
class Notice:
    """One message. times: how often it began since the message before. lasted: of one that is over."""

    topic: Topic
    about: str
    text: str
    at: datetime
    fix: str = ""
    times: int = 1
    was: Topic | None = None
    lasted: timedelta | None = None


@dataclass
class _Seen:
    """since: it is so; None when it is not. told_at: when it was said last. is_told: of this time."""

    condition: Condition
    since: datetime | None = None
    told_at: datetime | None = None
    is_told: bool = False
    times: int = 0


@dataclass
class Notices:
    """As one loop has seen it, and the ones before."""

    seen: dict[Key, _Seen] = field(default_factory=dict)

    def see(self, conditions: Mapping[Key, Condition], now: datetime) -> list[Notice]:
        """What to tell, now that this is so and all else is over."""
        found = []
        for key, condition in conditions.items():
            seen = self.seen.setdefault(key, _Seen(condition))
            seen.condition = condition
            if seen.since is None:
                seen.since, seen.times = now, seen.times + 1
            if not seen.is_told and _may_tell(seen, now):
                found.append(self._told(key, seen, now))
        for key, seen in self.seen.items():
            if key not in conditions and seen.since is not None:
                if seen.is_told:
                    text, lasted = f"{seen.condition.text}: that is over", now - seen.since
                    found.append(Notice(Topic.RECOVERED, key.about, text, now, was=key.topic, lasted=lasted))
                seen.since, seen.is_told = None, False
        self._forget(now)
        return found

    def happened(self, key: Key, condition: Condition, now: datetime) -> list[Notice]:
        """What to tell of something that is over as it comes: a repair, a job that has its model."""
        seen = self.seen.setdefault(key, _Seen(condition))
        seen.condition, seen.times = condition, seen.times + 1
        if not _may_tell(seen, now):
            return []
        told = self._told(key, seen, now)
        seen.is_told = False
        return [told]

    def _told(self, key: Key, seen: _Seen, now: datetime) -> Notice:
        times, seen.times, seen.told_at, seen.is_told = max(seen.times, 1), 0, now, True
        return Notice(key.topic, key.about, seen.condition.text, now, seen.condition.fix, times)

    def _forget(self, now: datetime) -> None:
        old = [k for k, s in self.seen.items() if s.since is None and now - (s.told_at or now) > FORGOTTEN_AFTER]
        for key in old:
            del self.seen[key]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                **key._asdict(),
                "text": seen.condition.text,
                "since": seen.since.isoformat() if seen.since else None,
                "told_at": seen.told_at.isoformat() if seen.told_at else None,
                "is_told": seen.is_told,
                "times": seen.times,
            }
            for key, seen in self.seen.items()
        ]

    @classmethod
    def from_json(cls, values: Any) -> Notices:
        """Nothing of what cannot be understood: it is told once more then."""
        try:
            return cls({Key(Topic(v["topic"]), v["about"], v["what"]): _seen(v) for v in values})
        except (KeyError, TypeError, ValueError):
            return cls()


def _seen(value: Mapping[str, Any]) -> _Seen:
    since, told_at = (datetime.fromisoformat(at) if (at := value[name]) else None for name in ("since", "told_at"))
    return _Seen(Condition(str(value["text"])), since, told_at, bool(value["is_told"]), int(value["times"]))


def _may_tell(seen: _Seen, now: datetime) -> bool:
    return seen.told_at is None or now - seen.told_at >= AT_MOST_EVERY
