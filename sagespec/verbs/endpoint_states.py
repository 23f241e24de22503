"""The rows of endpoints in `sagespec status`: what is asked for, what was applied, and what the gateway sees. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sagespec.errors import Problem
from sagespec.gateway.answers import Counters
from sagespec.gateway.table import TargetKey
from sagespec.ongoing import Rolling
from sagespec.plan import Plan
from sagespec.reconcile.causes import trained_again
from sagespec.state.addresses import Address, endpoint_address
from sagespec.state.desired import Desired, DesiredEndpoint, DesiredVariant, desired_endpoint
from sagespec.state.hashes import model_of, same_but_for_models, same_hash
from sagespec.state.observed import ContainerState, Observed, Route, Target
from sagespec.state.revision import Revision, live_revision
from sagespec.verbs.lent import lent_text, with_lent
from sagespec.verbs.states import EndpointState, EndpointWord, LastMinute, VariantState, nodes_of

CounterKey = tuple[str, str, str]  # endpoint, variant, hash


def endpoint_states(
    desired: Desired,
    observed: Observed,
    plan: Plan,
    counters: Mapping[CounterKey, Counters],
    gateway_url: str,
    *,
    last_minute: Callable[[str, str], LastMinute | None] = lambda _endpoint, _variant: None,
) -> tuple[EndpointState, ...]:
    """The rows of all endpoints, those in no spec included, sorted by name. last_minute: of an endpoint's variant."""
    names = sorted({endpoint.name for endpoint in desired.endpoints} | observed.gateway.routes.keys())
    states = (
        _endpoint_state(name, desired, observed, plan, counters=counters, gateway_url=gateway_url) for name in names
    )
    return tuple(_with_last_minute(state, last_minute) for state in states)


def _with_last_minute(state: EndpointState, last_minute: Callable[[str, str], LastMinute | None]) -> EndpointState:
    found = [replace(v, last_minute=last_minute(state.address.name, v.name)) for v in state.variants]
    return replace(state, variants=tuple(found))


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
    rolling = next((one for one in plan.rolling if one.about == address), None)
    is_rolling = rolling is not None
    variants = with_lent(_variant_states(name, asked, applied, observed, counters, is_rolling=is_rolling), route)
    held_back = [back for one in plan.suspended for back in one.held if back.about.whole == address]
    is_settled = not held_back and not any(action.about.whole == address for action in plan.actions)
    is_pending = not is_settled or _is_edited(asked, live)
    waits_for = [
        f"{other.about}, followed by {observed.followers[other.about].who}"
        for other in plan.running
        if address in other.needed_by
    ]
    waiting = f"waits for {'; '.join(waits_for)}" if waits_for else ""
    is_degraded = _is_degraded(applied, asked, variants)
    fewer = [v for v in variants if is_degraded and v.instances_healthy < v.instances_asked]
    missing = "; ".join(f"{v.name}: {v.instances_healthy} of {v.instances_asked} healthy" for v in fewer)
    why = problem.what if problem else waiting or _again(asked, route) or missing
    return EndpointState(
        address=address,
        state=_endpoint_word(asked, route, problem, is_pending=is_pending, is_degraded=is_degraded, rolling=rolling),
        url=f"{gateway_url}/endpoints/{name}/invocations",
        revision=live.number if live else None,
        variants=variants,
        detail="; ".join(
            filter(None, (why, lent_text(variants), _limits_text(route, variants), _suspended(address, plan)))
        ),
        newest_revision=revisions[-1].number if revisions else None,
        live=live,
        newest=revisions[-1] if revisions else None,
        is_in_specs=asked is not None,
        is_applied=live is not None and not is_pending,
        key=route.key if route else "",
        rolling=rolling,
        is_settled=is_settled,
        limits=route.limits if route else None,
    )


def _limits_text(route: Route | None, variants: Sequence[VariantState]) -> str:
    if route is None or route.limits is None:
        return ""
    waiting = sum(variant.waiting for variant in variants)
    return f"each instance at most {route.limits.concurrency} at once, {route.limits.queue} more wait: {waiting} now"


def _suspended(address: Address, plan: Plan) -> str:
    return "; ".join(one.by.text for one in plan.suspended if one.covers(address))


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
    *,
    is_rolling: bool,
) -> tuple[VariantState, ...]:
    """The variants asked for, then those that only the gateway still knows. Nobody asks otherwise of what is in no
    spec. is_rolling: whether a variant may have instances of two models."""
    route = observed.gateway.routes.get(endpoint_name)
    targets = route.targets if route else ()
    shown = asked or applied
    live_total = sum(target.weight for target in targets if target.instances)
    asked_total = sum(variant.weight for variant in shown.variants) if shown else 0.0
    names = [variant.name for variant in shown.variants] if shown else []
    names += sorted({target.variant for target in targets} - set(names))
    known = _known(endpoint_name, asked, applied, observed)
    # The engine knows of a death at once, the gateway some seconds later.
    running = {c.name: c for c in observed.containers if c.state is ContainerState.RUNNING}
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
                instances_live=_routed(mine) if is_rolling else live.instances if live else 0,
                instances_healthy=healthy,
                requests=sum(c.requests for c in counted),
                waiting=sum(c.waiting for c in counted),
                errors=sum(c.errors for c in counted),
                p50_ms=max((c.p50_ms for c in counted if c.p50_ms is not None), default=None),
                p99_ms=max((c.p99_ms for c in counted if c.p99_ms is not None), default=None),
                nodes=nodes_of(running[one] for target in mine for one in target.instances if one in running),
            )
        )
    return tuple(states)


def models_served(desired: Desired, observed: Observed) -> dict[TargetKey, str]:
    """The model behind each target that the gateway has."""
    found = {}
    for name, route in observed.gateway.routes.items():
        asked = next((endpoint for endpoint in desired.endpoints if endpoint.name == name), None)
        live = live_revision(observed.revisions.get(name, ()))
        known = _known(name, asked, desired_endpoint(name, live.asked) if live else None, observed)
        for target in route.targets:
            found[TargetKey(name, target.variant, target.hash)] = _model_behind(target, known)
    return found


def _known(
    endpoint_name: str, asked: DesiredEndpoint | None, applied: DesiredEndpoint | None, observed: Observed
) -> list[DesiredVariant]:
    tried = (desired_endpoint(endpoint_name, r.asked) for r in observed.revisions.get(endpoint_name, ()))
    return [variant for one in (asked, applied, *tried) if one for variant in one.variants]


def _routed(targets: Sequence[Target]) -> int:
    return len({instance for target in targets for instance in target.instances})


def _model_behind(target: Target, known: Sequence[DesiredVariant]) -> str:
    """The model that a target serves, by the hashes of variants that were ever asked for: a spec may be another now."""
    mine = [variant for variant in known if variant.name == target.variant]
    same = [v for v in mine if v.hash == target.hash] or [v for v in mine if same_but_for_models(v.hash, target.hash)]
    return same[0].model.text if same else "?"


def _endpoint_word(
    asked: DesiredEndpoint | None,
    route: Route | None,
    problem: Problem | None,
    *,
    is_pending: bool,
    is_degraded: bool,
    rolling: Rolling | None,
) -> EndpointWord:
    if asked is None:
        return EndpointWord.ORPHANED
    if problem:
        return EndpointWord.BLOCKED
    if route is None:
        return EndpointWord.WAITING
    if is_degraded:
        return EndpointWord.DEGRADED
    if rolling:
        return EndpointWord.ROLLING
    return EndpointWord.PENDING if is_pending else EndpointWord.SERVING
