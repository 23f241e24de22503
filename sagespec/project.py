"""Project: what a person can do with a repository's specs, one method a verb.

The command line and notebooks both use this. Every verb either returns values or reports events; `show` decides what
people see of them. How a verb does it stands in the file of `verbs/` with its name.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

from sagespec.converge import Converged
from sagespec.events import Report, silent
from sagespec.load.load import find_root
from sagespec.parts import Parts, RuntimeChoice
from sagespec.plan import Plan
from sagespec.reconcile.options import Options
from sagespec.records.holder import Holder
from sagespec.records.lock import PATIENCE_SECONDS, force_unlock
from sagespec.runtimes.protocol import Check, ImageInfo
from sagespec.state.addresses import Address
from sagespec.state.manifest import Manifest
from sagespec.state.revision import Revision
from sagespec.verbs import (
    addresses,
    apply,
    doctor,
    history,
    images,
    invoke,
    logs,
    metrics,
    plan,
    restart,
    rollback,
    status,
    stop,
)
from sagespec.verbs.addresses import restartable
from sagespec.verbs.history import Recorded
from sagespec.verbs.invoke import Answer, Headers
from sagespec.verbs.metrics import Series
from sagespec.verbs.plan import Validated
from sagespec.verbs.states import Status
from sagespec.verbs.watch import watch

Cancelled = threading.Event | None


class Project:
    """The project whose sagespec.yaml is in `root`; `open` finds it.

    specs: files and folders to load; `specs/` beside sagespec.yaml when none are given. runtime
    overrides the project's setting. A context manager: leaving it lets go of the engine.

        with Project.open() as project:
            project.apply()
            project.invoke("churn", b"1,2,3", content_type="text/csv").body

    Verbs that change something take the project's lock (LockHeld when somebody else keeps it for longer than
    `wait_for_lock_seconds`), report events while they work, and end early, in good order, once `cancelled` is set.
    """

    def __init__(self, root: Path, specs: Sequence[Path] = (), runtime: RuntimeChoice | None = None) -> None:
        self.root = root
        self.parts = Parts(root, specs, runtime)

    @classmethod
    def open(
        cls, start: Path | None = None, *, specs: Sequence[Path] = (), runtime: RuntimeChoice | None = None
    ) -> Self:
        """The project in `start` or the nearest folder above it. SpecError when there is no sagespec.yaml."""
        return cls(find_root(start or Path.cwd()), specs, runtime)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the engine. Everything keeps running there."""
        self.parts.close()

    # -- looking -----------------------------------------------------------------------------------

    def validate(self) -> Validated:
        """Check the specs, all references included. SpecError with everything that is wrong.

        A variant may name a job that only the store knows; where the store does not answer, that is noted
        rather than refused.
        """
        return plan.validate(self.parts)

    def plan(self, options: Options | None = None) -> Plan:
        """What `apply` would do now."""
        return plan.plan(self.parts, options)

    def plan_destroy(self) -> Plan:
        """What `destroy` would do now."""
        return plan.plan_destroy(self.parts)

    def status(self) -> Status:
        """The specs compared with reality: each job and endpoint with its state; and the runs that watch or wait."""
        return status.status(self.parts)

    def logs(self, address: Address, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[str, str]]:
        """Pairs (address of the container, line). A job's come from its containers while it has some, from the
        store afterwards. WorldError when nothing has that address."""
        return logs.logs(self.parts, address, follow=follow, tail=tail)

    def series(
        self, address: Address, metric_names: Sequence[str] = (), *, follow: bool = False, every_seconds: float = 1.0
    ) -> Iterator[Series]:
        """The metrics of a job as series: once, or with `follow`, again and again while it runs.

        metric_names: only these. WorldError when the job has printed none of them.
        """
        return metrics.series(self.parts, address, metric_names, follow=follow, every_seconds=every_seconds)

    def leading_jobs(self, words: Sequence[str]) -> tuple[Address, ...]:
        """The jobs that the first of these words name; of a word that may be a metric, too, if there is such a job."""
        return addresses.leading_jobs(words, addresses.known_addresses(self.parts))

    def history(self, endpoint_name: str) -> tuple[Revision, ...]:
        """All revisions of an endpoint, oldest first; WorldError when there is none."""
        return history.history(self.parts, endpoint_name)

    def manifest(self, address: Address) -> Manifest:
        """The manifest of a job; WorldError when it has none."""
        return history.manifest(self.parts, address)

    def recorded(self, name: str | None = None) -> Recorded:
        """Revisions and manifests in the store: all, or those that `name` (churn, churn@3, job/churn) may mean.
        WorldError when nothing has that name."""
        return history.recorded(self.parts, name)

    def resolve_address(self, text: str, *, kind: Literal["job"] | None = None) -> Address:
        """The address meant by a short form: churn, churn@3, churn/candidate. WorldError when nothing is near it.

        kind: "job" for the jobs alone.
        """
        if kind is None and (running := addresses.running_address(self.parts, text)):
            return running
        known = addresses.known_addresses(self.parts)
        return addresses.resolve_job(text, known) if kind == "job" else addresses.resolve_address(text, known)

    def checks(self) -> tuple[Check, ...]:
        """Everything sagespec needs, checked, each with how to fix it; never raises for what it finds."""
        return doctor.checks(self.parts)

    def image_infos(self) -> tuple[ImageInfo, ...]:
        """The built-in images, and whether the engine has them."""
        return self.parts.runtime.images()

    @property
    def runtime_reason(self) -> str:
        """Which engine was chosen, and why; '' before it was needed."""
        return self.parts.runtime_reason

    @property
    def gateway_url(self) -> str:
        """Where the gateway listens, for people: http://127.0.0.1:8080."""
        return self.parts.gateway_url

    def endpoint_urls(self) -> dict[str, str]:
        """Where the endpoints of the specs answer, by name."""
        named = (item.address for item in plan.load_specs(self.parts).specs)
        return {name: self.endpoint_url(name) for name in sorted(a.name for a in named if a.kind == "endpoint")}

    def endpoint_url(self, endpoint_name: str) -> str:
        return f"{self.gateway_url}/endpoints/{endpoint_name}/invocations"

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
        answer; WorldError when the gateway does not answer."""
        headers = Headers(content_type, accept, variant, custom_attributes, inference_id)
        return invoke.invoke(self.gateway_url, endpoint_name, body, headers)

    # -- doing -------------------------------------------------------------------------------------

    def apply(
        self,
        options: Options | None = None,
        *,
        report: Report = silent,
        cancelled: Cancelled = None,
        wait_for_lock_seconds: float = PATIENCE_SECONDS,
    ) -> Converged:
        """Make reality match the specs; returns when everything is up to date or has failed."""
        return apply.apply(
            self.parts,
            options or Options(),
            report=report,
            cancelled=cancelled,
            wait_for_lock_seconds=wait_for_lock_seconds,
        )

    def watch(
        self,
        options: Options | None = None,
        *,
        report: Report = silent,
        cancelled: Cancelled = None,
        every_seconds: float = 30.0,
    ) -> None:
        """Apply on every change of a spec, on every event of the engine, and every so often, until cancelled.

        The lock is held only while something is done, so a person may apply beside it.
        """
        watch(self.parts, options or Options(), report=report, cancelled=cancelled, every_seconds=every_seconds)

    def stop(
        self, address: Address, *, reason: str = "", report: Report = silent, cancelled: Cancelled = None
    ) -> Manifest:
        """Stop a job that is running, fetching its data or queued; returns its manifest once it has ended.

        SIGTERM, then SIGKILL after 120 s; whatever is in model/ by then is kept. The process that follows the job
        stops it; if none does, this call does. The job does not run again until its spec changes or a retry is
        requested. WorldError when there is nothing to stop. Setting `cancelled` stops waiting but keeps the request.
        """
        return stop.stop(self.parts, address, reason=reason, report=report, cancelled=cancelled)

    def rollback(
        self,
        endpoint_name: str,
        *,
        to: int | None = None,
        reason: str = "",
        report: Report = silent,
        cancelled: Cancelled = None,
        wait_for_lock_seconds: float = PATIENCE_SECONDS,
    ) -> Converged:
        """Serve an earlier revision again: number `to`, or the one that was live before the present one.

        What was live is marked as rolled back and is not put back until its spec changes, so the next apply
        does not undo this.
        """
        return rollback.rollback(
            self.parts,
            endpoint_name,
            to=to,
            reason=reason,
            report=report,
            cancelled=cancelled,
            wait_for_lock_seconds=wait_for_lock_seconds,
        )

    def restart(
        self,
        name: str,
        *,
        variant: str | None = None,
        reason: str = "",
        report: Report = silent,
        cancelled: Cancelled = None,
        wait_for_lock_seconds: float = PATIENCE_SECONDS,
    ) -> Converged:
        """Replace the containers of an endpoint (of one of its variants), or those of `gateway`, by new ones from the
        images of this release. Of an endpoint no request is lost; the new containers are a revision of its own."""
        return restart.restart(
            self.parts,
            restartable(name),
            variant=variant,
            reason=reason,
            report=report,
            cancelled=cancelled,
            wait_for_lock_seconds=wait_for_lock_seconds,
        )

    def destroy(
        self, *, report: Report = silent, cancelled: Cancelled = None, wait_for_lock_seconds: float = PATIENCE_SECONDS
    ) -> Converged:
        """Remove all of this project's containers, the gateway and the network. Everything in the store is kept;
        protected endpoints stay too, and are refused by name."""
        return apply.destroy(
            self.parts, report=report, cancelled=cancelled, wait_for_lock_seconds=wait_for_lock_seconds
        )

    def unlock(self, lock_id: str) -> Holder:
        """Take the lock from a dead holder, who is returned. WorldError when the lock has another id."""
        return force_unlock(self.parts.store, self.parts.settings.name, lock_id)

    def build_images(self, names: Iterable[str] = (), *, report: Report = silent) -> tuple[ImageInfo, ...]:
        """Build those of the named built-in images (all when none are named) that the engine lacks."""
        return images.build_images(self.parts, names, report)
