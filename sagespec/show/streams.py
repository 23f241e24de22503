"""What is read line by line or again and again, and still shows itself where a notebook or a prompt is given it bare:
the lines of a log, and the metrics of a job that is running.

Each is an iterator as before. Shown, it is read afresh, so that nothing is used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Self, TypeVar

from sagespec.show.screen import clean
from sagespec.verbs.metrics import Metrics

MOST_LINES = 1000  # of a log that is shown; the last ones
Item = TypeVar("Item")
Line = tuple[str, str]  # the container's address, and what it printed


class _Stream(Generic[Item], Iterator[Item]):
    """read: begins to read; told whether to follow. follow: as it was asked for."""

    def __init__(self, read: Callable[[bool], Iterator[Item]], *, follow: bool) -> None:
        self._read, self._follow = read, follow
        self._begun: Iterator[Item] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        if self._begun is None:
            self._begun = self._read(self._follow)
        return next(self._begun)


class Lines(_Stream[Line]):
    """The lines of a log."""

    def __repr__(self) -> str:
        """As they are now, the last ones of a long log."""
        from collections import deque

        count = 0
        last: deque[Line] = deque(maxlen=MOST_LINES)
        for line in self._read(False):
            last.append(line)
            count += 1
        left_out = [f"… {count - MOST_LINES:,} earlier lines"] if count > MOST_LINES else []
        return "\n".join([*left_out, *_written(last)]) or "nothing was printed yet"

    def _ipython_display_(self) -> None:
        """A notebook prints them, as they come where they are followed."""
        if not self._follow:
            print(repr(self), flush=True)
            return
        try:
            for text in _written(self._read(True)):
                print(text, flush=True)
        except KeyboardInterrupt:
            print("… no longer followed; what runs keeps running", flush=True)


def _written(lines: Iterable[Line]) -> Iterator[str]:
    """With the container's name where there are several, as `sagespec logs` has them."""
    from sagespec.verbs.addresses import host_of

    for source, line in lines:
        yield f"{host_of(source)} | {clean(line)}"


class Readings(_Stream[Metrics]):
    """The metrics of a job, again and again."""

    def _latest(self) -> Metrics:
        return next(self._read(False))

    def __repr__(self) -> str:
        return str(self._latest())

    def _repr_html_(self) -> str | None:
        return self._latest()._repr_html_()
