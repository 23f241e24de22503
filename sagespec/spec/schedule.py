"""A schedule as cron writes it: minute, hour, day of the month, month, day of the week; in UTC.

Understood are numbers, `*`, lists, ranges, steps, and the names of months and days. Where both days are restricted,
either counts, as in cron (IEEE Std 1003.1, crontab). Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sagespec.spec.values import quoted, wrong

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (  # name, least, most, names of the values from the least on
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_PART = re.compile(r"(\*|[0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?(?:/([0-9]{1,2}))?")
_LONGEST_GAP = timedelta(days=8 * 366)  # between two 29ths of February, with 2100 in between


@dataclass(frozen=True)
class Schedule:
    """The values at which it is due."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either_day: bool

    def _has_day(self, day: datetime) -> bool:
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (by_month or by_week if self.either_day else by_month and by_week)

    def last(self, now: datetime) -> datetime | None:
        """The last moment at which it was due, `now` included; None if it never is, as on 30 February."""
        now = now.astimezone(UTC).replace(second=0, microsecond=0)
        day = now
        while now - day < _LONGEST_GAP:
            if self._has_day(day):
                for hour in sorted((h for h in self.hours if h <= day.hour), reverse=True):
                    latest = day.minute if hour == day.hour else 59
                    if minutes := [minute for minute in self.minutes if minute <= latest]:
                        return day.replace(hour=hour, minute=max(minutes))
            day = (day - timedelta(days=1)).replace(hour=23, minute=59)
        return None


def parse_schedule(text: str) -> Schedule:
    """What a schedule says.

    >>> parse_schedule("0 3 * * MON").last(datetime(2026, 12, 1, 12, tzinfo=UTC)).isoformat()
    '2026-11-30T03:00:00+00:00'
    """
    words = text.split()
    if len(words) != len(_FIELDS):
        fix = 'write minute, hour, day of the month, month, day of the week: "0 3 * * 1" is Mondays at 3:00 UTC'
        raise wrong(f"{quoted(text)} is no schedule: it has {len(words)} fields, not 5", fix)
    minutes, hours, days, months, weekdays = (
        _values(word, name, least, most, names=names)
        for word, (name, least, most, names) in zip(words, _FIELDS, strict=True)
    )
    either = not words[2].startswith("*") and not words[4].startswith("*")
    return Schedule(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)


def _values(word: str, name: str, least: int, most: int, *, names: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if not match or (match[1] == "*" and match[2]):
            raise _wrong(name, part, least, most)
        step = int(match[3] or 1)
        if match[1] == "*":
            first, last = least, most
        else:
            first = _value(match[1], names, least)
            last = _value(match[2], names, least) if match[2] else most if match[3] else first
        if step < 1 or not least <= first <= last <= most:
            raise _wrong(name, part, least, most)
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _value(text: str, names: tuple[str, ...], least: int) -> int:
    if text.isdecimal():
        return int(text)
    return names.index(text.upper()) + least if text.upper() in names else -1


def _wrong(name: str, part: str, least: int, most: int) -> Exception:
    return wrong(f"{quoted(part)} is no {name}", f"give numbers from {least} to {most}, as 5, 1-5, */2 or 1,3")
