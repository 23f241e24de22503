"""Stops a training job early, keeping the model trained so far.

The stop is a request in the store: whoever follows the job carries it out, and where nobody does, this does.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace

from sagespec.converge import converge
from sagespec.display import second_text
from sagespec.errors import WorldError, did_you_mean
from sagespec.events import Event, EventKind, Report
from sagespec.parts import Parts
from sagespec.reconcile.options import Options
from sagespec.records.holder import who_is_here
from sagespec.records.leases import AtWork
from sagespec.records.lock import LockHeld
from sagespec.run.stops import ask_to_stop
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.manifest import Manifest
from sagespec.state.observed import Observed
from sagespec.verbs.locked import run_of
from sagespec.verbs.plan import snapshot

STOP_SEEN_EVERY_SECONDS = 0.5


def stop(parts: Parts, address: Address, *, reason: str, report: Report, cancelled: threading.Event | None) -> Manifest:
    leases = parts.leases("stop")  # one: it learns with time who is dead
    at_work = leases.look()
    wanted, observed = snapshot(parts, at_work, check_paths=False)
    before = parts.records.manifests([address]).get(address)
    _refuse(parts, address, wanted, observed, at_work, manifest=before)
    by = who_is_here() + (f" ({reason})" if reason else "")
    request = ask_to_stop(parts.records, address, by, before)
    report(Event(EventKind.NOTE, str(address), f"asked to stop by {request.by}", action="stop"))
    leave = cancelled or threading.Event()
    only_it = replace(wanted, jobs=tuple(job for job in wanted.jobs if job.address == address), endpoints=())
    while True:
        if manifest := _how_it_ended(parts, address, before):
            return manifest
        if address not in leases.look().followers:  # who would see the request, too
            with suppress(LockHeld):  # by somebody who takes long: the request stays
                _carry_out(parts, address, before, only_it, report=report, cancelled=leave)
        if not _how_it_ended(parts, address, before) and leave.wait(STOP_SEEN_EVERY_SECONDS):
            raise WorldError(f"{address} has not ended yet", why="the request stays, and is carried out without us")


def _carry_out(
    parts: Parts,
    address: Address,
    before: Manifest | None,
    only_it: Desired,
    *,
    report: Report,
    cancelled: threading.Event,
) -> None:
    def look(at_work: AtWork) -> tuple[Desired, Observed]:
        observed = snapshot(parts, at_work, check_paths=False)[1]
        # Its follower may have ended the job and deleted the request: it would run once more.
        has_ended = _how_it_ended(parts, address, before)
        return replace(only_it, jobs=()) if has_ended else only_it, observed

    # What failed before is over, and is not to be asked about again.
    converge(
        run_of(
            parts,
            "stop",
            look,
            Options(retry=True, even_suspended=True),
            report=report,
            cancelled=cancelled,
            say_runtime=False,
        )
    )


def _how_it_ended(parts: Parts, address: Address, before: Manifest | None) -> Manifest | None:
    """The job's manifest, once it is another than before."""
    manifest = parts.records.manifests([address]).get(address)
    return manifest if manifest and (before is None or manifest.ended_at != before.ended_at) else None


def _refuse(
    parts: Parts,
    address: Address,
    wanted: Desired,
    observed: Observed,
    at_work: AtWork,
    *,
    manifest: Manifest | None,
) -> None:
    """WorldError when there is nothing to stop."""
    containers = observed.containers_of(address)
    if wanted.job(address) is None:
        if containers:
            raise WorldError(f"{address} is in no spec", fix="`sagespec apply --prune` ends and removes it")
        known = [str(job) for job in {*(job.address for job in wanted.jobs), *parts.records.all_jobs()}]
        if str(address) not in known:
            fix = did_you_mean(str(address), known) or "see `sagespec status` for the jobs there are"
            raise WorldError(f"there is no {address}", fix=fix)
    if manifest and not observed.unrecorded(address):
        at = second_text(manifest.ended_at)
        raise WorldError(f"{address} is not running: it ended at {at} ({manifest.verdict.splitlines()[0]})")
    is_queued = any(str(address) in run.doing.queued for run in at_work.runs)
    if not containers and not is_queued and address not in at_work.followers:
        raise WorldError(f"{address} is neither running nor queued")
