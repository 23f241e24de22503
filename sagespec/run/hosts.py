"""The containers of a job as they are seen to end, and how they are made to.

`follow` polls them. An engine that does not answer is waited for: it may be restarted while the job runs. What ended
meanwhile is remembered as such, because its exit code then says little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sagespec.errors import WorldError
from sagespec.inputs.pipes import feeder_fault
from sagespec.run.faults import Ending, EndSeen
from sagespec.run.notes import ENDING_FILE, note_of, read_note
from sagespec.runtimes.protocol import Runtime
from sagespec.state.faults import Fault
from sagespec.state.launches import Launch
from sagespec.state.manifest import Started
from sagespec.state.observed import Container, ContainerState

RECOVERY_SECONDS = 10.0  # that an engine which answers again takes to find out what became of its containers


class JobContainers:
    """The containers of `launches` and their feeders.

    by_alias: as last seen; None for one that vanished. ends: how we came to know of those that have ended.
    feeders_fault: why the feeders have stopped feeding them; None while they feed.
    """

    def __init__(
        self,
        runtime: Runtime,
        launches: Sequence[Launch],
        feeders: Sequence[Launch],
        *,
        note: Callable[[str], None],
        patience_seconds: float,
    ) -> None:
        self.by_alias: dict[str, Container | None] = {}
        self.ends: dict[str, EndSeen] = {}
        self.feeders_fault: Fault | None = None
        self._runtime = runtime
        self._launches = launches
        self._feeders = feeders
        self._note = note
        self._patience_seconds = patience_seconds
        self._ran: set[str] = set()  # seen running
        self._away_since: float | None = None
        self._unsure_until = 0.0

    def are_there(self) -> bool:
        """Whether any host has a container. If one has, those that are missing have vanished."""
        return any(self._runtime.look([launch.name for launch in self._launches]).values())

    def poll(self) -> bool:
        """Ask the engine about all hosts; False if it does not answer, WorldError if it has not for too long."""
        try:
            found = self._runtime.look([launch.name for launch in (*self._launches, *self._feeders)])
            self.by_alias = {launch.alias: found[launch.name] for launch in self._launches}
            faults = (feeder_fault(self._runtime, feeder, found[feeder.name]) for feeder in self._feeders)
            self.feeders_fault = next(filter(None, faults), None)
        except WorldError as error:
            self._wait_for_engine(error)
            return False
        now = time.monotonic()
        if self._away_since is not None:
            self._note(f"the engine answers again, after {now - self._away_since:.0f} s")
            self._away_since, self._unsure_until = None, now + RECOVERY_SECONDS
        for alias, container in self.by_alias.items():
            if container and container.state is not ContainerState.EXITED:
                self._ran.add(alias)
            elif alias not in self.ends:
                self.ends[alias] = self._how_seen(alias, container, is_unsure=now < self._unsure_until)
        return True

    def _how_seen(self, alias: str, container: Container | None, *, is_unsure: bool) -> EndSeen:
        """An engine that did not answer for a moment has seen the end all the same; one that was restarted has not."""
        if container and container.is_lost:
            return EndSeen.AWAY
        if is_unsure and container:
            with suppress(WorldError):
                is_unsure = self._runtime.end_seen(container.name) == "unsure"
        if is_unsure:
            return EndSeen.AWAY
        return EndSeen.WATCHED if alias in self._ran else EndSeen.UNWATCHED

    def _wait_for_engine(self, error: WorldError) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            self._note(f"{error.problems[0].what}; waiting for it up to {self._patience_seconds:g} s")
        elif now - self._away_since > self._patience_seconds:
            raise error

    @property
    def ended(self) -> tuple[str, ...]:
        """Aliases of the hosts that have ended or vanished."""
        return tuple(self.ends)

    @property
    def have_all_ended(self) -> bool:
        return len(self.ends) == len(self._launches)

    @property
    def have_failed(self) -> bool:
        """Whether a host has ended in a way that makes it useless for the others to continue."""
        return any(
            seen is EndSeen.AWAY or (container := self.by_alias[alias]) is None or container.exit_code
            for alias, seen in self.ends.items()
        )

    def ending(self, started: Started) -> Ending | None:
        """Why this run or an earlier one stopped the hosts; None if neither did."""
        for launch in self._launches:
            container = self.by_alias.get(launch.alias)
            is_there = container is not None and not container.is_lost
            content = self._runtime.read(launch.name, ENDING_FILE) if is_there else None
            if content and (ending := read_note(content, started)):
                return ending
        return None

    def stop(self, ending: Ending, started: Started) -> None:
        """SIGTERM to all at once, SIGKILL after the grace. The reason is noted first: another run may take over."""
        note = {ENDING_FILE: note_of(ending, started)}
        there = [launch for launch in self._launches if self.by_alias.get(launch.alias)]
        for launch in there:
            with suppress(WorldError):  # one that vanishes now needs no note
                self._runtime.write(launch.name, note)
        with ThreadPoolExecutor(max(1, len(there))) as pool:
            list(pool.map(self._stop, there))
        self.poll()

    def _stop(self, launch: Launch) -> None:
        self._runtime.stop(launch.name, grace_seconds=launch.grace_seconds)

    def remove(self) -> None:
        for launch in (*self._launches, *self._feeders):
            self._runtime.remove(launch.name)
