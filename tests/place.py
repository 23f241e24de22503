"""A project in memory that can be made to die at any effect, and what is left of it when it does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagespec.converge import Converged, converge
from sagespec.events import Caller, Event
from sagespec.observe import observe
from sagespec.passes import Run, Surroundings
from sagespec.reconcile.options import Options
from sagespec.records.leases import AtWork
from sagespec.run.patience import Patience
from sagespec.state.addresses import job_address
from sagespec.state.desired import Desired
from sagespec.state.manifest import Manifest
from sagespec.state.observed import Observed
from sagespec.world import World
from tests.fakes import FakeEngine, FakeRuntime, FakeStore, Faults, Killed
from tests.fakes.specs import PROJECT, desired_from
from tests.fakes.world import world_on


class NoLock:
    def check(self) -> None:
        return None


@dataclass
class Place:
    """A project whose engine and store outlive each run on it."""

    folder: Path
    engine: FakeEngine = field(default_factory=FakeEngine)
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    events: list[Event] = field(default_factory=list)
    patience: Patience = field(default_factory=lambda: Patience(seconds=0))

    def __post_init__(self) -> None:
        (self.folder / "train.csv").write_text("1,2\n")

    def job(self, version: int, **more: Any) -> dict[str, Any]:
        channels = {"train": str(self.folder / "train.csv")}
        return {"kind": "TrainingJob", "name": "model", "version": version, "channels": channels, **more}

    def endpoint(self, **models: str) -> dict[str, Any]:
        variants = [{"name": name, "model": model} for name, model in models.items()]
        return {"kind": "Endpoint", "name": "answers", "variants": variants, "rollout": {"min_healthy": 0}}

    def world(self, runtime: FakeRuntime | None = None) -> World:
        runtime = runtime or FakeRuntime(PROJECT, self.engine, self.faults)
        return world_on(runtime, FakeStore(self.objects, self.faults), self.folder, patience=self.patience)

    def look(
        self, world: World, *documents: Mapping[str, Any], at_work: AtWork | None = None
    ) -> tuple[Desired, Observed]:
        jobs = [job_address("model", version) for version in range(1, 5)]
        manifests = world.records.manifests(jobs)
        desired = desired_from(*documents, manifests=manifests)
        at_work = at_work or world.leases.look()
        return desired, observe(world.runtime, world.gateway, world.records, manifests, at_work, with_capacity=True)

    def converge(self, *documents: Mapping[str, Any], **options: Any) -> Converged:
        """One run of sagespec, from nothing in memory."""
        world = self.world(options.pop("runtime", None))
        caller = Caller(self.events.append, options.pop("cancelled", threading.Event()))
        return converge(self.run(world, *documents, caller=caller, options=Options(**options)))

    def run(self, world: World, *documents: Mapping[str, Any], caller: Caller, options: Options | None = None) -> Run:
        """The passes of a run whose lock nobody else asks for."""

        def look(at_work: AtWork) -> tuple[Desired, Observed]:
            return self.look(world, *documents, at_work=at_work)

        around = Surroundings(look, lambda: world, lambda: nullcontext(NoLock()))
        return Run(around, caller, options or Options())

    def bury(self, command: str = "") -> None:
        """Let the process of every run so far be gone, or of those with that command: all ran in this one."""
        held = (f"{PROJECT}/active/jobs/", f"{PROJECT}/active/runs/")
        leases = [key for key in self.objects if key.startswith(held)]
        for key in (*leases, f"{PROJECT}/lock.json"):
            holder = json.loads(self.objects.get(key, b"{}"))
            if holder and command in ("", holder["command"]):
                self.objects[key] = json.dumps(holder | {"process_started": "before all others"}).encode()

    def addresses(self) -> list[str]:
        return sorted(str(c.launch.address) for c in self.engine.all.values())


def kill_at_every_effect(
    new_place: Callable[[], Place], run: Callable[[Place], object], check: Callable[[Place], None]
) -> int:
    """Let `run` die before its n-th effect, for every n there is, each time in a new place, and then check."""
    number = 1
    while True:
        place = new_place()
        place.faults.kill_before = number
        try:
            run(place)
        except Killed:
            place.faults.revive()
            place.bury()
            check(place)
            number += 1
        else:
            return number


def manifest_of(place: Place, version: int = 1) -> Manifest:
    return place.world().records.manifests([job_address("model", version)])[job_address("model", version)]
