"""The world that plans are carried out in, without an engine: the fakes, acted on by the real effects.

For tests of decisions. `settle` applies plans as `converge` does, but one action at a time, in any order that the plan
allows, so that a test can look at the world after every single action, or stop as if killed. Time stands still, and
each wait is over at once.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import _GeneratorContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from sagespec.apply.effects import carry_out
from sagespec.clock import Clock, RealClock
from sagespec.errors import WorldError
from sagespec.events import Caller, Report
from sagespec.inputs.cache import Cache
from sagespec.inputs.delivery import Delivery, Inputs
from sagespec.observe import observe
from sagespec.plan import Action, AwaitNotebook, ImportModel, Plan, RunJob, StartInstance
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.records.lease import Wait, wait_for
from sagespec.records.leases import Leases
from sagespec.records.records import Records
from sagespec.run.jobs import Jobs
from sagespec.run.patience import Patience
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import Address
from sagespec.state.desired import ArchiveModel, Desired, DesiredJob
from sagespec.state.launches import Launch
from sagespec.state.manifest import Manifest
from sagespec.state.observed import Archive, Capacity, Container, Elsewhere, Observed, Route, Target
from sagespec.state.progress import Progress
from sagespec.verbs.able import unable
from sagespec.world import World
from tests.fakes.clock import START, SettableClock
from tests.fakes.engine import SERVES, Behaviour, FakeContainer, FakeEngine
from tests.fakes.gateway import FakeGateway
from tests.fakes.runtime import FakeRuntime
from tests.fakes.specs import PROJECT, with_models
from tests.fakes.store import FakeStore

FAILS = Behaviour(exit_code=1, files={"output/failure": b"boom"})
NEVER_HEALTHY = replace(SERVES, healthy_after=None)
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # hundreds of worlds, never read again
IMPATIENT = Patience(seconds=0)
WAITS_LAST_AT_LEAST = timedelta(seconds=60)  # so that whoever polls for minutes looks a few times only


@dataclass(frozen=True)
class LocalInputs(Inputs):
    """Reads what channels name in S3 from the folder data of `root`: there is no S3 here."""

    def delivery(
        self,
        job: DesiredJob,
        hosts: Sequence[Launch],
        *,
        project_name: str,
        report: Report,
        keep_going: Callable[[], None],
    ) -> _GeneratorContextManager[Delivery]:
        channels = tuple(
            replace(channel, source=str(self.root / "data")) if channel.source.startswith("s3://") else channel
            for channel in job.channels
        )
        here = replace(job, channels=channels)
        return super().delivery(here, hosts, project_name=project_name, report=report, keep_going=keep_going)


def world_on(
    runtime: FakeRuntime,
    store: FakeStore,
    folder: Path,
    *,
    clock: Clock | None = None,
    patience: Patience = IMPATIENT,
    command: str = "apply",
    scratch: Path | None = None,
    wait: Wait = wait_for,
) -> World:
    """What actions act on, as a new sagespec opens it. folder: of the project. scratch: for temporary files; default:
    the same. wait: between two renewals of a lease."""
    records = Records(store, PROJECT)
    inputs = LocalInputs(runtime, folder, Cache(folder / "cache", 2**30), folder / "views")
    clock = clock or RealClock()
    scratch = scratch or folder
    jobs = Jobs(runtime, records, inputs, {}, folder, scratch, patience=patience, clock=clock)
    leases = Leases(store, PROJECT, command=command, specs=str(folder), clock=clock.now, wait=wait)
    return World(runtime, FakeGateway(runtime, PROJECT), records, leases, jobs, folder, scratch, clock=clock)


class SimulatedWorld:
    """An engine, a gateway and a store, changed by one action at a time.

    check: called after each action. choose: which of the actions that may be next is. stored: what is in the store
    from the start. failing_jobs: they end with an error. unhealthy: models, as written, that never answer /ping.
    """

    def __init__(
        self,
        *,
        check: Callable[[Action], None] = lambda _action: None,
        choose: Callable[[Sequence[Action]], Action] = lambda ready: ready[0],
        stored: Mapping[str, bytes] | None = None,
    ) -> None:
        self.check, self.choose = check, choose
        self.clock = SettableClock(START, at_least=WAITS_LAST_AT_LEAST)
        self.engine = FakeEngine(self.clock)
        self.runtime = FakeRuntime(PROJECT, self.engine)
        self.objects = dict(stored or {})
        self.capacity: Capacity | None = None
        self.models: dict[str, str] = {}  # container -> model it serves, as written
        self.unhealthy: set[str] = set()
        self.edited_inputs: dict[Address, Mapping[str, str]] = {}
        self.failing_jobs: set[Address] = set()
        self.elsewhere: Elsewhere | None = None
        self.archives: Mapping[Address, Archive] = {}
        self.silent: set[str] = set()  # names of notebooks' containers that do not answer
        folder = Path(tempfile.mkdtemp(prefix="sagespec-world-", dir=IN_MEMORY))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        (folder / "data").mkdir()
        (folder / "data" / "train.csv").write_text("1,2\n")
        self._world = world_on(self.runtime, FakeStore(self.objects), folder, clock=self.clock)

    # -- what is there

    @property
    def gateway(self) -> FakeGateway:
        assert isinstance(self._world.gateway, FakeGateway)
        return self._world.gateway

    @property
    def records(self) -> Records:
        return self._world.records

    @property
    def manifests(self) -> Mapping[Address, Manifest]:
        return self.records.manifests(self.records.all_jobs())

    @property
    def containers(self) -> tuple[Container, ...]:
        return self.runtime.containers()

    @property
    def routes(self) -> Mapping[str, Route]:
        return self.gateway.observe(self.containers).routes

    @property
    def records_of_rollouts(self) -> Mapping[str, Progress]:
        """How far rollouts have come that are not over, by endpoint."""
        return self.observed().rollouts

    def container_at(self, address: Address) -> FakeContainer:
        return next(c for c in self.engine.all.values() if c.launch.address == address)

    def is_healthy(self, name: str) -> bool:
        container = self.engine.all.get(name)
        return container is not None and container.is_healthy(self.clock.now())

    def observed(self) -> Observed:
        observed = observe(self.runtime, self.gateway, self.records, self.manifests, self._world.leases.look())
        silent = frozenset(self.silent)
        return replace(
            observed,
            capacity=self.capacity,
            edited_inputs=self.edited_inputs,
            silent=silent,
            elsewhere=self.elsewhere,
            archives=self.archives,
        )

    # -- what happens to it

    def turn_unhealthy(self, model: str) -> None:
        """Instances of the model never answer /ping, nor do those that run."""
        self.unhealthy.add(model)
        for name, served in self.models.items():
            if served == model and name in self.engine.all:
                self.engine.all[name].behaviour = NEVER_HEALTHY

    def follow(self, address: Address) -> None:
        """This run follows the job, and its task has not begun it yet."""
        self._world.leases.follow(address)

    def fail_job(self, address: Address) -> None:
        self.failing_jobs.add(address)
        self.engine.behave(str(address), FAILS)

    def ask(self, endpoint: str, requests: int, failing: Mapping[str, int] = MappingProxyType({})) -> None:
        """So many requests to the endpoint. failing: of a model, as written, every so many-th fails."""

        def is_error(target: Target, number: int) -> bool:
            every = failing.get(self.models[target.instances[0]]) if target.instances else None
            return bool(every) and (number + 1) % (every or 1) == 0

        self.gateway.ask(endpoint, requests, is_error)

    def set_gateway(self, settings: GatewaySettings) -> None:
        """From here on, the gateway is asked for with these settings."""
        self._world = replace(self._world, gateway=FakeGateway(self.runtime, PROJECT, settings))

    # -- plans

    def plan(self, desired: Desired, options: Options | None = None) -> Plan:
        desired, observed = with_models(desired, self.manifests), self.observed()
        observed = replace(observed, unable=unable(self.runtime, desired, observed, set()))
        return reconcile(desired, observed, self.clock.now(), options)

    def settle(self, desired: Desired, options: Options | None = None, passes: int = 10) -> Plan:
        """Carry plans out as `converge` does; the last plan, less what failed in this run."""
        failed: set[str] = set()
        for _ in range(passes):
            plan = self.plan(desired, options)
            if not self.carry_out(plan, failed):
                return plan
            options = replace(options, retry=False) if options else None
        raise AssertionError(f"still not settled after {passes} passes:\n{plan.text()}")

    def carry_out(self, plan: Plan, failed: set[str], limit: int | None = None) -> int:
        """Carry out at most `limit` actions, then stop as if killed; how many were carried out.

        failed: actions that are not tried again, nor what waits for them; those that fail now are added.
        """
        done = 0
        for action in self._in_order(plan, failed):
            if done == limit:
                break
            self.clock.sleep(1)
            if not self.act(action):
                failed.add(action.id)
            done += 1
            self.check(action)
        return done

    def _in_order(self, plan: Plan, failed: set[str]) -> Iterator[Action]:
        """The plan's actions in an order that `after` allows, as `apply` may take them, without those that are lost.

        What waits for a job is left to the plan after it, as every task's end wakes another pass.
        """
        waiting, ended, lost = list(plan.actions), set[str](), set(failed)
        while waiting:
            action = self.choose([action for action in waiting if ended.issuperset(action.after)])
            waiting.remove(action)
            ended.add(action.id)
            if action.id in lost or lost.intersection(action.after):
                lost.add(action.id)
                continue
            yield action
            lost |= failed | ({action.id} if isinstance(action, RunJob) else set())

    def act(self, action: Action) -> bool:
        """Do what the product does for the action; False when it fails."""
        if isinstance(action, StartInstance):
            model = action.variant.model
            self.models[action.container] = model.text
            self.engine.behave(action.container, NEVER_HEALTHY if model.text in self.unhealthy else SERVES)
            if isinstance(model, ArchiveModel) and model.uri.startswith("s3://"):  # as LocalInputs does
                here = replace(model, uri=str(self._archive()))
                action = replace(action, variant=replace(action.variant, model=here))
        if isinstance(action, ImportModel):
            action = replace(action, job=replace(action.job, imported_from=str(self._archive())), archive=None)
        if isinstance(action, AwaitNotebook):
            return True  # nobody listens here
        try:
            carry_out(action, self._world, Caller())
        except WorldError:
            return False
        return True

    def _archive(self) -> Path:
        """A model.tar.gz of one's own."""
        file = self._world.root / "model.tar.gz"
        with tarfile.open(file, "w:gz") as tar:
            tar.add(self._world.root / "data" / "train.csv", "model.txt")
        return file
