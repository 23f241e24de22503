"""What people say of a commit that is held: that this plan may be applied, that this history is meant.

Either is written to the store; whoever follows the branch finds it at the next look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sagespec.errors import WorldError
from sagespec.parts import Parts
from sagespec.plan import Plan
from sagespec.reconcile.approval import changes_of, due_later, why_it_waits
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.records.holder import who_is_here
from sagespec.records.sources import SourceRecords
from sagespec.spec.approve import ChangeClass
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed
from sagespec.state.source import Acceptance, Approval, Held, HeldReason, source_command
from sagespec.verbs.plan import snapshot

SHORTEST = 7  # characters of a digest or commit that are taken for all of it
MOST_LINES = 200  # of a plan, kept for whoever is to approve it


def gate(
    parts_of: Callable[[Path], Parts],
    asks: Collection[ChangeClass],
    *,
    prune: bool,
    command: Callable[[str], str] = source_command,
) -> Callable[[str, Path], Held | None]:
    """Why a commit, given with the folder of its sagespec.yaml, waits until somebody approves it; None if it may go
    on. command: how a person calls `sagespec source` about it."""

    def why(commit: str, root: Path) -> Held | None:
        if not asks:
            return None
        parts = parts_of(root)
        try:
            record = SourceRecords(parts.store, parts.settings.name).read()
            wanted, observed = snapshot(parts, parts.leases().look())
            now = datetime.now(UTC)
            plan = reconcile(wanted, observed, now, Options(prune=prune, even_suspended=True))
            of_specs = plan.of_specs()
            held = why_it_waits(
                changes_of(plan, wanted, observed),
                asks,
                digest_of(plan, wanted, observed),
                commit=commit,
                approved=record.approved,
                before=record.held,
                now=now,
                command=command,
            )
            lines = tuple(replace(of_specs, notes=()).text().split("\n")[:MOST_LINES])
            return held.model_copy(update={"plan": lines}) if held else None
        finally:
            parts.close()

    return why


def digest_of(plan: Plan, desired: Desired, observed: Observed) -> str:
    """Of what the specs change, now and later."""
    now, later = plan.of_specs().digest, due_later(plan, desired, observed)
    if not later:
        return now
    text = "\n".join([now, *(f"{endpoint.address} {endpoint.hash}" for endpoint in later)])
    return hashlib.sha256(text.encode()).hexdigest()


def approve(records: SourceRecords, digest: str, command: Callable[[str], str] = source_command) -> Held:
    """What was held until now. WorldError where nothing waits for this plan to be approved."""
    held = records.read().held
    if held is None or held.reason is not HeldReason.APPROVAL:
        raise WorldError("nothing waits for approval", fix=f"see `{command('status')}`")
    if len(digest) < SHORTEST or not held.digest.startswith(digest):
        raise WorldError(
            f"the plan that waits for approval is not {digest}",
            why=f"it is {held.digest[:12]}, of {held.commit[:12]}: specs or the world have changed since you looked",
            fix=f"look at it again in `{command('status')}`, and approve that one",
        )
    approval = Approval(digest=held.digest, by=who_is_here(), at=datetime.now(UTC))
    records.change(lambda record: record.model_copy(update={"approved": approval}))
    return held


def accept(records: SourceRecords, commit: str, command: Callable[[str], str] = source_command) -> Held:
    """What was held until now. WorldError where no rewritten history waits for this commit to be accepted."""
    held = records.read().held
    if held is None or held.reason is not HeldReason.REWRITTEN:
        raise WorldError("no commit waits to be accepted", fix=f"see `{command('status')}`")
    if len(commit) < SHORTEST or not held.commit.startswith(commit):
        raise WorldError(
            f"the commit that is held is not {commit}",
            why=f"it is {held.commit}: the branch has moved on",
            fix=f"look at what it has, and if it is meant: {command(f'accept {held.commit}')}",
        )
    acceptance = Acceptance(commit=held.commit, by=who_is_here(), at=datetime.now(UTC))
    records.change(lambda record: record.model_copy(update={"accepted": acceptance}))
    return held
