"""Which variants get new containers although nothing that they ask for has changed, and what to say of old images.

All instances of a variant run one image: new ones are made from that of the others. A restart moves the whole variant
to the present image, as a changed field would: because somebody asked for it, or because the image of the others is
gone from the engine. Called by `endpoints` with the goal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sagespec.reconcile.given import Given
from sagespec.reconcile.goals import Goal
from sagespec.reconcile.instances import serving_images, wanted_instances
from sagespec.spec.document import Update
from sagespec.state.addresses import GATEWAY
from sagespec.state.desired import DesiredEndpoint, DesiredVariant, desired_endpoint
from sagespec.state.hashes import same_hash
from sagespec.state.observed import Observed
from sagespec.state.programs import GATEWAY_PROGRAM, Image
from sagespec.state.revision import RevisionStatus, live_revision


def with_restarts(goal: Goal, given: Given) -> Goal:
    """The goal, with the containers that were restarted last kept, and those to be restarted now replaced."""
    kept = replace(goal, endpoint=_with(goal.endpoint, _kept_from(goal)))
    why = dict(_asked_for(kept, given)) or {n: w for n, w in _without_image(kept, given) if not _failed(n, kept, given)}
    if not why:
        return kept
    restarts = dict.fromkeys(why, kept.next_number)
    reason = "; ".join(dict.fromkeys(why.values()))
    return replace(
        kept,
        endpoint=_with(kept.endpoint, restarts),
        pending=True,
        reason="; ".join(dict.fromkeys(filter(None, (kept.reason.split("; ")[0], reason)))),
        restart_reason=reason,
    )


def _kept_from(goal: Goal) -> dict[str, int]:
    """The restarts of the live revision, for variants that ask for the same as there: those containers serve on."""
    found = {}
    for variant in goal.endpoint.variants:
        live = goal.before.variant(variant.name) if goal.before else None
        if live and live.restart != variant.restart and _asked(live) == _asked(variant):
            found[variant.name] = live.restart
    return found


def _asked(variant: DesiredVariant) -> dict[str, object]:
    return {name: value for name, value in variant.fields[Update.REPLACE].items() if name != "restart"}


def _with(endpoint: DesiredEndpoint, restarts: dict[str, int]) -> DesiredEndpoint:
    if not restarts:
        return endpoint
    variants = tuple(
        v.model_copy(update={"restart": restarts[v.name]}) if v.name in restarts else v
        for v in endpoint.record.variants
    )
    record = endpoint.record.model_copy(update={"variants": variants})
    return desired_endpoint(endpoint.name, record, endpoint.origin)


def _asked_for(goal: Goal, given: Given) -> Iterator[tuple[str, str]]:
    request = given.restart_of(goal.endpoint.address)
    for variant in goal.endpoint.variants if request else ():
        if request and request.variant in ("", variant.name):
            yield variant.name, f"restarted: {request.reason}" if request.reason else "restarted"


def _without_image(goal: Goal, given: Given) -> Iterator[tuple[str, str]]:
    """Variants that need a new instance, while the image of the others cannot be had any more."""
    instances = wanted_instances(goal, given)
    for variant in goal.endpoint.variants:
        images = serving_images(goal.endpoint, variant, given)
        gone = [image for image in images if image in given.observed.images_gone]
        if gone and any(i.start for i in instances if i.variant.name == variant.name):
            yield variant.name, f"{gone[0]}, which {variant.name} ran, is gone"


def _failed(variant: str, goal: Goal, given: Given) -> bool:
    """Whether a restart of the variant has failed since what is live went live: it is not tried for ever, and what is
    missing is made from the image of now, as any instance whose variant has no other."""
    if given.options.retries(goal.endpoint.address):
        return False
    revisions = given.observed.revisions.get(goal.endpoint.name, ())
    live = live_revision(revisions)
    return any(
        revision.status is RevisionStatus.FAILED
        and revision.number > (live.number if live else 0)
        and same_hash(goal.endpoint.hash, revision.hash)
        and any(record.name == variant and record.restart == revision.number for record in revision.asked.variants)
        for revision in revisions
    )


def notes_of_images(endpoint: DesiredEndpoint, given: Given) -> Iterator[str]:
    """What runs another image than it would be started from now."""
    for variant in endpoint.variants:
        if isinstance(variant.program, Image) and variant.job:
            continue  # by what trained the model, whatever its tag means now
        runs, now = serving_images(endpoint, variant, given), given.observed.images.get(variant.program, "")
        if now and any(image != now for image in runs):
            yield _note(f"{endpoint.address} {variant.name}", runs, now, variant.program, endpoint.name)


def notes_of_gateway(observed: Observed) -> Iterator[str]:
    runs = tuple(sorted({c.image for c in observed.containers_of(GATEWAY) if c.image}))
    now = observed.images.get(GATEWAY_PROGRAM, "")
    if now and any(image != now for image in runs):
        yield _note(str(GATEWAY), runs, now, GATEWAY_PROGRAM, str(GATEWAY))


def _note(what: str, runs: tuple[str, ...], now: str, program: object, name: str) -> str:
    news = f"{now} is another image now" if isinstance(program, Image) else f"this release has {now}"
    return f"{what} runs {' and '.join(runs)}, {news}: `sagespec restart {name}` replaces it"
