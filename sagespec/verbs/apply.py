"""Makes reality agree with the specs, or removes all of it."""

from __future__ import annotations

import threading
from functools import partial

from sagespec.converge import Converged, converge
from sagespec.events import Caller, Report
from sagespec.parts import Parts
from sagespec.reconcile.options import Options
from sagespec.verbs.locked import locked
from sagespec.verbs.plan import DESTROY, bare_snapshot, desired, refuse_partial_prune, snapshot


def apply(
    parts: Parts, options: Options, *, report: Report, cancelled: threading.Event | None, wait_for_lock_seconds: float
) -> Converged:
    parts.read_settings_again()  # a project stays open in a notebook while its files are edited
    desired(parts)  # wrong specs are reported before anything is locked or touched
    refuse_partial_prune(parts, options)
    with locked(parts, "apply", report, wait_seconds=wait_for_lock_seconds) as lock:
        caller = Caller(report, cancelled or threading.Event(), lock.check)
        return converge(partial(snapshot, parts), parts.world(), options, caller)


def destroy(
    parts: Parts, *, report: Report, cancelled: threading.Event | None, wait_for_lock_seconds: float
) -> Converged:
    with locked(parts, "destroy", report, wait_seconds=wait_for_lock_seconds) as lock:
        caller = Caller(report, cancelled or threading.Event(), lock.check)
        result = converge(partial(bare_snapshot, parts), parts.world(), DESTROY, caller)
        if result.ok:
            parts.runtime.destroy()
            parts.last_runtime_file.unlink(missing_ok=True)
        return result
