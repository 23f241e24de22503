"""When a program that is to keep running is started again after its end, and when that is given up.

The shim asks, for containers with Launch.keep_running. As with Docker, every wait is twice as long as the last one,
until a program has run for a while. Unlike with Docker, there is a last one: a program that always ends at once is
left exited.
"""

from __future__ import annotations

NEVER, ALWAYS, ON_FAILURE = "never", "always", "on-failure"  # after which ends; 0 is the exit code of no failure
FIRST_WAIT_SECONDS = 0.1
STEADY_SECONDS = 10.0  # a program that ran this long did not fail at its start
MOST_SHORT_RUNS = 10


class Restarts:
    """count: how often the program was started again."""

    def __init__(self) -> None:
        self.count = 0
        self._short_runs = 0

    def wait_after(self, ran_seconds: float) -> float | None:
        """Seconds until the program is started again; None when it has ended too soon too many times in a row.

        >>> restarts = Restarts()
        >>> [restarts.wait_after(ran) for ran in (1.0, 2.0, 3.0, 60.0, 1.0)]
        [0.1, 0.2, 0.4, 0.1, 0.1]
        >>> [restarts.wait_after(0.0) for _ in range(9)][-2:]
        [25.6, None]
        """
        self._short_runs = 0 if ran_seconds >= STEADY_SECONDS else self._short_runs + 1
        if self._short_runs >= MOST_SHORT_RUNS:
            return None
        return float(FIRST_WAIT_SECONDS * 2 ** max(0, self._short_runs - 1))
