"""Ends a rollout before its time: its candidate takes all of the traffic at once, or gives it back.

Either is a request in the store, written without the lock, since whoever follows the rollout may hold that just now:
the next pass carries it out, whoever makes it. This makes passes of its own until the rollout is over.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from sagespec.converge import Converged, converge
from sagespec.errors import Problem, WorldError, did_you_mean
from sagespec.events import Event, EventKind, Report
from sagespec.observe import observe
from sagespec.parts import Parts
from sagespec.plan import Plan
from sagespec.reconcile.options import Options
from sagespec.records.holder import who_is_here
from sagespec.records.leases import AtWork
from sagespec.records.lock import LockHeld
from sagespec.resolve.resolve import empty_desired
from sagespec.state.addresses import Address, endpoint_address
from sagespec.state.desired import Desired, desired_endpoint
from sagespec.state.observed import Observed
from sagespec.state.progress import AbortRequest, Progress, PromoteRequest
from sagespec.state.revision import Revision, RevisionStatus
from sagespec.state.rollout import Ending
from sagespec.verbs.history import unknown_endpoint
from sagespec.verbs.locked import run_of
from sagespec.verbs.owners import refuse_others

LOCK_SECONDS = 2.0  # at a time: meanwhile whoever has it may carry the request out
SEEN_EVERY_SECONDS = 0.2


@dataclass(frozen=True)
class Asked:
    """What is asked of a rollout. command: of the run that asks. ending: how the rollout ends then. done: the word for
    it."""

    command: str
    ending: Ending
    done: str


PROMOTE = Asked("promote", Ending.PROMOTED, "promoted")
ABORT = Asked("abort", Ending.ABORTED, "taken back")


def steer(
    parts: Parts,
    endpoint_name: str,
    asked: Asked,
    *,
    reason: str,
    report: Report,
    cancelled: threading.Event | None,
) -> Converged:
    leave = cancelled or threading.Event()
    progress = _under_way(parts, endpoint_name, asked)
    _write(parts, progress, asked, reason)
    what = f"revision {progress.number} is to be {asked.done}"
    report(Event(EventKind.NOTE, str(endpoint_address(endpoint_name)), what, action=asked.command))
    done = Converged(Plan())
    while True:
        try:
            done = converge(
                run_of(
                    parts,
                    asked.command,
                    partial(_candidates_alone, parts, [progress]),
                    Options(even_suspended=True),
                    report=report,
                    cancelled=leave,
                    wait_seconds=LOCK_SECONDS,
                    say_runtime=False,
                    registers=False,
                )
            )
        except LockHeld:  # by somebody who takes long: the request stays
            done = replace(done, cancelled=leave.is_set())
        if done.cancelled:
            return done
        if ended := _ended(parts, progress):
            return _judged(done, progress, ended, asked)
        if done.failures or leave.wait(SEEN_EVERY_SECONDS):
            return replace(done, cancelled=leave.is_set())


def _under_way(parts: Parts, name: str, asked: Asked) -> Progress:
    """Its rollout. WorldError where there is none."""
    about, rollouts = endpoint_address(name), parts.leases().look().rollouts
    revisions = parts.records.revisions([name]).get(name, ())
    progress = rollouts.get(name)
    if progress and not progress.is_over(revisions):
        return progress
    if not revisions:
        raise unknown_endpoint(parts, name, "has no history")
    others = [one for one in rollouts if one != name]
    fix = did_you_mean(name, others) or (f"the ones that are rolled out now: {', '.join(others)}" if others else "")
    newest = revisions[-1]
    if newest.rollout and newest.status is RevisionStatus.LIVE and not fix:
        fix = f"`sagespec rollback {name}` takes a revision back that is live" if asked is ABORT else ""
    raise WorldError(
        f"{about} is not being rolled out, so there is nothing to {asked.command}",
        why=f"revision {newest.number} is {_word(newest)}, and no other has begun",
        fix=fix or "`sagespec status` shows what is under way",
    )


def _word(revision: Revision) -> str:
    ending = revision.rollout.ending.value if revision.rollout else revision.status.value
    return ending.replace("_", " ")


def _write(parts: Parts, progress: Progress, asked: Asked, reason: str) -> None:
    name, number, by, at = progress.endpoint, progress.number, who_is_here(), datetime.now(UTC)
    if asked is PROMOTE:
        parts.records.write_promotion(PromoteRequest(endpoint=name, number=number, reason=reason, by=by, at=at))
    else:
        parts.records.write_abort(AbortRequest(endpoint=name, number=number, reason=reason, by=by, at=at))


def rollouts_alone(parts: Parts, at_work: AtWork) -> tuple[Desired, Observed]:
    """What is being rolled out and nothing else, for the time that the specs are wrong."""
    revisions = parts.records.revisions(list(at_work.rollouts))
    rollouts = at_work.rollouts.items()
    lasting = [one for name, one in rollouts if not one.is_over(revisions.get(name, ()))]
    return _candidates_alone(parts, lasting, at_work)


def _candidates_alone(parts: Parts, rollouts: Sequence[Progress], at_work: AtWork) -> tuple[Desired, Observed]:
    """The candidates count as the specs: whatever is written there by now, and whatever is wrong with others."""
    candidates = tuple(desired_endpoint(one.endpoint, one.asked) for one in rollouts)
    variants = [variant for one in rollouts for variant in one.asked.variants]
    jobs = {Address.parse(variant.model.job) for variant in variants if variant.model.job}
    observed = observe(parts.runtime, parts.gateway, parts.records, parts.records.manifests(jobs), at_work)
    refuse_others(parts, observed.containers)
    wanted = replace(empty_desired(parts.settings), gateway_hash=parts.gateway.hash, endpoints=candidates)
    return wanted, observed


def _ended(parts: Parts, progress: Progress) -> Revision | None:
    """The revision that the rollout has become."""
    revisions = parts.records.revisions([progress.endpoint]).get(progress.endpoint, ())
    return next((one for one in revisions if one.number == progress.number), None)


def _judged(done: Converged, progress: Progress, ended: Revision, asked: Asked) -> Converged:
    """That a rollout was taken back is what an abort is for, and a problem of a promotion that came too late."""
    about = str(endpoint_address(progress.endpoint))
    refused = tuple(one for one in done.plan.refused if one.about != about)
    how = ended.rollout.ending if ended.rollout else None
    if how is not asked.ending:
        what = f"revision {progress.number} was not {asked.done}: its rollout had ended"
        refused = (*refused, Problem(what, about=about, why=ended.reason or f"it is {_word(ended)}"))
    return replace(done, plan=replace(done.plan, refused=refused, notes=()))
