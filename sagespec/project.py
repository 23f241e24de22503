"""Project: a repository's settings, its engine and its store, and the verbs a person has.

The command line and notebooks both use this. Every verb either returns values or reports events; what
is shown of them is `show`'s affair.
"""

from __future__ import annotations

import http.client
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from sagespec.converge import Converged, converge
from sagespec.errors import Origin, SpecError, WorldError, did_you_mean
from sagespec.events import Caller, Event, EventKind, Report, silent
from sagespec.gateway.gateway import Gateway
from sagespec.inputs.cache import Cache
from sagespec.inputs.delivery import Inputs
from sagespec.load.load import find_root, load
from sagespec.load.loaded import Loaded
from sagespec.load.references import missing_paths
from sagespec.observe import observe
from sagespec.parts import git_state
from sagespec.plan import Plan
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.reconcile.turns import needs_of
from sagespec.records.holder import who_is_here
from sagespec.records.lock import LockHeld, ProjectLock, project_lock
from sagespec.records.records import Records
from sagespec.resolve.builtins import ImageDescription, describe_images
from sagespec.resolve.resolve import empty_desired, resolve, wanted_manifests
from sagespec.run.metrics import FoundMetrics, Patterns, latest_values, patterns_of
from sagespec.run.run import Trainer
from sagespec.run.start import began_at
from sagespec.run.stops import ask_to_stop
from sagespec.runtimes.choose import choose, images_dir
from sagespec.runtimes.protocol import Check, ImageInfo, Runtime
from sagespec.spec.project import Project as Settings
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredJob, desired_endpoint
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import ContainerState, Observed, begun_after
from sagespec.state.programs import Program
from sagespec.state.revision import Revision, RevisionStatus, live_revision
from sagespec.stores.open import open_store
from sagespec.stores.protocol import Store
from sagespec.verbs.invoke import INVOKE_TIMEOUT_SECONDS, LARGEST_BODY_BYTES, Answer
from sagespec.verbs.logs import is_within, merged
from sagespec.verbs.metrics import LINES_OF_STATUS, Series, followed_series, series_so_far
from sagespec.verbs.plan import Validated
from sagespec.verbs.rollback import rollback_target
from sagespec.verbs.status import Status, endpoint_states, job_state, what_jobs_wait_for
from sagespec.verbs.stop import STOP_SEEN_EVERY_SECONDS
from sagespec.verbs.watch import LOCK_WAIT_OF_WATCH_SECONDS
from sagespec.world import World

RuntimeChoice = Literal["auto", "docker", "process"]


