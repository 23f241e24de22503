"""Project: what a person can do with a repository's specs, one method a verb.

The command line and notebooks both use this. Every verb either returns values or reports events; `show` decides what
people see of them, also where a notebook is given a value bare. How a verb does it stands in the file of `verbs/` with
its name.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from sagespec.display import show_values_with
from sagespec.load.load import find_root
from sagespec.load.trees import read_at
from sagespec.records.lock import PATIENCE_SECONDS, force_unlock
from sagespec.show.values import AsPeopleRead
from sagespec.spec.runtimes import RuntimeChoice
from sagespec.state.addresses import Address
from sagespec.state.sweeping import YOUNG
from sagespec.writing import Writing

if TYPE_CHECKING:
    from sagespec.converge import Converged
    from sagespec.events import Report
    from sagespec.reconcile.options import Options
    from sagespec.records.holder import Holder
    from sagespec.runtimes.protocol import ImageInfo
    from sagespec.spec.secrets import SecretSource
    from sagespec.state.manifest import Manifest
    from sagespec.state.suspension import Suspension
    from sagespec.verbs.feedback import Fed
    from sagespec.verbs.gc import Collected
    from sagespec.verbs.gc_images import ImagesCollected
    from sagespec.verbs.import_model import ServedBy
    from sagespec.verbs.steering import Asked

Cancelled = threading.Event | None


class Project(Writing):
    """The project whose sagespec.yaml is in `root`; `open` finds it.

    specs: files and folders to load; `specs/` beside sagespec.yaml when none are given. runtime
    overrides the project's setting. environment: one of environments/; '' for none, and None for the one that
    SAGESPEC_ENV names. state_dir: where the folder `.sagespec` is, if not beside sagespec.yaml: for a tree that is read
    only, or thrown away. A context manager: leaving it lets go of the engine.

        with Project.open() as project:
            project.apply()
            project.invoke("churn", [3, 5, 80.0, 0]).text

    Things are named as on the command line: churn@3, churn, churn/candidate, or an `Address`.

    Verbs that change something take the project's lock (LockHeld when somebody else keeps it for longer than
    `wait_for_lock_seconds`), report events while they work, and end early, in good order, once `cancelled` is set. In a
    notebook they show how far they are, if no `report` is given; elsewhere `report=print` does. They raise ApplyFailed
    where something has failed or was refused, unless `check` is False: then `ok` of what they return says so.
    """

    def __init__(
        self,
        root: Path,
        specs: Sequence[Path] = (),
        runtime: RuntimeChoice | None = None,
        *,
        state_dir: Path | None = None,
        environment: str | None = None,
        secrets: Mapping[str, SecretSource] | None = None,
    ) -> None:
        super().__init__(root, specs, runtime, state_dir=state_dir, environment=environment, secrets=secrets)
        show_values_with(AsPeopleRead())

    def __repr__(self) -> str:
        return f"Project({str(self.root)!r})"

    @classmethod
    def open(
        cls,
        start: Path | None = None,
        *,
        specs: Sequence[Path] = (),
        runtime: RuntimeChoice | None = None,
        state_dir: Path | None = None,
        environment: str | None = None,
    ) -> Self:
        """The project in `start` or the nearest folder above it. SpecError when there is no sagespec.yaml.

        The state folder of a source (`watch --source`) means the project as it is there.
        """
        folder = start or Path.cwd()
        if state_dir is None and (at := read_at(folder)):
            home, named = folder.absolute(), at.environment if environment is None else environment
            root, secrets = at.root_in(home), at.secrets
            return cls(root, specs, runtime, state_dir=home, environment=named, secrets=secrets)
        return cls(find_root(folder), specs, runtime, state_dir=state_dir, environment=environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the engine. Everything keeps running there."""
        self.parts.close()

    def apply(
        self,
        options: Options | None = None,
        *,
        only: Collection[Address | str] | None = None,
        report: Report | None = None,
        cancelled: Cancelled = None,
        wait_for_lock_seconds: float = PATIENCE_SECONDS,
        check: bool = True,
    ) -> Converged:
        """Make reality match the specs; returns when everything is up to date or has failed.

        only: these jobs and endpoints, with the jobs that the endpoints need. Nothing else is touched, and what is
        wrong with other specs holds nothing up. With Options(prune=True), those of them that no spec has are removed.
        """
        from sagespec.reconcile.options import Options
        from sagespec.verbs import apply

        named = None if only is None else [self._address(one) for one in only]
        with self._following(report) as told:
            done = apply.apply(
                self.parts,
                options or Options(),
                only=named,
                report=told,
                cancelled=cancelled,
                wait_for_lock_seconds=wait_for_lock_seconds,
            )
            return done.check() if check else done

    def watch(
        self,
        options: Options | None = None,
        *,
        report: Report | None = None,
        cancelled: Cancelled = None,
        every_seconds: float = 30.0,
        wakes: queue.SimpleQueue[str] | None = None,
    ) -> None:
        """Apply on every change of a spec, on every event of the engine, and every so often, until cancelled.

        The lock is held only while something is done, so a person may apply beside it. wakes: whoever has written a
        spec in this process puts "request" there, to have it applied at once.
        """
        from sagespec.reconcile.options import Options
        from sagespec.verbs.watch import watch

        with self._following(report) as told:
            given = options or Options()
            watch(self.parts, given, report=told, cancelled=cancelled, every_seconds=every_seconds, wakes=wakes)

    def stop(
        self, address: Address | str, *, reason: str = "", report: Report | None = None, cancelled: Cancelled = None
    ) -> Manifest:
        """Stop a job that is running, fetching its data or queued; returns its manifest once it has ended.

        SIGTERM, then SIGKILL after 120 s; whatever is in model/ by then is kept. The process that follows the job
        stops it; if none does, this call does. The job does not run again until its spec changes or a retry is
        requested. WorldError when there is nothing to stop. Setting `cancelled` stops waiting but keeps the request.
        """
        from sagespec.verbs import stop

        job = self.resolve_address(address, kind="job") if isinstance(address, str) else address
        with self._following(report) as told:
            return stop.stop(self.parts, job, reason=reason, report=told, cancelled=cancelled)

    def rollback(
        self,
        endpoint_name: str,
        *,
        to: int | None = None,
        reason: str = "",
        plan_digest: str | None = None,
        report: Report | None = None,
        cancelled: Cancelled = None,
        wait_for_lock_seconds: float = PATIENCE_SECONDS,
        check: bool = True,
    ) -> Converged:
        """Serve an earlier revision again: number `to`, or the one that was live before the present one.

        What was live is marked as rolled back and is not put back until its spec changes, so the next apply
        does not undo this. plan_digest: SpecError where its plan has another digest by now.
        """
        from sagespec.verbs import rollback

        with self._following(report) as told:
            done = rollback.rollback(
                self.parts,
                endpoint_name.removeprefix("endpoint/"),
                to=to,
                reason=reason,
                plan_digest=plan_digest,
                report=told,
                cancelled=cancelled,
                wait_for_lock_seconds=wait_for_lock_seconds,
            )
            return done.check() if check else done

    def promote(
        self,
        endpoint_name: str,
        *,
        reason: str = "",
        report: Report | None = None,
        cancelled: Cancelled = None,
        check: bool = True,
    ) -> Converged:
        """End the endpoint's rollout at once, with all of the traffic on the new revision. WorldError where there is
        none."""
        from sagespec.verbs import steering

        return self._steer(endpoint_name, steering.PROMOTE, reason, report, cancelled=cancelled, check=check)

    def abort(
        self,
        endpoint_name: str,
        *,
        reason: str = "",
        report: Report | None = None,
        cancelled: Cancelled = None,
        check: bool = True,
    ) -> Converged:
        """End the endpoint's rollout at once, with all of the traffic back on what was live before. The new revision is
        not tried again until its spec changes. WorldError where there is no rollout."""
        from sagespec.verbs import steering

        return self._steer(endpoint_name, steering.ABORT, reason, report, cancelled=cancelled, check=check)

    def _steer(
        self,
        endpoint_name: str,
        asked: Asked,
        reason: str,
        report: Report | None,
        *,
        cancelled: Cancelled,
        check: bool,
    ) -> Converged:
        from sagespec.verbs import steering

        name = endpoint_name.removeprefix("endpoint/")
        with self._following(report) as told:
            done = steering.steer(self.parts, name, asked, reason=reason, report=told, cancelled=cancelled)
            return done.check() if check else done

    def restart(
        self,
        name: str,
        *,
        variant: str | None = None,
        reason: str = "",
        report: Report | None = None,
        cancelled: Cancelled = None,
        wait_for_lock_seconds: float = PATIENCE_SECONDS,
        check: bool = True,
    ) -> Converged:
        """Replace the containers of an endpoint (of one of its variants), or those of `gateway`, by new ones from the
        images of this release. Of an endpoint no request is lost; the new containers are a revision of its own."""
        from sagespec.verbs import restart
        from sagespec.verbs.addresses import restartable

        with self._following(report) as told:
            done = restart.restart(
                self.parts,
                restartable(name),
                variant=variant,
                reason=reason,
                report=told,
                cancelled=cancelled,
                wait_for_lock_seconds=wait_for_lock_seconds,
            )
            return done.check() if check else done

    def suspend(
        self,
        name: Address | str | None = None,
        *,
        reason: str,
        until: datetime | None = None,
        report: Report | None = None,
    ) -> Suspension:
        """Keep every run from changing an endpoint, a job, a notebook, or the whole project (None), repairs included,
        until `until` or `resume`. What was begun is ended; `rollback` and the like still do what they are asked to."""
        from sagespec.verbs import suspend

        address = None if name is None else self._address(name)
        with self._following(report) as told:
            return suspend.suspend(self.parts, address, reason=reason, until=until, report=told)

    def resume(self, name: Address | str | None = None) -> Suspension:
        """End a suspension, which is returned. WorldError where there is none."""
        from sagespec.verbs import suspend

        return suspend.resume(self.parts, None if name is None else self._address(name))

    def import_model(
        self,
        archive: Path,
        version: str,
        served_by: ServedBy | None = None,
        *,
        metrics: Mapping[str, float] | None = None,
    ) -> Manifest:
        """Take a model.tar.gz that was trained elsewhere into the store as this version (churn@1), which then counts as
        trained. served_by: where it has no spec. WorldError where anything is known of that version."""
        from sagespec.verbs.import_model import ServedBy, import_model

        served_by = served_by or ServedBy()
        return import_model(self.parts, archive, version, served_by, metrics=metrics or {})

    def feedback(self, endpoint_name: str, text: str) -> Fed:
        """Take ground truth for predictions, a JSON object a line, as rewards. SpecError with every line that is wrong;
        then none is taken."""
        from sagespec.verbs import feedback

        return feedback.feedback(self.parts, endpoint_name.removeprefix("endpoint/"), text)

    def destroy(
        self,
        *,
        even_suspended: bool = False,
        report: Report | None = None,
        cancelled: Cancelled = None,
        wait_for_lock_seconds: float = PATIENCE_SECONDS,
        check: bool = True,
    ) -> Converged:
        """Remove all of this project's containers, the gateway and the network. Everything in the store is kept;
        protected endpoints stay too, and are refused by name."""
        from sagespec.verbs import apply

        with self._following(report) as told:
            done = apply.destroy(
                self.parts,
                even_suspended=even_suspended,
                report=told,
                cancelled=cancelled,
                wait_for_lock_seconds=wait_for_lock_seconds,
            )
            return done.check() if check else done

    def gc(
        self,
        step: Literal["look", "mark", "sweep"] = "look",
        *,
        older_than: timedelta = YOUNG,
        report: Report | None = None,
        wait_for_lock_seconds: float = PATIENCE_SECONDS,
    ) -> Collected:
        """What models the store has that nothing needs; mark: their week of waiting begins; sweep: those that have
        waited are deleted. Specs of all environments count."""
        from sagespec.verbs import gc

        with self._following(report) as told:
            return gc.collect(
                self.parts, step, older_than=older_than, report=told, wait_for_lock_seconds=wait_for_lock_seconds
            )

    def gc_images(self, *, sweep: bool = False, older_than: timedelta = YOUNG) -> ImagesCollected:
        """The images that sagespec has built on this engine and that nothing needs; sweep: they are removed."""
        from sagespec.verbs.gc_images import collect_images

        return collect_images(self.parts, is_sweep=sweep, older_than=older_than)

    def gc_restore(self, job: Address | str, archive: Path | None = None, *, report: Report | None = None) -> Manifest:
        """Give a job that was swept its model back, from a copy, or from what lies in the store."""
        from sagespec.verbs import gc

        with self._following(report) as told:
            return gc.restore(self.parts, self._job(job), archive, report=told)

    def unlock(self, lock_id: str) -> Holder:
        """Take the lock from a dead holder, who is returned. WorldError when the lock has another id."""
        return force_unlock(self.parts.store, self.parts.settings.name, lock_id)

    def build_images(self, names: Iterable[str] = (), *, report: Report | None = None) -> tuple[ImageInfo, ...]:
        """Build those of the named built-in images (all when none are named) that the engine lacks."""
        from sagespec.verbs import images

        with self._following(report) as told:
            return images.build_images(self.parts, names, told)

    def _following(self, report: Report | None) -> AbstractContextManager[Report]:
        """The report of one verb: what was given, else a display in a notebook, else nothing."""
        from sagespec.run.patterns import patterns_of
        from sagespec.show.live import following

        return following(report, lambda job: patterns_of(job, self.parts.metrics_of_builtins))
