"""Replaces the containers of an endpoint, or the gateway's, by new ones from the image of now; starts a notebook.

As a roll-back, it is a request in the store before anything is done: whoever makes passes carries it out, `watch` too.
What is live is restarted, whatever its spec says by now.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from sagespec.converge import Converged, converge
from sagespec.errors import Problem, WorldError, did_you_mean
from sagespec.events import Event, EventKind, Report
from sagespec.parts import Parts
from sagespec.passes import Run
from sagespec.reconcile.options import Options
from sagespec.records.holder import who_is_here
from sagespec.records.leases import AtWork
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.desired import Desired, desired_endpoint
from sagespec.state.observed import Observed
from sagespec.state.revision import RestartRequest, live_revision
from sagespec.verbs.locked import run_of
from sagespec.verbs.plan import bare_snapshot, desired, snapshot


def restart(
    parts: Parts,
    about: Address,
    *,
    variant: str | None,
    reason: str,
    report: Report,
    cancelled: threading.Event | None,
    wait_for_lock_seconds: float,
) -> Converged:
    run = run_of(
        parts,
        "restart",
        partial(_as_live, parts, about),
        Options(leaves_new=about == GATEWAY, even_suspended=True),  # what is in no revision yet is none of its business
        report=report,
        cancelled=cancelled,
        wait_seconds=wait_for_lock_seconds,
        registers=False,
    )
    with run.around.lock():
        asked = run.around.open_world().leases.look().restarts.get(about)
        is_open = asked and not _is_over(parts, asked)
        if asked and is_open and asked.variant in ("", variant):
            report(Event(EventKind.NOTE, str(about), "continuing an earlier restart"))
        else:
            both = {"variant": ""} if is_open else {}  # there is one request for an endpoint, and that is of another
            asked = _request(parts, about, variant, reason).model_copy(update=both)
            parts.records.write_restart(asked)
    converged = converge(run)
    is_done = _is_done(parts, run, asked, converged)
    if not converged.cancelled:
        _forget(run, about, asked)  # what has failed now would be tried again by whoever comes next
    plan = replace(converged.plan, notes=())
    if converged.ok and not is_done:
        why = "another run has failed to, or somebody has changed or removed it meanwhile"
        plan = replace(plan, refused=(*plan.refused, Problem("was not restarted", about=str(about), why=why)))
    return replace(converged, plan=plan)


def _as_live(parts: Parts, about: Address, at_work: AtWork) -> tuple[Desired, Observed]:
    """What is live counts as the specs: the endpoint alone, or all of them round the gateway. A notebook is as its spec
    says: nothing of it is live."""
    if about.kind == "notebook":
        wanted, observed = snapshot(parts, at_work, check_paths=False)
        notebooks = tuple(notebook for notebook in wanted.notebooks if notebook.address == about)
        return replace(wanted, jobs=(), endpoints=(), notebooks=notebooks), observed
    bare, observed = bare_snapshot(parts, at_work)
    live = (live_revision(revisions) for revisions in observed.revisions.values())
    endpoints = tuple(desired_endpoint(revision.endpoint, revision.asked) for revision in live if revision)
    mine = tuple(endpoint for endpoint in endpoints if about in (GATEWAY, endpoint.address))
    return replace(bare, gateway_hash=parts.gateway.hash, endpoints=mine), observed


def _request(parts: Parts, about: Address, variant: str | None, reason: str) -> RestartRequest:
    after = 0
    if about.kind == "notebook":
        _require_notebook(parts, about, variant)
    elif about != GATEWAY:
        revisions = parts.records.revisions([about.name]).get(about.name, ())
        live = live_revision(revisions)
        if live is None:
            others = set(parts.records.endpoint_names()) - {about.name}
            fix = did_you_mean(about.name, others) or "`sagespec status` shows what is live"
            raise WorldError(f"{about} is not live", fix=fix)
        names = [one.name for one in live.asked.variants]
        if variant and variant not in names:
            fix = did_you_mean(variant, names) or f"its variants are {', '.join(names)}"
            raise WorldError(f"{about} has no variant {variant}", fix=fix)
        after = revisions[-1].number
    elif variant:
        raise WorldError("the gateway has no variants", fix="leave out --variant, or name an endpoint")
    elif not any(container.address == GATEWAY for container in parts.runtime.containers()):
        raise WorldError("there is no gateway to restart", fix="`sagespec apply` starts it, once there is an endpoint")
    return RestartRequest(
        about=str(about), variant=variant or "", after=after, reason=reason, by=who_is_here(), at=datetime.now(UTC)
    )


def _require_notebook(parts: Parts, about: Address, variant: str | None) -> None:
    known = desired(parts, check_paths=False)[0].notebooks
    found = next((notebook for notebook in known if notebook.address == about), None)
    if found is None:
        fix = did_you_mean(about.name, [notebook.name for notebook in known]) or "add a spec: kind: Notebook"
        raise WorldError(f"no spec defines {about}", fix=fix)
    if not found.is_to_run:
        raise WorldError(f"{about} is not to run", why="its spec says running: false", fix="set running: true there")
    if variant:
        raise WorldError("a notebook has no variants", fix="leave out --variant")


def _is_over(parts: Parts, asked: RestartRequest) -> bool:
    about = Address.parse(asked.about)
    return about.kind == "endpoint" and asked.is_over(parts.records.history(about.name))


def _is_done(parts: Parts, run: Run, asked: RestartRequest, converged: Converged) -> bool:
    """Whether it was carried out, by us or by another run."""
    about = Address.parse(asked.about)
    if not converged.ok:
        return False
    if about.kind != "endpoint":
        return run.around.open_world().leases.look().restarts.get(about) != asked
    live = live_revision(parts.records.revisions([about.name]).get(about.name, ()))
    return live is not None and live.number > asked.after


def _forget(run: Run, about: Address, asked: RestartRequest) -> None:
    """Remove the request, unless it has made room for another one by now."""
    with suppress(WorldError), run.around.lock():
        world = run.around.open_world()
        if world.leases.look().restarts.get(about) == asked:
            world.records.forget_restart(about)
