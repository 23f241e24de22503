"""The table of jobs: filtered, sorted, a page at a time, all of it in the address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, request

from sagespec.dashboard.desk import desk
from sagespec.dashboard.pages.paging import page_number, paged
from sagespec.dashboard.pages.wrong import newest_first
from sagespec.dashboard.rendering import page
from sagespec.verbs.states import JobState, JobWord

pages = Blueprint("jobs", __name__)

SORTS: Mapping[str, tuple[Callable[[JobState], Any], bool]] = {  # by name: the key, and whether the largest comes first
    "recent": (newest_first, True),
    "job": (lambda job: job.address, False),
    "state": (lambda job: (job.state.value, job.address), False),
    "took": (lambda job: (job.seconds or 0.0, job.address), True),
}


@dataclass(frozen=True)
class Asked:
    """What the address asks for. number: of the page, from 1."""

    words: str = ""
    state: str = ""
    sort: str = "recent"
    number: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        """Whatever makes no sense is left out."""
        return cls(
            words=query.get("q", "").strip()[:200],
            state=query.get("state", "") if query.get("state") in list(JobWord) else "",
            sort=query.get("sort", "") if query.get("sort") in SORTS else "recent",
            number=page_number(query),
        )

    def query(self, **changes: Any) -> str:
        """The same with changes, as the end of an address."""
        values = {"q": self.words, "state": self.state, "sort": self.sort, "page": self.number, **changes}
        defaults = {"q": "", "state": "", "sort": "recent", "page": 1}
        return "?" + urlencode({name: value for name, value in values.items() if value != defaults[name]})


def chosen(jobs: Sequence[JobState], asked: Asked) -> list[JobState]:
    """Those that have every word in address, state or detail, in the order that is asked for."""
    words = asked.words.lower().split()
    found = [job for job in jobs if asked.state in ("", job.state) and all(word in _text(job) for word in words)]
    key, is_reversed = SORTS[asked.sort]
    return sorted(found, key=key, reverse=is_reversed)


def _text(job: JobState) -> str:
    return f"{job.address} {job.state} {job.detail}".lower()


@pages.get("/jobs")
def jobs() -> Response:
    asked = Asked.of(request.args)
    status = desk().latest.seen().value
    found = chosen(status.jobs, asked) if status else []
    return page("jobs", asked=asked, states=list(JobWord), **paged(found, asked.number))


@pages.get("/jobs.json")
def jobs_json() -> Response:
    """The jobs of `sagespec status --output json` that the address asks for, all of them."""
    return jsonify(
        {"jobs": [job.as_json() for job in chosen(desk().latest.seen().known().jobs, Asked.of(request.args))]}
    )
