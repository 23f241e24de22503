"""One endpoint: what is asked, what is there, its traffic over time, instances, log, and where its models are from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import abort

from sagespec.dashboard.desk import desk
from sagespec.dashboard.log import Log
from sagespec.dashboard.pages.following import download, log_values, stream
from sagespec.dashboard.rendering import page
from sagespec.dashboard.traffic import WINDOWS, Row, chart_data, rows_of
from sagespec.errors import SagespecError, WorldError, did_you_mean
from sagespec.load.loaded import LoadedSpec
from sagespec.state.addresses import Address, endpoint_address
from sagespec.state.revision import Revision, live_revision
from sagespec.verbs.instances import InstanceState, InstanceWord, instances
from sagespec.verbs.lineage import Origin, origins
from sagespec.verbs.plan import load_specs
from sagespec.verbs.states import EndpointState

pages = Blueprint("endpoint", __name__)
AT = "/endpoints/<name>"
LOOK_SECONDS = 1.0  # instances are kept so long
RECORDS_SECONDS = 10.0  # what the store and the specs say
STALE_SECONDS = 30.0
OF_A_ROLLOUT = (InstanceWord.STARTING, InstanceWord.DRAINING)


@dataclass(frozen=True)
class Facts:
    """What there is to say of one endpoint. live: the revision that serves. spec: where it is written, None for one in
    no spec. is_watched: whether this process records the traffic now."""

    state: EndpointState
    instances: Sequence[InstanceState]
    traffic: Sequence[Row]
    is_watched: bool
    live: Revision | None
    origins: Sequence[Origin]
    spec: LoadedSpec | None

    @property
    def address(self) -> Address:
        return self.state.address

    @property
    def rollout(self) -> list[tuple[InstanceWord, str, int]]:
        """What a change is doing: state, variant and how many instances; [] while nothing changes."""
        counts: dict[tuple[InstanceWord, str], int] = {}
        for one in self.instances:
            if one.state in OF_A_ROLLOUT:
                counts[one.state, one.variant] = counts.get((one.state, one.variant), 0) + 1
        return [(word, variant, count) for (word, variant), count in sorted(counts.items())]

    def restarts(self, variant: str) -> int:
        return sum(one.restarts for one in self.instances if one.variant == variant)


@pages.get(AT)
def endpoint(name: str) -> Response:
    facts = facts_of(name)
    values: dict[str, Any] = {}
    if "HX-Request" not in request.headers:
        path = f"{request.script_root}/endpoints/{name}"
        values = log_values(log_of(name, facts.instances), f"{path}/stream")
    window = request.args.get("window", "15m")
    return page("endpoint", facts=facts, window=window if window in WINDOWS else "15m", scripts=SCRIPTS, **values)


SCRIPTS = ("plots.js", "traffic.js", "log.js")


@pages.get(f"{AT}.json")
def endpoint_json(name: str) -> Response:
    """Its row of `sagespec status`, with instances and traffic."""
    facts = facts_of(name)
    return jsonify(
        {
            **facts.state.as_json(),
            "instances": [one.as_json() for one in facts.instances],
            "traffic": [row.as_json() for row in facts.traffic] if facts.is_watched else None,
            "models": [
                {"variant": one.variant, "model": one.model, "job": str(one.job) if one.job else None}
                for one in facts.origins
            ],
            "spec": str(facts.spec.origin) if facts.spec else None,
        }
    )


@pages.get(f"{AT}/traffic.json")
def traffic_json(name: str) -> Response:
    """The curves: of 15 minutes or 24 hours, `?window=24h`."""
    found, window = state_of(name), request.args.get("window", "15m")
    if window not in WINDOWS:
        abort(400, f"there is no window {window[:40]}: use {' or '.join(WINDOWS)}")
    history = desk().project.parts.traffic
    names = [variant.name for variant in found.variants]

    def made() -> dict[str, Any]:
        return chart_data(history, name, names, window=window, now=time.time())

    return jsonify(desk().kept.get(f"traffic {window} {name} {names}", WINDOWS[window][1] / 5, made))


@pages.get(f"{AT}/stream")
def endpoint_stream(name: str) -> Response:
    state_of(name)
    return stream(log_of(name, instances_of(name)))


@pages.get(f"{AT}/log")
def endpoint_log(name: str) -> Response:
    state_of(name)
    return download(log_of(name, instances_of(name)), name)


def state_of(name: str) -> EndpointState:
    """Of the last look. Not found where there is no such endpoint."""
    known = desk().latest.seen().known().endpoints
    found = next((endpoint for endpoint in known if endpoint.address.name == name), None)
    if found is None:
        near = did_you_mean(name, [endpoint.address.name for endpoint in known])
        abort(404, f"there is no endpoint {name[:80]}" + (f"; {near}" if near else ""))
    return found


def facts_of(name: str) -> Facts:
    found, at = state_of(name), desk()
    history, now = at.project.parts.traffic, time.time()
    live = live_of(name)
    return Facts(
        state=found,
        instances=instances_of(name),
        traffic=rows_of(history, name, [variant.name for variant in found.variants], now),
        is_watched=now - history.recorded_at < STALE_SECONDS,
        live=live,
        origins=at.kept.get(f"origins {name} {live.number if live else 0}", RECORDS_SECONDS, lambda: _origins(live)),
        spec=at.kept.get("specs", RECORDS_SECONDS, _specs).get(name),
    )


def instances_of(name: str) -> tuple[InstanceState, ...]:
    """None where the engine does not answer, which the page says at its top."""
    with suppress(WorldError):
        return desk().kept.get(f"instances {name}", LOOK_SECONDS, lambda: instances(desk().project.parts, name))
    return ()


def live_of(name: str) -> Revision | None:
    records = desk().project.parts.records
    return live_revision(desk().kept.get(f"revisions {name}", LOOK_SECONDS, lambda: records.history(name)))


def _origins(live: Revision | None) -> tuple[Origin, ...]:
    return origins(desk().project.parts, live.asked) if live else ()


def _specs() -> dict[str, LoadedSpec]:
    """The specs of endpoints by name; none while one is wrong, which the page says at its top."""
    with suppress(SagespecError):
        loaded = load_specs(desk().project.parts).specs
        return {spec.address.name: spec for spec in loaded if spec.address.kind == "endpoint"}
    return {}


def log_of(name: str, known: Sequence[InstanceState]) -> Log:
    """Of all instances, as they print it. Other instances are another log."""
    at = desk()

    def source() -> Iterator[tuple[str, str]]:
        return at.project.logs(endpoint_address(name), follow=True)

    return at.logs.get(f"{name} of {[one.name for one in known]}", source, lambda: at.project.parts.scratch)
