"""Models: each version with its aliases, who serves it, and what `gc` has marked, or swept, with the time left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify, request

from sagespec.dashboard.desk import desk
from sagespec.dashboard.pages.facts import Served, served_by
from sagespec.dashboard.pages.paging import page_number, paged
from sagespec.dashboard.registered import Registered
from sagespec.dashboard.rendering import page
from sagespec.verbs.gc import Held
from sagespec.verbs.registry import VersionState
from sagespec.verbs.states import Status

pages = Blueprint("models", __name__)


@dataclass(frozen=True)
class Row:
    """One version. held: what `gc` says of it; None where it does not look, and of what has no files."""

    version: VersionState
    served_by: Sequence[Served]
    held: Held | None

    @property
    def name(self) -> str:
        return f"{self.version.job.name}@{self.version.job.version}"

    @property
    def word(self) -> str:
        manifest = self.version.manifest
        if manifest is None:
            return "not trained"
        return "swept" if manifest.swept_at else "rejected" if self.version.rejected else "trained"

    @property
    def text(self) -> str:
        said = [
            self.name,
            *self.version.aliases,
            self.word,
            self.version.rejected,
            self.held.state if self.held else "",
        ]
        return " ".join([*said, *(one.endpoint for one in self.served_by)]).lower()


def rows_of(found: Registered, status: Status | None, words: str = "") -> list[Row]:
    """Those that have every word in name, alias, state, reason or endpoint."""
    asked = words.lower().split()
    return [row for row in _rows(found, status) if all(word in row.text for word in asked)]


def _rows(found: Registered, status: Status | None) -> Iterator[Row]:
    collected = found.collected
    held = {one.job: one for one in (*collected.earlier, *collected.jobs)} if collected else {}
    for model in found.models:
        for version in model.versions:
            yield Row(version, served_by(version.job, status), held.get(version.job))


@pages.get("/models")
def models() -> Response:
    words, number = request.args.get("q", "").strip()[:200], page_number(request.args)
    look, status = desk().registered.last(), desk().latest.seen().value
    found = look.value
    rows = rows_of(found, status, words) if found else []
    shown = paged(rows, number) | {"found": found, "words": words, "number": number, "now": datetime.now(UTC)}
    return page("models", models_problems=look.problems, every=10, **shown)


@pages.get("/models.json")
def models_json() -> Response:
    """The models with their versions, and what `sagespec gc --output json` says; null where that cannot be said."""
    found = desk().registered.last().known()
    gc = found.collected.as_json() if found.collected else None
    return jsonify({"models": [model.as_json() for model in found.models], "gc": gc})
