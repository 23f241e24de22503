"""The table of endpoints: filtered, a page at a time, the troubled ones first."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, jsonify, request

from sagespec.dashboard.desk import desk
from sagespec.dashboard.pages.paging import page_number, paged
from sagespec.dashboard.pages.wrong import troubled_first, wrong_of
from sagespec.dashboard.rendering import page
from sagespec.verbs.states import EndpointState, EndpointWord, Status

pages = Blueprint("endpoints", __name__)


def chosen(status: Status, words: str, state: str) -> Sequence[EndpointState]:
    """Those that have every word in name, state, detail or models. The troubled ones come first."""
    asked = words.lower().split()
    found = troubled_first(status.endpoints, wrong_of(status))
    return [e for e in found if state in ("", e.state.value) and all(word in _text(e) for word in asked)]


def _text(endpoint: EndpointState) -> str:
    models = " ".join(f"{variant.name} {variant.model} {variant.model_asked}" for variant in endpoint.variants)
    return f"{endpoint.address} {endpoint.state} {endpoint.detail} {models}".lower()


def _asked() -> tuple[str, str]:
    state = request.args.get("state", "")
    return request.args.get("q", "").strip()[:200], state if state in list(EndpointWord) else ""


@pages.get("/endpoints")
def endpoints() -> Response:
    status, (words, state) = desk().latest.seen().value, _asked()
    found = chosen(status, words, state) if status else []
    number = page_number(request.args)
    shown = paged(found, number)
    return page("endpoints", number=number, words=words, word=state, states=list(EndpointWord), **shown)


@pages.get("/endpoints.json")
def endpoints_json() -> Response:
    """The endpoints of `sagespec status --output json` that the address asks for, all of them."""
    found = chosen(desk().latest.seen().known(), *_asked())
    return jsonify({"endpoints": [endpoint.as_json() for endpoint in found]})
