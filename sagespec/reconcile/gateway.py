"""Whether the gateway starts, and whether it is given other doors. Called by `reconcile`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sagespec.causes import Cause, Change, Reason
from sagespec.plan import SetDoors, StartGateway
from sagespec.state.addresses import GATEWAY, endpoint_address
from sagespec.state.desired import Desired
from sagespec.state.doors import NO_DOORS, days_text
from sagespec.state.hashes import same_hash
from sagespec.state.observed import ContainerState, Observed
from sagespec.state.revision import live_revision

SOON = timedelta(days=14)  # before its end, a certificate is worth a word


def reconcile_gateway(desired: Desired, observed: Observed) -> tuple[StartGateway, ...]:
    if not desired.endpoints:
        return ()
    containers = observed.containers_of(GATEWAY)
    wanted = [c for c in containers if same_hash(desired.gateway_hash, c.hash)]
    restart = False
    if not containers:
        was_there = any(live_revision(revisions) for revisions in observed.revisions.values())
        cause = Cause(Reason.DRIFT, note="its container is gone") if was_there else Cause(Reason.NEW)
    elif not wanted or len(containers) > 1:
        cause = Cause(Reason.CHANGED, note="gateway settings changed")
    elif wanted[0].state is not ContainerState.RUNNING:
        cause = Cause(Reason.DRIFT, note=f"gateway is {wanted[0].state}")
    elif not wanted[0].is_on_network:
        cause = Cause(Reason.DRIFT, note="gateway is off the project's network")
    elif not observed.gateway.answers:
        cause = Cause(Reason.DRIFT, note="gateway does not answer")
    elif request := observed.restarts.get(GATEWAY):
        cause, restart = Cause(Reason.RESTARTED, note=request.reason), True
    else:
        return ()
    return (StartGateway(about=GATEWAY, cause=cause, restart=restart, doors=desired.doors),)


def reconcile_doors(desired: Desired, observed: Observed) -> tuple[SetDoors, ...]:
    """Of a gateway that runs and stays; one that starts is given them with its start."""
    live = observed.gateway.doors
    if desired.doors is None or not observed.gateway.answers:
        return ()
    wanted = desired.doors.over(live)
    if wanted == live:
        return ()
    changes = tuple(Change(what, old, new) for what, old, new in wanted.changes_from(live))
    return (SetDoors(about=GATEWAY, cause=Cause(Reason.CHANGED, changes=changes), doors=desired.doors),)


def notes_of_doors(desired: Desired, observed: Observed, now: datetime) -> Iterator[str]:
    """Keys without TLS, a certificate that ends soon, and endpoints that callers or rates name without a spec."""
    doors = desired.doors or NO_DOORS
    if doors.in_clear and desired.endpoints:
        yield "callers' keys cross the network in clear: set gateway.tls, or have a proxy with TLS (docs/exposing.md)"
    live = observed.gateway.doors.certificate
    if live and live.ends_at and doors.over(observed.gateway.doors).certificate == live:
        if live.ends_at <= now:
            yield "the gateway's certificate has expired"
        elif live.ends_at - now < SOON:
            yield f"the gateway's certificate expires in {days_text((live.ends_at - now).days)}"
    there = {endpoint.name for endpoint in desired.endpoints} | observed.gateway.routes.keys()
    for caller in doors.callers:
        for name in sorted(set(caller.endpoints) - there):
            yield f"gateway.callers.{caller.name} may ask {endpoint_address(name)}, which no spec defines"
    for name in sorted(doors.limits.keys() - there):
        yield f"gateway.rates names {endpoint_address(name)}, which no spec defines"
