"""Why the plan is what it is for one address: what its spec asks for, what there is, and what follows from both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sagespec.causes import MASK, Reason
from sagespec.display import Displayed, second_text
from sagespec.parts import Parts
from sagespec.plan import Action, Plan
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.spec.values import in_flow
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredEndpoint, DesiredJob
from sagespec.state.manifest import Git
from sagespec.state.observed import Observed
from sagespec.state.revision import live_revision
from sagespec.state.secrets import is_secret_field
from sagespec.verbs.plan import snapshot

RULES = {
    Reason.NEW: "its spec asks for it, and it is not there",
    Reason.CHANGED: "its spec asks for something else than what was applied",
    Reason.DRIFT: "what was applied is not what is there",
    Reason.ADOPTED: "an earlier run began it",
    Reason.RETRIED: "somebody asks to have it tried again",
    Reason.RESTARTED: "somebody asks for new containers, or their image is gone",
    Reason.REMOVED: "no spec asks for it any more",
    Reason.ROLLOUT: "a step of a rollout is over",
    Reason.FOLLOWS: "another action of this plan needs it",
}


@dataclass(frozen=True, repr=False)
class Explained(Displayed):
    """wanted, found: facts of both sides, each with its name. plan: of this address, and of what it needs."""

    about: Address
    wanted: tuple[tuple[str, str], ...]
    found: tuple[tuple[str, str], ...]
    plan: Plan

    @property
    def decided(self) -> tuple[tuple[str, str], ...]:
        """Each action with the rule that it follows; or why there is none."""
        if self.plan.actions or self.plan.refused:
            refused = [("refused", f"{problem.what}: {problem.why}") for problem in self.plan.refused]
            return (*(_ruled(action) for action in self.plan.actions), *refused)
        waits = [(running.text, "another run does it") for running in self.plan.running]
        return tuple(waits) or (("nothing", "what there is is what its spec asks for"),)

    def as_plain_text(self) -> str:
        blocks = (("its spec", self.wanted), ("what there is", self.found), ("so the plan is", self.decided))
        lines = [str(self.about)]
        for heading, rows in blocks:
            width = max((len(name) for name, _ in rows), default=0)
            lines += ["", heading, *(f"  {name:<{width}}  {text}" for name, text in rows)]
        notes = [f"note  {note}" for note in self.plan.notes]
        return "\n".join([*lines, *([""] if notes else []), *notes])

    def as_json(self) -> dict[str, Any]:
        return {
            "about": str(self.about),
            "wanted": dict(self.wanted),
            "found": dict(self.found),
            "decided": [{"what": what, "why": why} for what, why in self.decided],
            "plan": self.plan.as_json(),
        }


def explain(parts: Parts, about: Address, options: Options | None = None) -> Explained:
    about = about.whole
    parts.read_settings_again()
    wanted, observed = snapshot(parts, parts.leases().look(), only={about})
    options = replace(options or Options(), only=frozenset({str(about)}), allow_empty=True)
    plan = reconcile(wanted, observed, datetime.now(UTC), options)
    return Explained(about, tuple(_wanted(about, wanted)), tuple(_found(about, observed)), plan)


def _ruled(action: Action) -> tuple[str, str]:
    why = RULES[action.cause.reason]
    told = str(action.cause)
    told = f"{told} ({why})" if told != action.cause.reason.value else why
    waits = f"; after {', '.join(action.after)}" if action.after else ""
    return f"{action.verb} {action.about}", told + waits


def _wanted(about: Address, desired: Desired) -> Iterator[tuple[str, str]]:
    job = desired.job(about)
    endpoint = next((one for one in desired.endpoints if one.address == about), None)
    notebook = next((one for one in desired.notebooks if one.address == about), None)
    if job:
        yield from _of_job(job)
    elif endpoint:
        yield from _of_endpoint(endpoint)
    elif notebook:
        yield "spec", f"{notebook.origin}, hash {notebook.hash}"
        yield "running", str(notebook.is_to_run).lower()
    else:
        yield "spec", "none"


def _of_job(job: DesiredJob) -> Iterator[tuple[str, str]]:
    yield "spec", f"{job.origin}, key {job.key}"
    yield "program", str(job.program)
    for field, value in job.key_fields.items():
        if not field.startswith("environment."):
            text = in_flow(value)
            yield field, MASK if is_secret_field(field, "", text) else text


def _of_endpoint(endpoint: DesiredEndpoint) -> Iterator[tuple[str, str]]:
    yield "spec", f"{endpoint.origin}, hash {endpoint.hash}"
    for variant in endpoint.variants:
        instances = f"{variant.instances} instance{'' if variant.instances == 1 else 's'}"
        yield f"variant {variant.name}", f"{variant.model.text}, weight {variant.weight:g}, {instances}, {variant.hash}"


def _found(about: Address, observed: Observed) -> Iterator[tuple[str, str]]:
    if about.kind == "job":
        yield from _recorded(about, observed)
    if about.kind == "endpoint":
        yield from _live(about.name, observed)
    for container in observed.containers_of(about):
        probe = observed.gateway.probes.get(container.name)
        health = "" if probe is None else ", healthy" if probe.healthy else ", not healthy"
        yield f"container {container.name}", f"{container.state}{health}, {container.hash}"
    for job, manifest in sorted(observed.manifests.items()):
        if about.kind == "endpoint":
            yield str(job), manifest.headline
    if about in observed.followers:
        yield "followed by", observed.followers[about].by
    if about in observed.unable:
        yield "cannot start", observed.unable[about].what


def _recorded(job: Address, observed: Observed) -> Iterator[tuple[str, str]]:
    manifest = observed.manifests.get(job)
    if manifest is None:
        yield "record", "none: it has not ended"
        return
    yield "record", f"{manifest.headline}, {second_text(manifest.ended_at)}{_commit(manifest.git)}, key {manifest.key}"


def _live(name: str, observed: Observed) -> Iterator[tuple[str, str]]:
    revisions = observed.revisions.get(name, ())
    live = live_revision(revisions)
    yield "live", "nothing" if live is None else f"revision {live.number}{_commit(live.git)}, hash {live.hash}"
    for revision in revisions[revisions.index(live) + 1 :] if live else revisions:
        yield f"revision {revision.number}", f"{revision.status}: {revision.reason}, hash {revision.hash}"
    route = observed.gateway.routes.get(name)
    yield "route", ", ".join(f"{t.variant} {t.weight:g}" for t in route.targets) if route else "none"


def _commit(git: Git | None) -> str:
    return f", commit {git.commit[:12]}{'+' if git.dirty else ''}" if git else ""
