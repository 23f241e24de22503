"""What a later run has decided about an endpoint or a job, where several runs overlap.

A run that waits (for a job, say) may find afterwards that a later run has given an endpoint another spec: from another
checkout, a later commit. The later one counts, and the earlier run leaves that endpoint alone. An edit of its own files
makes it the later one again. `watch` never yields to another spec: its files are what is wanted.

What `destroy` or `--prune` removed stays removed: no run that wanted it before puts it back, `watch` neither, until its
spec changes or somebody applies it again. And what somebody applies while `destroy` or `apply --prune` waits for
something stays there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sagespec.errors import Problem
from sagespec.events import Caller, Event, EventKind
from sagespec.plan import Plan
from sagespec.reconcile.options import Options
from sagespec.records.records import Records
from sagespec.state.addresses import Address, endpoint_address
from sagespec.state.desired import Desired
from sagespec.state.manifest import Applied, AppliedSpec, JobStatus
from sagespec.state.observed import Observed

REMOVED = ""  # in place of a hash


@dataclass(frozen=True)
class By:
    """Which run says so, for people, and when."""

    name: str
    at: datetime


@dataclass
class _Kind:
    """Endpoints or jobs, by address as text. ours: the hashes of our specs, as we registered them or found them
    registered by another run."""

    yields: bool
    ours: dict[str, str] = field(default_factory=dict)

    def is_later(self, about: str, hash_text: str, applied: Mapping[str, AppliedSpec]) -> bool:
        """Whether another run has decided otherwise since this very spec was registered."""
        spec = applied.get(about)
        if spec is None or self.ours.get(about) != hash_text or spec.hash == hash_text:
            return False
        return self.yields or spec.hash == REMOVED

    def is_applied_since(self, about: str, applied: Mapping[str, AppliedSpec]) -> bool:
        """Whether another run has applied what we removed, or never knew."""
        return bool(applied[about].hash) and self.ours.get(about) != applied[about].hash

    def notice(self, hashes: Mapping[str, str], applied: Mapping[str, AppliedSpec]) -> None:
        """Remember which of these specs are registered, whoever did it."""
        self.ours.update(
            {about: text for about, text in hashes.items() if about in applied and applied[about].hash == text}
        )


class Newest:
    """yields: whether another spec of an endpoint counts, where a later run has one. A job that trains is followed to
    its end whatever spec of it is newer. registers: whether what this run has is what somebody wants applied."""

    def __init__(self, *, yields: bool, registers: bool = True) -> None:
        self._yields, self._registers = yields, registers
        self._endpoints, self._jobs = _Kind(yields), _Kind(yields=False)
        self._spares = False  # once what no spec names is removed, in a run that yields
        self._later: Mapping[str, AppliedSpec] = {}  # what the last look left alone
        self._told: Mapping[str, AppliedSpec] = {}

    @property
    def removed(self) -> tuple[Problem, ...]:
        """What the last look left alone because it was removed."""
        return tuple(
            Problem(
                what=f"it was removed by {spec.by} meanwhile",
                about=about,
                why="no run that began before puts back what was removed on purpose",
                fix="run `sagespec apply` again to have it back",
            )
            for about, spec in self._later.items()
            if spec.hash == REMOVED
        )

    @property
    def is_untold(self) -> bool:
        """Whether the last look left something alone that no pass has told yet."""
        return not self._later.keys() <= self._told.keys()

    def why_left_alone(self, about: Address, plan: Plan, *, is_edited: bool) -> str:
        if about in {running.about for running in plan.running}:
            return "another run follows it"
        spec = self._later.get(str(about.whole))
        if spec and spec.hash == REMOVED:
            return f"it was removed by {spec.by}"
        return "a newer spec is there" if spec or is_edited else "nothing asks for it any more"

    def begin(self, applied: Applied) -> None:
        """Before we wait for the lock: what is removed from now on was removed after we began."""
        for kind, specs in ((self._endpoints, applied.endpoints), (self._jobs, applied.jobs)):
            kind.ours = {about: spec.hash for about, spec in specs.items() if spec.hash} | kind.ours

    def kept(self, desired: Desired, applied: Applied, options: Options) -> tuple[Desired, Options]:
        """What is left for this run to do, and with which options: what it leaves alone it does not prune, either."""
        self._endpoints.notice({e.name: e.hash for e in desired.endpoints}, applied.endpoints)
        self._jobs.notice({str(j.address): j.key for j in desired.jobs}, applied.jobs)
        later = [e for e in desired.endpoints if self._endpoints.is_later(e.name, e.hash, applied.endpoints)]
        later_jobs = [j for j in desired.jobs if self._jobs.is_later(str(j.address), j.key, applied.jobs)]
        self._later = {str(e.address): applied.endpoints[e.name] for e in later}
        self._later |= {str(j.address): applied.jobs[str(j.address)] for j in later_jobs}
        if not self._later:
            return desired, self._sparing(desired, applied, options)
        endpoints = tuple(e for e in desired.endpoints if e not in later)
        jobs = tuple(j for j in desired.jobs if j not in later_jobs)
        return replace(desired, endpoints=endpoints, jobs=jobs), replace(options, prune=False)

    def _sparing(self, desired: Desired, applied: Applied, options: Options) -> Options:
        """The options, with what others have applied since we removed what no spec names."""
        if not (options.prune and self._spares):
            return options
        endpoints = applied.endpoints.keys() - {e.name for e in desired.endpoints}
        jobs = applied.jobs.keys() - {str(j.address) for j in desired.jobs}
        later = {
            str(endpoint_address(n)): applied.endpoints[n]
            for n in endpoints
            if self._endpoints.is_applied_since(n, applied.endpoints)
        }
        later |= {about: applied.jobs[about] for about in jobs if self._jobs.is_applied_since(about, applied.jobs)}
        self._later = later
        return replace(options, spared=frozenset(later))

    def register(
        self, desired: Desired, observed: Observed, records: Records, caller: Caller, options: Options, *, by: By
    ) -> tuple[Desired, Options]:
        """The same under the lock, after our specs are recorded as the newest, where they are."""
        before = records.applied()
        kept, options_kept = self.kept(desired, before, options)
        unfinished = {str(j.address): j.key for j in kept.jobs if not _is_trained(j.address, observed)}
        endpoints = _recorded(before.endpoints, {e.name: e.hash for e in kept.endpoints}, self._endpoints, by)
        jobs = _recorded(before.jobs, unfinished, self._jobs, by)
        trained = {str(address) for address in observed.manifests if _is_trained(address, observed)}
        now = Applied(endpoints=endpoints, jobs={about: spec for about, spec in jobs.items() if about not in trained})
        if self._registers and now != before:
            records.write_applied(now)
        self._tell(caller, options, options_kept)
        return kept, options_kept

    def remove(self, plan: Plan, desired: Desired, records: Records, options: Options, *, by: By) -> None:
        """Under the lock: record that what no spec names is removed, but for what the plan refuses to or spares."""
        refused = {problem.about for problem in plan.refused}
        if "project" in refused:
            return
        before = records.applied()
        stays = {about for about in before.jobs if about in refused or options.leaves(about)}
        kept = {n for n in before.endpoints if (a := str(endpoint_address(n))) in refused or options.leaves(a)}
        names = {e.name for e in desired.endpoints} | kept
        jobs = {str(j.address) for j in desired.jobs} | stays
        now = Applied(endpoints=_less(before.endpoints, names, by), jobs=_less(before.jobs, jobs, by))
        if now != before:
            records.write_applied(now)
        later = self._later.keys()
        self._endpoints.ours |= {n: s.hash for n, s in now.endpoints.items() if str(endpoint_address(n)) not in later}
        self._jobs.ours |= {about: spec.hash for about, spec in now.jobs.items() if about not in later}
        self._spares = self._yields

    def _tell(self, caller: Caller, options: Options, options_kept: Options) -> None:
        for about, spec in sorted(self._later.items()):
            if about not in self._told:
                given = "was applied" if about in options_kept.spared else "was given another spec"
                text = f"{given if spec.hash else 'was removed'} by {spec.by} meanwhile; this run leaves it alone"
                caller.report(Event(EventKind.NOTE, about, text))
        if options.prune and not options_kept.prune and not self._told:
            text = "this run prunes nothing while it leaves something alone that its specs name"
            caller.report(Event(EventKind.NOTE, text=text))
        self._told = self._later


def _is_trained(job: Address, observed: Observed) -> bool:
    manifest = observed.manifests.get(job)
    return manifest is not None and manifest.status is JobStatus.COMPLETED


def _recorded(
    applied: Mapping[str, AppliedSpec], hashes: Mapping[str, str], kind: _Kind, by: By
) -> dict[str, AppliedSpec]:
    """What is recorded, with our hashes as the newest."""
    kind.ours.update(hashes)
    changed = {about: text for about, text in hashes.items() if about not in applied or applied[about].hash != text}
    return {**applied, **{about: AppliedSpec(hash=text, by=by.name, at=by.at) for about, text in changed.items()}}


def _less(applied: Mapping[str, AppliedSpec], wanted: set[str], by: By) -> dict[str, AppliedSpec]:
    """What is recorded, with all that is not wanted as removed."""
    gone = {about for about, spec in applied.items() if about not in wanted and spec.hash}
    return {**applied, **{about: AppliedSpec(hash=REMOVED, by=by.name, at=by.at) for about in gone}}
