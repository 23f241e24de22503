"""Makes reality agree with the specs, or removes all of it."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial

from sagespec.converge import Converged, converge
from sagespec.events import Report
from sagespec.parts import Parts
from sagespec.reconcile.options import Options
from sagespec.records.leases import AtWork
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed
from sagespec.verbs.locked import run_of
from sagespec.verbs.plan import DESTROY, bare_snapshot, desired, refuse_partial_prune, snapshot

USED_AGAIN = "a later run uses the project again: what it has applied stays, and so do the network and the volumes"


def apply(
    parts: Parts, options: Options, *, report: Report, cancelled: threading.Event | None, wait_for_lock_seconds: float
) -> Converged:
    parts.read_settings_again()  # a project stays open in a notebook while its files are edited
    desired(parts)  # wrong specs are reported before anything is locked or touched
    refuse_partial_prune(parts, options)
    look = partial(look_again, parts)
    return converge(
        run_of(parts, "apply", look, options, report=report, cancelled=cancelled, wait_seconds=wait_for_lock_seconds)
    )


def look_again(parts: Parts, at_work: AtWork) -> tuple[Desired, Observed]:
    """Both sides, with settings and specs as they are written now: a run may last hours."""
    parts.read_settings_again()
    return snapshot(parts, at_work)


def destroy(
    parts: Parts, *, report: Report, cancelled: threading.Event | None, wait_for_lock_seconds: float
) -> Converged:
    look = partial(bare_snapshot, parts)
    run = run_of(
        parts, "destroy", look, DESTROY, report=report, cancelled=cancelled, wait_seconds=wait_for_lock_seconds
    )
    result = converge(run)
    if result.ok:
        with run.around.lock():
            if _is_used_again(parts):
                return replace(result, plan=replace(result.plan, notes=(*result.plan.notes, USED_AGAIN)))
            parts.runtime.destroy()
            parts.last_runtime_file.unlink(missing_ok=True)
    return result


def _is_used_again(parts: Parts) -> bool:
    """Whether a later run has applied something since all was removed; its containers may be still to come."""
    applied = parts.records.applied()
    if any(spec.hash for spec in (*applied.endpoints.values(), *applied.jobs.values())):
        return True
    return bool(bare_snapshot(parts, parts.leases().look())[1].containers)
