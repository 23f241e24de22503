"""Makes reality agree with the specs, or removes all of it."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import replace
from functools import partial

from sagespec.converge import Converged, converge
from sagespec.events import Report
from sagespec.parts import Parts
from sagespec.passes import Run
from sagespec.reconcile.options import Options
from sagespec.records.leases import AtWork
from sagespec.standby import Standby
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed
from sagespec.verbs.locked import run_of, take_back_of
from sagespec.verbs.models_changed import live_now, notes_on_models
from sagespec.verbs.only import refuse_what_no_spec_has
from sagespec.verbs.plan import DESTROY, bare_snapshot, desired, refuse_partial_prune, snapshot
from sagespec.verbs.secrets import with_secrets
from sagespec.verbs.signed import refuse_unsigned
from sagespec.verbs.suspend import refuse_suspended

USED_AGAIN = "a later run uses the project again: what it has applied stays, and so do the network and the volumes"


def apply(
    parts: Parts,
    options: Options,
    *,
    only: Collection[Address] | None = None,
    report: Report,
    cancelled: threading.Event | None,
    wait_for_lock_seconds: float,
) -> Converged:
    if only is not None:
        return _apply_only(parts, options, frozenset(only), report, cancelled, wait_seconds=wait_for_lock_seconds)
    parts.read_settings_again()  # a project stays open in a notebook while its files are edited
    refuse_unsigned(parts)
    desired(parts)  # wrong specs are reported before anything is locked or touched
    refuse_partial_prune(parts, options)
    look = partial(look_again, parts)
    before = live_now(parts)
    run = run_of(parts, "apply", look, options, report=report, cancelled=cancelled, wait_seconds=wait_for_lock_seconds)
    done = _converged(parts, run)
    notes = notes_on_models(parts, before, live_now(parts)) if done.outcomes else ()
    return replace(done, plan=replace(done.plan, notes=(*done.plan.notes, *notes)))


def _apply_only(
    parts: Parts,
    options: Options,
    only: frozenset[Address],
    report: Report,
    cancelled: threading.Event | None,
    *,
    wait_seconds: float,
) -> Converged:
    """Its command is not `apply`: other runs do not rely on it for the rest of the specs."""
    parts.read_settings_again()
    refuse_unsigned(parts)
    if not options.prune:
        refuse_what_no_spec_has(parts, only)
    desired(parts, only=only)

    def look(at_work: AtWork) -> tuple[Desired, Observed]:
        parts.read_settings_again()
        wanted, observed = snapshot(parts, at_work, only=only, asks_secrets=True)
        return wanted, with_secrets(parts, wanted, observed)

    options = replace(options, only=frozenset(map(str, only)), allow_empty=True)
    command = f"apply {' '.join(sorted(map(str, only)))}"
    run = run_of(parts, command, look, options, report=report, cancelled=cancelled, wait_seconds=wait_seconds)
    return _converged(parts, run)


def _converged(parts: Parts, run: Run) -> Converged:
    """A rollout that it waits for is judged, too, while the store is away."""
    report = run.caller.report
    standby = Standby(None, report, take_back_of(parts, report), lambda: parts.waits.seconds)
    run.around = standby.around(run.around)
    with standby:
        return converge(run)


def look_again(parts: Parts, at_work: AtWork) -> tuple[Desired, Observed]:
    """Both sides, with settings and specs as they are written now: a run may last hours."""
    parts.read_settings_again()
    refuse_unsigned(parts)
    wanted, observed = snapshot(parts, at_work, asks_secrets=True)
    return wanted, with_secrets(parts, wanted, observed)


def destroy(
    parts: Parts,
    *,
    even_suspended: bool = False,
    report: Report,
    cancelled: threading.Event | None,
    wait_for_lock_seconds: float,
) -> Converged:
    if not even_suspended:
        refuse_suspended(parts)
    look = partial(bare_snapshot, parts)
    options = replace(DESTROY, even_suspended=even_suspended)
    run = run_of(
        parts, "destroy", look, options, report=report, cancelled=cancelled, wait_seconds=wait_for_lock_seconds
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