class Project:
    """The project whose sagespec.yaml is in `start` or the nearest folder above it.

    specs: files and folders to load; `specs/` beside sagespec.yaml when none are given. runtime
    overrides the project's setting. A context manager: leaving it lets go of the engine.

        with Project.open() as project:
            project.apply()
            project.invoke("churn", b"1,2,3", content_type="text/csv").body
    """

    def __init__(self, root: Path, specs: Sequence[Path], runtime: RuntimeChoice | None) -> None:
        self.root = root
        self.runtime_reason = ""
        self._specs = tuple(specs) or (root / "specs",)
        self._runtime_choice = runtime
        self._runtime: Runtime | None = None

    @classmethod
    def open(
        cls, start: Path | None = None, *, specs: Sequence[Path] = (), runtime: RuntimeChoice | None = None
    ) -> Self:
        """SpecError when there is no sagespec.yaml, or it is wrong."""
        return cls(find_root(start or Path.cwd()), specs, runtime)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the engine. What runs there goes on."""
        if self._runtime is not None:
            self._runtime.__exit__(None, None, None)
            self._runtime = None
            self.__dict__.pop("runtime", None)
            self.__dict__.pop("gateway", None)

    # -- parts, made when first needed -------------------------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        """The Project document of sagespec.yaml."""
        return load([], self.root, check_paths=False).project

    @cached_property
    def images(self) -> Mapping[str, ImageDescription]:
        """The built-ins by name."""
        return describe_images(images_dir())

    @cached_property
    def _metrics_of_builtins(self) -> Mapping[str, Patterns]:
        """What each built-in declares to print."""
        return {
            name: [(metric.name, re.compile(metric.regex)) for metric in description.metrics]
            for name, description in self.images.items()
        }

    @cached_property
    def store(self) -> Store:
        return open_store(self.settings.store, root=self.root)

    @cached_property
    def records(self) -> Records:
        return Records(self.store, self.settings.name)

    @cached_property
    def runtime(self) -> Runtime:
        """The engine; `runtime_reason` then says which one it is and why."""
        wanted = self._runtime_choice or self.settings.runtime
        chosen, self.runtime_reason = choose(wanted, self.settings.name, self.root, last=self._read_last_runtime())
        self._runtime = chosen.__enter__()
        return self._runtime

    def _refuse_other_runtime(self) -> None:
        """One project on two engines would fight over the gateway's port and over the endpoints' history."""
        last, now = self._read_last_runtime(), self.runtime.name
        if last and last != now:
            raise WorldError(
                f"this project runs under the runtime {last}, not {now}",
                why="two at once would share its port and its history",
                fix=f"`sagespec destroy --runtime {last}` first; models and history stay in the store",
            )

    def _read_last_runtime(self) -> str:
        return self._last_runtime.read_text().strip() if self._last_runtime.is_file() else ""

    @property
    def _last_runtime(self) -> Path:
        """Where the runtime of the last apply is noted, for `auto` to stay with it. Nothing else depends on it."""
        return self.root / ".sagespec" / "runtime"

    @cached_property
    def gateway(self) -> Gateway:
        return Gateway(self.runtime, self.settings.name, self.settings.gateway)

    @cached_property
    def scratch(self) -> Path:
        """A folder for what may be lost, on the disk of the project."""
        folder = self.root / ".sagespec" / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def cache(self) -> Cache:
        """What was fetched from S3."""
        return Cache(self.root / ".sagespec" / "cache", self.settings.cache_size)

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.runtime, self.root, self.cache, self.root / ".sagespec" / "channels")

    def world(self) -> World:
        """All that actions act on, as of now."""
        git = git_state(self.root)
        trainer = Trainer(
            self.runtime, self.records, self._inputs, self._metrics_of_builtins, self.root, self.scratch, git
        )
        return World(self.runtime, self.gateway, self.records, trainer, self.root, self.scratch, git)

    # -- looking -----------------------------------------------------------------------------------

    def load(self) -> Loaded:
        """The specs as written. SpecError with every problem of every file."""
        return load(self._specs, self.root, check_paths=False)

    def desired(self, *, check_paths: bool = True) -> tuple[Desired, Mapping[Address, Manifest]]:
        """What the specs ask for, and the manifests that were read to know it.

        check_paths: SpecError when local data is missing that a job not trained yet would read, or a model
        archive. Data of trained jobs may be gone: the model is in the store.
        """
        loaded = self.load()
        manifests = self.records.manifests(wanted_manifests(loaded))
        return self._resolved(loaded, manifests, check_paths=check_paths), manifests

    def _resolved(self, loaded: Loaded, manifests: Mapping[Address, Manifest], *, check_paths: bool) -> Desired:
        done = {address for address, manifest in manifests.items() if manifest.status is JobStatus.COMPLETED}
        read = [item for item in loaded.specs if check_paths and item.address not in done]
        missing = [problem for item in read for problem in missing_paths(item)]
        try:
            desired = resolve(
                loaded, root=self.root, images=self.images, manifests=manifests, fingerprint=self._fingerprint
            )
        except SpecError as wrong:
            problems = {*missing, *wrong.problems}
            raise SpecError(sorted(problems, key=lambda problem: problem.where or Origin(""))) from None
        if missing:
            raise SpecError(missing)
        return desired

    def look(self, *, check_paths: bool = True) -> tuple[Desired, Observed]:
        """Both sides, as of now."""
        desired, manifests = self.desired(check_paths=check_paths)
        done = {address for address, manifest in manifests.items() if manifest.status is JobStatus.COMPLETED}
        needing = any(needs_of(job) for job in desired.jobs if job.address not in done)
        return desired, observe(self.runtime, self.gateway, self.records, manifests, with_capacity=needing)

    @staticmethod
    def _fingerprint(uri: str) -> str:
        entries = open_store(uri, create=False).entries()
        if not entries:
            raise WorldError(f"there is nothing at {uri}", fix="check the address")
        return entries[0].etag

    def validate(self) -> Validated:
        """Check the specs, all references included. SpecError with everything that is wrong.

        A variant may name a job that only the store knows; where the store does not answer, that is noted
        rather than refused.
        """
        loaded = self.load()
        notes: tuple[str, ...] = ()
        try:
            manifests = self.records.manifests(wanted_manifests(loaded))
        except WorldError as error:
            manifests, notes = {}, (f"the store was not asked: {error.problems[0].what}",)
        self._resolved(loaded, manifests, check_paths=True)
        jobs = sum(item.address.kind == "job" for item in loaded.specs)
        return Validated(jobs, len(loaded.specs) - jobs, loaded.files, notes)

    def plan(self, options: Options | None = None) -> Plan:
        """What `apply` would do now."""
        self._refuse_partial_prune(options)
        desired, observed = self.look()
        return reconcile(desired, observed, datetime.now(UTC), options)

    def _refuse_partial_prune(self, options: Options | None) -> None:
        """A single file says nothing of what the others want."""
        files = [path for path in self._specs if path.is_file()]
        if options and options.prune and files:
            raise SpecError(
                f"--prune with -f {files[0]} would remove whatever the other files name",
                why="what is in no spec can be told only from all of them",
                fix="leave out -f, or give the folder",
            )

    # -- doing -------------------------------------------------------------------------------------

    def apply(
        self,
        options: Options | None = None,
        *,
        report: Report = silent,
        cancelled: threading.Event | None = None,
        wait_for_lock_seconds: float = 0.0,
    ) -> Converged:
        """Make what runs agree with the specs; returns when all is as specified or has failed."""
        self.desired()  # wrong specs are told before anything is locked or touched
        self._refuse_partial_prune(options)
        with self._locked("apply", report, wait_for_lock_seconds) as lock:
            caller = Caller(report, cancelled or threading.Event(), lock.check)
            return converge(self.look, self.world(), options or Options(), caller)

    def watch(
        self,
        options: Options | None = None,
        *,
        report: Report = silent,
        cancelled: threading.Event | None = None,
        every_seconds: float = 30.0,
    ) -> None:
        """Apply on every change of a spec, on every event of the engine, and every so often, until cancelled.

        The lock is held only while something is done, so a person may apply beside it.
        """
        from sagespec.watch import watch

        stop = cancelled or threading.Event()
        asked = options or Options()
        report(Event(EventKind.RUNTIME, text=self.runtime_reason or self.runtime.name))

        def pause(seconds: float) -> None:
            if stop.wait(seconds):
                raise WorldError("stopped while another run was waited for")

        def converge_once() -> Converged:
            nonlocal asked
            self._read_settings_again()
            plan = self.plan(asked)
            if not plan.actions:
                return Converged(plan)  # nothing to do needs no lock: it is written to the store each time
            with self._locked("watch", report, LOCK_WAIT_OF_WATCH_SECONDS, pause=pause, say_runtime=False) as lock:
                this_time, asked = asked, replace(asked, retry=False)  # a retry is one try
                return converge(self.look, self.world(), this_time, Caller(report, stop, lock.check))

        paths = [*self._specs, self.root / "sagespec.yaml"]
        watch(converge_once, self.runtime, paths, report, stop, every_seconds=every_seconds)

    def _read_settings_again(self) -> None:
        """Let an edited sagespec.yaml count from here on; a project cannot change its name while it is open."""
        before = self.settings
        del self.__dict__["settings"]
        if self.settings.name != before.name:
            raise SpecError(
                f"the project is called {self.settings.name} now, and was {before.name}",
                why="its containers and records go by its name",
                fix="name it as before, or destroy it under the old name and start anew",
            )
        if self.settings != before:
            for part in ("store", "records", "gateway"):
                self.__dict__.pop(part, None)

    def destroy(
        self,
        *,
        report: Report = silent,
        cancelled: threading.Event | None = None,
        wait_for_lock_seconds: float = 0.0,
    ) -> Converged:
        """Remove all of this project's containers, the gateway and the network. What is in the store stays;
        protected endpoints stay too, and are refused by name."""

        def look() -> tuple[Desired, Observed]:
            return empty_desired(self.settings), observe(self.runtime, self.gateway, self.records, {})

        options = Options(prune=True, allow_empty=True, destroy=True)
        with self._locked("destroy", report, wait_for_lock_seconds) as lock:
            caller = Caller(report, cancelled or threading.Event(), lock.check)
            result = converge(look, self.world(), options, caller)
            if result.ok:
                self.runtime.destroy()
                self._last_runtime.unlink(missing_ok=True)
            return result

    def plan_destroy(self) -> Plan:
        """What `destroy` would do now."""
        observed = observe(self.runtime, self.gateway, self.records, {})
        options = Options(prune=True, allow_empty=True, destroy=True)
        return reconcile(empty_desired(self.settings), observed, datetime.now(UTC), options)

    def stop(
        self,
        address: Address,
        *,
        reason: str = "",
        report: Report = silent,
        cancelled: threading.Event | None = None,
    ) -> Manifest:
        """End a job that runs, fetches its data or waits for its turn; its manifest, once it has ended.

        SIGTERM, 120 s, SIGKILL; what lies in model/ then is kept. Whoever follows the job does it, and where nobody
        does, this. The job is not run again until its spec changes or a retry is asked for. WorldError when there
        is nothing to stop. Setting `cancelled` ends the waiting, and not the request.
        """
        desired, observed = self.look(check_paths=False)
        job, before = desired.job(address), self.records.manifests([address]).get(address)
        self._refuse_to_stop(address, desired, observed, before)
        assert job is not None, "the refusals begin with what no spec names"
        by = who_is_here() + (f" ({reason})" if reason else "")
        request = ask_to_stop(self.records, address, by, before)
        report(Event(EventKind.NOTE, str(address), f"asked to stop by {request.by}", action="stop"))
        leave = cancelled or threading.Event()

        only_it = replace(desired, jobs=(job,), endpoints=())

        def look_at_it() -> tuple[Desired, Observed]:
            return only_it, self.look(check_paths=False)[1]

        def how_it_ended() -> Manifest | None:
            manifest = self.records.manifests([address]).get(address)
            return manifest if manifest and (before is None or manifest.ended_at != before.ended_at) else None

        while True:
            if manifest := how_it_ended():
                return manifest
            try:
                with self._locked("stop", report, 0.0, say_runtime=False) as lock:
                    # Whoever had the lock may have ended it, and forgotten the request: it would be run once more.
                    if how_it_ended():
                        continue
                    # What failed before is over, and is not to be asked about again.
                    converge(look_at_it, self.world(), Options(retry=True), Caller(report, leave, lock.check))
            except LockHeld:
                pass  # they see the request, too
            if leave.wait(STOP_SEEN_EVERY_SECONDS):
                raise WorldError(f"{address} has not ended yet", why="the request stays, and is carried out without us")

    def _refuse_to_stop(
        self, address: Address, desired: Desired, observed: Observed, manifest: Manifest | None
    ) -> None:
        """WorldError when there is nothing to stop."""
        containers = observed.containers_of(address)
        if desired.job(address) is None:
            if containers:
                raise WorldError(f"{address} is in no spec", fix="`sagespec apply --prune` ends and removes it")
            known = [str(job) for job in {*(job.address for job in desired.jobs), *self.records.all_jobs()}]
            if str(address) not in known:
                fix = did_you_mean(str(address), known) or "see `sagespec status` for the jobs there are"
                raise WorldError(f"there is no {address}", fix=fix)
        if manifest and not begun_after(manifest, containers):
            at = manifest.ended_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            raise WorldError(f"{address} does not run: it ended at {at} ({manifest.verdict.splitlines()[0]})")
        if not containers:
            with suppress(LockHeld):  # by somebody who has it wait, or fetches its data
                with project_lock(self.store, self.settings.name, command="stop"):
                    raise WorldError(f"{address} does not run, and nobody is about to run it")

    def rollback(
        self,
        endpoint_name: str,
        *,
        to: int | None = None,
        reason: str = "",
        report: Report = silent,
        cancelled: threading.Event | None = None,
        wait_for_lock_seconds: float = 0.0,
    ) -> Converged:
        """Serve an earlier revision again: number `to`, or the live one before the present.

        What was live is marked as rolled back and is not put back until its spec changes, so the next apply
        does not undo this.
        """
        with self._locked("rollback", report, wait_for_lock_seconds) as lock:
            if to is None and self._is_being_rolled_back(endpoint_name):
                report(Event(EventKind.NOTE, f"endpoint/{endpoint_name}", "an earlier roll-back is carried out"))
            else:
                self._record_rollback(endpoint_name, to, reason)
            caller = Caller(report, cancelled or threading.Event(), lock.check)
            return converge(self.look, self.world(), Options(), caller)

    def _is_being_rolled_back(self, endpoint_name: str) -> bool:
        """Whether a roll-back was recorded and its models do not have the traffic yet: it was cut short."""
        live = live_revision(self.records.revisions([endpoint_name]).get(endpoint_name, ()))
        if live is None or not live.instead_of:
            return False
        route = self.gateway.observe(self.runtime.containers()).routes.get(endpoint_name)
        served = {(target.variant, target.hash) for target in route.targets if target.instances} if route else set()
        wanted = {(variant.name, variant.hash) for variant in desired_endpoint(endpoint_name, live.asked).variants}
        return not wanted <= served

    def _record_rollback(self, endpoint_name: str, to: int | None, reason: str) -> None:
        history = self.records.history(endpoint_name)
        live = live_revision(history)
        if live is None:
            raise self._unknown_endpoint(endpoint_name, "has never been live")
        target = rollback_target(history, live, to)
        now, git = datetime.now(UTC), git_state(self.root)
        # The new revision first: killed between the two, it is what counts, and the mark is for people.
        self.records.write_revision(
            Revision(
                endpoint=endpoint_name,
                number=history[-1].number + 1,
                hash=target.hash,
                status=RevisionStatus.LIVE,
                asked=target.asked,
                reason=reason or f"rolled back to revision {target.number}",
                instead_of=live.hash,
                git=git,
                started_at=now,
                ended_at=now,
            )
        )
        self.records.write_revision(
            live.model_copy(update={"status": RevisionStatus.ROLLED_BACK, "reason": reason, "ended_at": now})
        )

    @contextmanager
    def _locked(
        self,
        command: str,
        report: Report,
        wait_seconds: float,
        *,
        pause: Callable[[float], object] = time.sleep,
        say_runtime: bool = True,
    ) -> Iterator[ProjectLock]:
        self._refuse_other_runtime()
        if say_runtime:
            report(Event(EventKind.RUNTIME, text=self.runtime_reason or self.runtime.name))
        with project_lock(
            self.store, self.settings.name, command=command, wait_seconds=wait_seconds, report=report, sleep=pause
        ) as lock:
            self._sweep_scratch()
            self._last_runtime.write_text(self.runtime.name + "\n")
            yield lock
            self._inputs.sweep(self.settings.name)

    def _sweep_scratch(self) -> None:
        """Throw away what a killed run left; nobody else uses the folder while the lock is held."""
        for left in self.scratch.iterdir():
            shutil.rmtree(left, ignore_errors=True)
        self._inputs.sweep(self.settings.name)

    # -- asking ------------------------------------------------------------------------------------

    def history(self, endpoint_name: str) -> tuple[Revision, ...]:
        """All revisions of an endpoint, oldest first; WorldError when there is none."""
        revisions = self.records.history(endpoint_name)
        if not revisions:
            raise self._unknown_endpoint(endpoint_name, "has no history")
        return revisions

    def manifest(self, address: Address) -> Manifest:
        """The manifest of a job; WorldError when it has none."""
        manifest = self.records.manifests([address]).get(address)
        if manifest is None:
            known = [str(job) for job in self.records.all_jobs()]
            raise WorldError(f"{address} has no manifest in {self.store.uri}", fix=did_you_mean(str(address), known))
        return manifest

    def logs(self, address: Address, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[str, str]]:
        """Pairs (address of the container, line). A job's come from its containers while it has some, from the
        store afterwards. WorldError when there is nothing of that name."""
        containers = [c for c in self.runtime.containers() if is_within(c.address, address)]
        if containers:
            yield from merged(self.runtime, containers, follow=follow, tail=tail)
            return
        if address.kind != "job":
            raise WorldError(f"{address} has no containers", fix="see `sagespec status` for what runs")
        manifest = self.manifest(address.whole)
        for name, artifact in sorted(manifest.artifacts.items()):
            if not name.startswith("logs/"):
                continue
            content = self.store.read(self.records.job_key(address.whole, artifact.key))
            lines = content[0].decode(errors="replace").splitlines() if content else []
            yield from ((name.removeprefix("logs/"), line) for line in (lines[-tail:] if tail else lines))

    def series(
        self, address: Address, metric_names: Sequence[str] = (), *, follow: bool = False, every_seconds: float = 1.0
    ) -> Iterator[Series]:
        """The metrics of a job as series: once, or with `follow`, while it runs, again and again.

        metric_names: only these. WorldError when the job has printed none of them.
        """
        if address.kind != "job":
            raise WorldError(f"{address} is no job, and has no metrics", fix="name a job: job/NAME@VERSION")
        for series in self._all_series(address.whole, follow, every_seconds):
            yield self._chosen(address.whole, series, metric_names, may_come=follow)

    def _all_series(self, address: Address, follow: bool, every_seconds: float) -> Iterator[Series]:
        hosts = (c for c in self.runtime.containers() if c.address.whole == address and not c.address.is_companion)
        names = [c.name for c in sorted(hosts, key=lambda host: host.address.instance or 0)]
        job = self.desired(check_paths=False)[0].job(address) if names else None
        since = began_at(self.runtime, names[0]) if names else None
        if job is None or since is None:
            yield self.manifest(address).series
            return
        patterns = patterns_of(job, self._metrics_of_builtins)
        if follow:
            yield from followed_series(self.runtime, names, patterns, since, every_seconds=every_seconds)
        else:
            yield series_so_far(self.runtime, names, patterns, since)

    def _chosen(self, address: Address, series: Series, metric_names: Sequence[str], *, may_come: bool) -> Series:
        chosen = {name: points for name, points in series.items() if name in metric_names or not metric_names}
        missing = [name for name in metric_names if name not in series]
        if may_come or (chosen and not missing):
            return chosen
        raise WorldError(
            f"{address} has printed no metric {missing[0]}" if missing else f"{address} has printed no metrics",
            why=f"it has {', '.join(series)}" if series else "metrics are found in its lines by regular expressions",
            fix=(did_you_mean(missing[0], series) if missing else "")
            or "declare what its program prints under `metrics` in the spec",
        )

    def invoke(
        self,
        endpoint_name: str,
        body: bytes,
        *,
        content_type: str = "text/csv",
        accept: str | None = None,
        variant: str | None = None,
        custom_attributes: str | None = None,
        inference_id: str | None = None,
    ) -> Answer:
        """POST `body` to the endpoint through the gateway, as SageMaker's InvokeEndpoint does. Any status is an
        answer; WorldError when the gateway is not there."""
        headers = {
            "Content-Type": content_type,
            "Accept": accept,
            "X-Amzn-SageMaker-Target-Variant": variant,
            "X-Amzn-SageMaker-Custom-Attributes": custom_attributes,
            "X-Amzn-SageMaker-Inference-Id": inference_id,
        }
        if len(body) > LARGEST_BODY_BYTES:  # the gateway would hang up before it is sent
            raise SpecError(
                f"the body has {len(body)} bytes, over the limit of {LARGEST_BODY_BYTES}",
                why="SageMaker's real-time endpoints take 25 MiB",
                fix="send fewer rows at a time",
            )
        url = urlsplit(self.gateway_url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=INVOKE_TIMEOUT_SECONDS)
        try:
            connection.request(
                "POST",
                f"/endpoints/{quote(endpoint_name, safe='')}/invocations",
                body,
                {name: value for name, value in headers.items() if value is not None},
            )
            response = connection.getresponse()
            return Answer(
                status=response.status,
                body=response.read(),
                content_type=response.headers.get("Content-Type", ""),
                variant=response.headers.get("x-Amzn-Invoked-Production-Variant", ""),
                headers=dict(response.headers.items()),
            )
        except (OSError, http.client.HTTPException) as error:
            raise WorldError(
                f"the gateway does not answer at {self.gateway_url} ({error})",
                fix="start it with `sagespec apply`, or see `sagespec doctor`",
            ) from error
        except ValueError as error:  # a line break, or letters that no header can carry
            raise SpecError(f"this cannot be sent in a header: {error}", fix="use plain ASCII text") from error
        finally:
            connection.close()

    @property
    def gateway_url(self) -> str:
        """Where the gateway listens, for people: http://127.0.0.1:8080."""
        return self.settings.gateway.url

    def status(self) -> Status:
        """What is asked and what is there, side by side."""
        desired, observed = self.look(check_paths=False)
        plan = reconcile(desired, observed, datetime.now(UTC))
        counters = self.gateway.counters() if observed.gateway.answers else {}
        waits_for = what_jobs_wait_for(desired, observed, plan)
        return Status(
            jobs=tuple(
                job_state(
                    job.address,
                    observed,
                    plan,
                    live_metrics=self._live_metrics(job, observed),
                    waits_for=waits_for.get(job.address, ""),
                )
                for job in desired.jobs
            ),
            endpoints=endpoint_states(desired, observed, plan, counters, self.gateway_url),
            gateway=self.gateway_url if observed.gateway.answers else "",
            runtime=self.runtime.name,
            store=self.store.uri,
        )

    def _live_metrics(self, job: DesiredJob, observed: Observed) -> Mapping[str, float]:
        """What the containers of a running job have printed lately, whoever follows it."""
        containers = observed.containers_of(job.address)
        running = [c for c in containers if c.state is ContainerState.RUNNING and not c.address.is_companion]
        patterns = patterns_of(job, self._metrics_of_builtins)
        hosts = [FoundMetrics(patterns) for _ in running] if patterns else []
        for container, host in zip(running, hosts, strict=False):
            for at, line in self.runtime.timed_logs(container.name, tail=LINES_OF_STATUS):
                host.read(at, line)
        return latest_values(hosts)

    def image_infos(self) -> tuple[ImageInfo, ...]:
        """The built-in images, and whether the engine has them."""
        return self.runtime.images()

    def build_images(self, names: Iterable[str], report: Report = silent) -> tuple[ImageInfo, ...]:
        """Build those of the named built-in images (all when none are named) that the engine lacks."""
        wanted = tuple(names) or tuple(self.images)
        unknown = [name for name in wanted if name not in self.images]
        if unknown:
            raise SpecError(
                f"there is no built-in image named {unknown[0]!r}", fix=did_you_mean(unknown[0], self.images)
            )
        for name in wanted:
            self.runtime.prepare(
                Program(builtin=name),
                lambda text, name=name: report(Event(EventKind.PROGRESS, name, text)),  # type: ignore[misc]
            )
        return tuple(info for info in self.runtime.images() if info.name in wanted)

    def checks(self) -> tuple[Check, ...]:
        """What `doctor` looks at, each with how to mend it; never raises for what it finds."""
        from sagespec.verbs.doctor import checks

        return checks(self)

    def _unknown_endpoint(self, name: str, what: str) -> WorldError:
        known = self.records.endpoint_names()
        return WorldError(
            f"endpoint/{name} {what} in {self.store.uri}",
            fix=did_you_mean(name, known) or "see `sagespec status` for the endpoints there are",
        )
