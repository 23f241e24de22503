"""What a loop shows Prometheus while it runs, where `prometheus` in sagespec.yaml asks for it.

It listens in on what the loop does anyway: its looks and passes, its events, the recorder's readings of the gateway. An
answer asks nobody, so that reading it often costs nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

from sagespec import __version__
from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.gateway.table import TargetKey
from sagespec.gateway.totals import Totals
from sagespec.monitoring.exposition import as_text
from sagespec.monitoring.families import families
from sagespec.monitoring.loop_counts import LoopCounts
from sagespec.monitoring.scene import ModelSeen, Scene, source_seen
from sagespec.monitoring.server import serving
from sagespec.parts import Parts
from sagespec.passes import Lock, Run, Surroundings
from sagespec.plan import Plan
from sagespec.records.leases import AtWork
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed, Probe
from sagespec.state.source import SourceRecord
from sagespec.traffic.grown import Grown
from sagespec.verbs.edited import DataNow
from sagespec.verbs.endpoint_states import endpoint_states, models_served
from sagespec.verbs.stale import stale_jobs
from sagespec.verbs.states import job_state

PROBED_SECONDS = 5.0  # health is asked for so often
STALE_SECONDS = 60.0  # what is stale is looked for so often


class Monitor:
    """source: how far the branch has come that is followed, if one is."""

    def __init__(self, parts: Parts, source: Callable[[], SourceRecord] | None = None) -> None:
        self._parts, self._source = parts, source
        self._counts, self._grown = LoopCounts(), Grown(parts.figures_file)
        self._seen: tuple[Desired, Observed] | None = None  # at the last look
        self._models: Mapping[TargetKey, str] = {}
        self._probes: Mapping[str, Probe] | None = None
        self._probed_at = self._stale_at = float("-inf")
        self._stale: tuple[str, ...] = ()
        self._run: Run | None = None
        self._queued: dict[Address, float] = {}  # since when each waits, by the monotonic clock

    # -- listening in

    def heard(self, report: Report) -> Report:
        def hear(event: Event) -> None:
            self._counts.hear(event)
            report(event)

        return hear

    def around(self, around: Surroundings) -> Surroundings:
        def look(at_work: AtWork) -> tuple[Desired, Observed]:
            with self._counts.look():
                desired, observed = self._seen = around.look(at_work)
            self._models = {**self._models, **models_served(desired, observed)}
            self._look_for_stale(desired, observed)
            self._see_queue()
            return desired, observed

        @contextmanager
        def lock() -> Iterator[Lock]:
            with self._counts.a_pass(), around.lock() as held:
                yield held

        return replace(around, look=look, lock=lock)

    def _look_for_stale(self, desired: Desired, observed: Observed) -> None:
        """At most once a minute, on this machine and its engine alone: no bucket is listed for it."""
        if time.monotonic() - self._stale_at > STALE_SECONDS:
            self._stale_at = time.monotonic()
            data = DataNow(self._parts.root, self._parts.fingerprints)
            with suppress(WorldError):
                self._stale = tuple(str(one.about) for one in stale_jobs(self._parts, desired, observed, data))

    def _see_queue(self) -> None:
        now, waiting = time.monotonic(), tuple(self._run.queue.waiting) if self._run else ()
        self._queued = {about: self._queued.get(about, now) for about in waiting}

    def read(self, totals: Mapping[TargetKey, Totals]) -> None:
        """One reading of the gateway's counters."""
        self._grown.add(totals, self._models)
        if self._seen and time.monotonic() - self._probed_at > PROBED_SECONDS:
            self._probed_at = time.monotonic()
            routes = self._seen[1].gateway.routes.values()
            names = [name for route in routes for target in route.targets for name in target.instances]
            with suppress(WorldError):
                self._probes = self._parts.gateway.probes(names)

    # -- showing

    @contextmanager
    def shown(self, run: Run) -> Iterator[None]:
        """While the block runs. Where it cannot be shown, the loop says so and works all the same."""
        settings = self._parts.settings.prometheus
        assert settings is not None
        self._run = run
        with ExitStack() as stack:
            try:
                stack.enter_context(serving(settings, self._parts.home, lambda: self._text(run)))
                said = f"figures for Prometheus: {settings.url}"
            except WorldError as error:
                said = f"no figures for Prometheus: {error}"
            run.caller.report(Event(EventKind.NOTE, text=said))
            yield

    def _text(self, run: Run) -> str:
        scene = scene_of(*self._seen, run.plan, self._probes) if self._seen else Scene()
        source = source_seen(self._source(), datetime.now(UTC)) if self._source else None
        self._see_queue()
        now, queued = time.monotonic(), self._queued
        scene = replace(
            scene,
            queued=len(queued),
            queue_seconds={f"{about.name}@{about.version}": now - since for about, since in queued.items()},
            source=source,
            stale=self._stale,
            engine_calls=self._parts.runtime.calls,
            store_errors=self._parts.waits.errors,
        )
        return as_text(families(self._grown.sums(), scene, self._counts.figures(), __version__))


def scene_of(desired: Desired, observed: Observed, plan: Plan, probes: Mapping[str, Probe] | None) -> Scene:
    """probes: where they are newer than what was observed."""
    now = observed if probes is None else replace(observed, gateway=replace(observed.gateway, probes=probes))
    endpoints = endpoint_states(desired, now, plan, {}, "")
    states = {f"{j.name}@{j.version}": job_state(j.address, observed, plan).state.value for j in desired.jobs}
    return Scene(
        gateway_answers=observed.gateway.answers,
        jobs=Counter(states.values()),
        job_states=states,
        endpoints=Counter(endpoint.state.value for endpoint in endpoints),
        served=_served(now, models_served(desired, now)),
        wanted={(e.address.name, v.name): v.instances_asked for e in endpoints for v in e.variants},
        rolling=plan.rolling,
        suspended=tuple(one.by.about for one in plan.suspended),
    )


def _served(observed: Observed, models: Mapping[TargetKey, str]) -> tuple[ModelSeen, ...]:
    """Targets of one variant that serve the same model are one."""
    found: dict[tuple[str, str, str], ModelSeen] = {}
    for name, route in observed.gateway.routes.items():
        total = sum(target.weight for target in route.targets if target.instances)
        for target in (target for target in route.targets if target.instances):
            key = (name, target.variant, models[TargetKey(name, target.variant, target.hash)])
            before = found.get(key, ModelSeen(*key, healthy=0, share=0.0))
            probes = [observed.gateway.probes.get(instance) for instance in target.instances]
            healthy = before.healthy + sum(probe is not None and probe.healthy for probe in probes)
            found[key] = ModelSeen(*key, healthy=healthy, share=before.share + (target.weight / total if total else 0))
    return tuple(found[key] for key in sorted(found))
