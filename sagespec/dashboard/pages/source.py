"""The followed branch: what of it is applied, what is held and why, which plan waits for approval, what came before."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from sagespec.dashboard.desk import desk
from sagespec.dashboard.rendering import page
from sagespec.records.sources import SourceRecords
from sagespec.state.source import CommitEnd
from sagespec.verbs.source import SourceState

pages = Blueprint("source", __name__)

MOST_ENDS = 30
KEPT_SECONDS = 5.0
MOST_LINES = 200  # of the plan that waits


@pages.get("/source")
def source() -> Response:
    status = desk().latest.seen().value
    record = status.source if status else None
    return page("source", record=record, ends=_ends() if record else (), most=MOST_LINES, every=4)


@pages.get("/source.json")
def source_json() -> Response:
    """What `sagespec source status --output json` says; null where no branch is followed."""
    record = desk().latest.seen().known().source
    return jsonify(SourceState(record, _ends()).as_json() if record else None)


def _ends() -> tuple[CommitEnd, ...]:
    at = desk()
    parts = at.project.parts
    return at.kept.get("ends", KEPT_SECONDS, lambda: SourceRecords(parts.store, parts.settings.name).ends(MOST_ENDS))
