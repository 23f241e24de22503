"""Whose spec of an endpoint is the newest, where several runs overlap.

A run that waits (for a job, say) may find afterwards that a later run has given an endpoint another spec: from another
checkout, a later commit. The later one counts, and the earlier run leaves that endpoint alone. An edit of its own files
makes it the later one again. `watch` never yields: its files are what is wanted.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sagespec.events import Caller, Event, EventKind
from sagespec.reconcile.options import Options
from sagespec.records.records import Records
from sagespec.state.desired import Desired
from sagespec.state.manifest import Applied, AppliedSpec


class Newest:
    def __init__(self, *, yields: bool) -> None:
        self._yields = yields
        self._ours: dict[str, str] = {}  # hash of our spec by endpoint, as we registered it
        self._told: set[str] = set()

    def kept(self, desired: Desired, applied: Applied, options: Options) -> tuple[Desired, Options]:
        """What is left for this run to do, and with which options: what it leaves alone it does not prune, either."""
        later = [e.name for e in desired.endpoints if self._is_later(e.name, e.hash, applied)]
        if not later:
            return desired, options
        endpoints = tuple(endpoint for endpoint in desired.endpoints if endpoint.name not in later)
        return replace(desired, endpoints=endpoints), replace(options, prune=False)

    def register(
        self, desired: Desired, records: Records, caller: Caller, options: Options, *, by: str, now: datetime
    ) -> tuple[Desired, Options]:
        """The same under the lock, after our specs are recorded as the newest, where they are."""
        before = records.applied()
        applied = dict(before.endpoints)
        kept, options_kept = self.kept(desired, before, options)
        for endpoint in kept.endpoints:
            self._ours[endpoint.name] = endpoint.hash
            if endpoint.name not in applied or applied[endpoint.name].hash != endpoint.hash:
                applied[endpoint.name] = AppliedSpec(hash=endpoint.hash, by=by, at=now)
        if options_kept.prune or options_kept.destroy:
            names = {endpoint.name for endpoint in desired.endpoints}
            gone = {name for name, spec in applied.items() if name not in names and spec.hash}
            applied |= {name: AppliedSpec(hash="", by=by, at=now) for name in gone}
        if applied != before.endpoints:
            records.write_applied(Applied(endpoints=applied))
        self._tell({e.name for e in desired.endpoints} - {e.name for e in kept.endpoints}, before, caller)
        return kept, options_kept

    def _is_later(self, name: str, hash_text: str, applied: Applied) -> bool:
        """Whether another run has given the endpoint a spec since we did."""
        is_registered = self._yields and self._ours.get(name) == hash_text
        return is_registered and name in applied.endpoints and applied.endpoints[name].hash != hash_text

    def _tell(self, later: set[str], applied: Applied, caller: Caller) -> None:
        for name in sorted(later - self._told):
            spec = applied.endpoints[name]
            what = "was given another spec" if spec.hash else "was removed"
            text = f"{what} by {spec.by} meanwhile; this run leaves it alone"
            caller.report(Event(EventKind.NOTE, f"endpoint/{name}", text))
        self._told |= later
