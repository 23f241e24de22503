"""The rows of endpoints in `sagespec status`: what is asked for, what was applied, and what the gateway sees. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sagespec.errors import Problem
from sagespec.gateway.answers import Counters
from sagespec.plan import Plan
from sagespec.reconcile.causes import trained_again
from sagespec.state.addresses import endpoint_address
from sagespec.state.desired import Desired, DesiredEndpoint, DesiredVariant, desired_endpoint
from sagespec.state.hashes import model_of, same_but_for_models, same_hash
from sagespec.state.observed import ContainerState, Observed, Route, Target
from sagespec.state.revision import Revision, live_revision
from sagespec.verbs.states import EndpointState, EndpointWord, VariantState

CounterKey = tuple[str, str, str]  # endpoint, variant, hash


def endpoint_states(
    desired: Desired, observed: Observed, plan: Plan, counters: Mapping[CounterKey, Counters], gateway_url: str
) -> tuple[EndpointState, ...]:
    """The rows of all endpoints, those in no spec included, sorted by name."""
    names = sorted({endpoint.name for endpoint in desired.endpoints} | observed.gateway.routes.keys())
    return tuple(
        _endpoint_state(name, desired, observed, plan, counters=counters, gateway_url=gateway_url) for name in names
    )


def _endpoint_state(
    name: str,
    desired: Desired,
    observed: Observed,
    plan: Plan,
    *,
    counters: Mapping[CounterKey, Counters],
    gateway_url: str,
) -> EndpointState:
    address = endpoint_address(name)
    asked = next((endpoint for endpoint in desired.endpoints if endpoint.name == name), None)
    revisions = observed.revisions.get(name, ())
    live = live_revision(revisions)
    applied = desired_endpoint(name, live.asked) if live else None
    route = observed.gateway.routes.get(name)
    problem = next((p for p in (*plan.refused, *plan.held) if p.about == str(address)), None)
    variants = _variant_states(name, asked, applied, observed, counters)
    is_pending = any(action.about.whole == address for action in plan.actions) or _is_edited(asked, live)
    waits_for = [
        f"{other.about}, followed by {observed.followers[other.about].who}"
        for other in plan.running
        if address in other.needed_by
    ]
    waiting = f"waits for {'; '.join(waits_for)}" if waits_for else ""
    is_degraded = _is_degraded(applied, asked, variants)
    fewer = [v for v in variants if is_degraded and v.instances_healthy < v.instances_asked]
    missing = "; ".join(f"{v.name}: {v.instances_healthy} of {v.instances_asked} healthy" for v in fewer)
    return EndpointState(
        address=address,
        state=_endpoint_word(asked, route, problem, is_pending=is_pending, is_degraded=is_degraded),
        url=f"{gateway_url}/endpoints/{name}/invocations",
        revision=live.number if live else None,
        variants=variants,
        detail=problem.what if problem else waiting or _again(asked, route) or missing,
        newest_revision=revisions[-1].number if revisions else None,
    )


def _is_edited(asked: DesiredEndpoint | None, live: Revision | None) -> bool:
    """Whether the spec is another than the one that was applied last."""
    return asked is not None and live is not None and not same_hash(asked.hash, live.hash)


def _again(asked: DesiredEndpoint | None, route: Route | None) -> str:
    """Which models were trained again since they were routed to, as far as hashes tell."""
    targets = [target for target in route.targets if model_of(target.hash)] if route else []
    variants = asked.variants if asked else ()
    said = (trained_again(v, [t.hash for t in targets if t.variant == v.name]) for v in variants)
    return "; ".join(text for text in said if text)


def _is_degraded(
    applied: DesiredEndpoint | None, asked: DesiredEndpoint | None, variants: Sequence[VariantState]
) -> bool:
    """Whether fewer instances are healthy than both its spec and what was applied last ask for: of an edited spec,
    what was not started yet is not missing."""
    both = [endpoint for endpoint in (applied, asked) if endpoint]

    def needed(name: str) -> int:
        found = [endpoint.variant(name) for endpoint in both]
        return min((variant.instances if variant else 0 for variant in found), default=0)

    return any(variant.instances_healthy < needed(variant.name) for variant in variants)


def _variant_states(
    endpoint_name: str,
    asked: DesiredEndpoint | None,
    applied: DesiredEndpoint | None,
    observed: Observed,
    counters: Mapping[CounterKey, Counters],
) -> tuple[VariantState, ...]:
    """The variants asked for, then those that only the gateway still knows. Nobody asks otherwise of what is in no
    spec."""
    route = observed.gateway.routes.get(endpoint_name)
    targets = route.targets if route else ()
    shown = asked or applied
    live_total = sum(target.weight for target in targets if target.instances)
    asked_total = sum(variant.weight for variant in shown.variants) if shown else 0.0
    names = [variant.name for variant in shown.variants] if shown else []
    names += sorted({target.variant for target in targets} - set(names))
    tried = (desired_endpoint(endpoint_name, r.asked) for r in observed.revisions.get(endpoint_name, ()))
    known = [variant for one in (asked, applied, *tried) if one for variant in one.variants]
    # The engine knows of a death at once, the gateway some seconds later.
    running = {c.name for c in observed.containers if c.state is ContainerState.RUNNING}
    states = []
    for name in names:
        wanted, live = (one.variant(name) if one else None for one in (shown, applied))
        mine = [target for target in targets if target.variant == name]
        counted = [counters[key] for t in mine if (key := (endpoint_name, t.variant, t.hash)) in counters]
        healthy = sum(
            instance in running and (probe := observed.gateway.probes.get(instance)) is not None and probe.healthy
            for target in mine
            for instance in target.instances
        )
        states.append(
            VariantState(
                name=name,
                model=", ".join(dict.fromkeys(_model_behind(target, known) for target in mine if target.instances)),
                model_asked=wanted.model.text if wanted else "",
                share_asked=wanted.weight / asked_total if wanted and asked_total else 0.0,
                share_live=sum(t.weight for t in mine if t.instances) / live_total if live_total else 0.0,
                instances_asked=wanted.instances if wanted else 0,
                instances_live=live.instances if live else 0,
                instances_healthy=healthy,
                requests=sum(c.requests for c in counted),
                errors=sum(c.errors for c in counted),
                p50_ms=max((c.p50_ms for c in counted if c.p50_ms is not None), default=None),
                p99_ms=max((c.p99_ms for c in counted if c.p99_ms is not None), default=None),
            )
        )
    return tuple(states)


def _model_behind(target: Target, known: Sequence[DesiredVariant]) -> str:
    """The model that a target serves, by the hashes of variants that were ever asked for: a spec may be another now."""
    mine = [variant for variant in known if variant.name == target.variant]
    same = [v for v in mine if v.hash == target.hash] or [v for v in mine if same_but_for_models(v.hash, target.hash)]
    return same[0].model.text if same else "?"


def _endpoint_word(
    asked: DesiredEndpoint | None, route: Route | None, problem: Problem | None, *, is_pending: bool, is_degraded: bool
) -> EndpointWord:
    if asked is None:
        return EndpointWord.ORPHANED
    if problem:
        return EndpointWord.BLOCKED
    if route is None:
        return EndpointWord.WAITING
    if is_degraded:
        return EndpointWord.DEGRADED
    return EndpointWord.PENDING if is_pending else EndpointWord.SERVING
