"""Events: what happened since this process began, as it was reported, and what the store remembers of before."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, jsonify, request

from sagespec.dashboard.desk import desk
from sagespec.dashboard.happenings import Happening
from sagespec.dashboard.recorded import Past
from sagespec.dashboard.rendering import page
from sagespec.events import EventKind

pages = Blueprint("events", __name__)

MOST = 200


def as_past(happening: Happening) -> Past:
    event = happening.event
    text = event.plan.text() if event.plan else event.text
    words = " ".join(filter(None, (event.action, text)))
    word = "planned" if event.kind is EventKind.PLANNED else event.kind.value
    return Past(happening.at, event.about, word, words, by=happening.by)


def found(words: str, pasts: Sequence[Past]) -> list[Past]:
    wanted = words.lower().split()
    texts = ((past, f"{past.about} {past.word} {past.text} {past.by} {past.commit}".lower()) for past in pasts)
    return [past for past, text in texts if all(word in text for word in wanted)]


@pages.get("/events")
def events() -> Response:
    words = request.args.get("q", "").strip()[:200]
    live = found(words, [as_past(one) for one in desk().happenings])
    look = desk().past.last()
    past = found(words, look.value or ())
    return page(
        "events", words=words, live=live[:MOST], past=past[:MOST], count=len(past), past_problems=look.problems, every=4
    )


@pages.get("/events.json")
def events_json() -> Response:
    """live: the events of this process, as `sagespec watch --output json` prints them. recorded: what the store has."""
    live = [one.event.as_json() | {"by": one.by} for one in desk().happenings]
    past = [
        {"at": p.at.isoformat(), "about": p.about, "word": p.word, "text": p.text, "by": p.by, "commit": p.commit}
        for p in desk().past.last().known()
    ]
    return jsonify({"live": live, "recorded": past})
