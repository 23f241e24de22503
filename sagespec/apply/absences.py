"""What no spec names any more: since when, as one run sees it, and whom it takes such jobs from.

Somebody who moves a spec to another file, a slow save, and git itself each leave a moment in which it is nowhere.
So `watch` removes only what it has found absent twice, some seconds apart, and nothing that is found absent while git
is at work; so it is with a variant that its endpoint has lost. An `apply` removes at once: whoever runs it sees to it
that the files are there, and so with an endpoint whose removal somebody has asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sagespec.clock import Clock
from sagespec.events import Event, EventKind, Report, silent
from sagespec.plan import Plan
from sagespec.reconcile.options import Options
from sagespec.reconcile.prune import is_asked_to_go, unwanted
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.desired import Desired, DesiredEndpoint, desired_endpoint
from sagespec.state.observed import Observed
from sagespec.state.revision import live_revision
from sagespec.world import World

ABSENT_SECONDS = 5.0


class Absences:
    """why_wait: a reason to take nothing for absent just now, '' when there is none. seconds: between the two looks."""

    def __init__(self, seconds: float = 0.0, why_wait: Callable[[], str] = lambda: "", report: Report = silent) -> None:
        self._seconds, self._why_wait, self._report = seconds, why_wait, report
        self._since: dict[Address, float] = {}  # by the world's monotonic clock
        self._waiting: tuple[Address, ...] = ()
        self._certain: set[Address] = set()  # being removed: a git that begins now comes too late
        self._told: dict[Address, str] = {}

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting)

    def is_over(self, clock: Clock) -> bool:
        """Whether a wait has ended, so that a look would find something to remove, or to wait for from then on."""
        if not self._waiting or self._why_wait():
            return False
        return any(self._has_waited(address, clock.monotonic()) for address in self._waiting)

    def spare(self, desired: Desired, observed: Observed, options: Options, clock: Clock) -> tuple[Desired, Options]:
        """Both with what is not removed yet: an endpoint that has lost a variant stays as it is live."""
        if not self._seconds:
            return desired, options
        live = {e.name: record for e in desired.endpoints if (record := _live(e.name, observed))}
        lost = [address for e in desired.endpoints if e.name in live for address in _lost(e, live[e.name])]
        unnamed = unwanted(desired, observed) if options.prune else ()
        now, absent = clock.monotonic(), (*(a for a in unnamed if not is_asked_to_go(a, observed)), *lost)
        self._certain &= set(absent)
        why_wait = self._why_wait() if set(absent) - self._certain else ""
        self._since = {} if why_wait else {address: self._since.get(address, now) for address in absent}
        if not why_wait:
            self._certain |= {address for address in absent if self._has_waited(address, now)}
        self._waiting = tuple(address for address in absent if address not in self._certain)
        self._tell(why_wait, absent)
        spared = {str(address) for address in self._waiting if not address.variant}
        held = {address.name for address in self._waiting if address.variant}
        endpoints = tuple(live[e.name] if e.name in held else e for e in desired.endpoints)
        return replace(desired, endpoints=endpoints), replace(options, spared=options.spared | spared)

    def _has_waited(self, address: Address, now: float) -> bool:
        return address not in self._since or now - self._since[address] >= self._seconds

    def _tell(self, why_wait: str, absent: tuple[Address, ...]) -> None:
        for address in self._waiting:
            who = "watch" if address.variant else "--prune"
            why = why_wait or f"{who} waits {self._seconds:g} s, in case it comes back"
            if address != GATEWAY and self._told.get(address) != why:
                self._told[address] = why
                self._report(Event(EventKind.NOTE, str(address), f"is in no spec now; {why}"))
        for address in self._told.keys() - set(self._waiting):
            del self._told[address]
            if address not in absent:
                self._report(Event(EventKind.NOTE, str(address), "is in a spec again, and stays"))


def _live(endpoint_name: str, observed: Observed) -> DesiredEndpoint | None:
    revision = live_revision(observed.revisions.get(endpoint_name, ()))
    return desired_endpoint(endpoint_name, revision.asked) if revision else None


def _lost(endpoint: DesiredEndpoint, live: DesiredEndpoint) -> list[Address]:
    """The variants that are live and that the spec does not have any more."""
    gone = [variant.name for variant in live.variants if endpoint.variant(variant.name) is None]
    return [replace(endpoint.address, variant=name) for name in gone]


def seize_unwanted(plan: Plan, desired: Desired, observed: Observed, world: World, options: Options) -> bool:
    """Take jobs that are in no spec from their followers: they may have no containers yet. Whether there were any."""
    if any(problem.about == "project" for problem in plan.refused):
        return False
    others = (about for about, follower in observed.followers.items() if not follower.is_ours)
    found = [about for about in others if desired.job(about) is None and not options.leaves(about)]
    for address in found:
        world.leases.seize(address)
    return bool(found)
