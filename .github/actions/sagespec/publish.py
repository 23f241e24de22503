"""Keeps one comment on a pull request, or one issue, in step with a report: made once, then edited in place.

    publish.py comment|issue   REPORT, STATE, TITLE, GITHUB_TOKEN and GitHub's own variables in the environment

It is known again by a hidden marker in its first line, and only if an app such as GitHub Actions wrote it: a
person who copies the marker does not get their text overwritten. STATE is the report's: clean (a plan with
nothing to do), changes, failed, ok (a command without a plan went well).
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

TRIES = 3
PAGE = 100
PERMISSIONS = {"comment": "pull-requests", "issue": "issues"}


def main(kind: str) -> int:
    report, state, title = Path(os.environ["REPORT"]), os.environ["STATE"], os.environ["TITLE"]
    text = f"{_marker(kind, title)}\n{report.read_text(encoding='utf-8')}"
    try:
        print(comment(text, state) if kind == "comment" else issue(text, state, title))
    except OSError as error:  # HTTPError is one
        hint = f"; give the job `{PERMISSIONS[kind]}: write`" if getattr(error, "code", 0) in (401, 403, 404) else ""
        return _refused(kind, f"{error}{hint}")
    return 0


def comment(text: str, state: str) -> str:
    """What was done about the comment on this run's pull request."""
    pull = _event().get("pull_request")
    if not pull:
        return "no comment: this run belongs to no pull request"
    if (pull["head"]["repo"] or {}).get("full_name") != os.environ["GITHUB_REPOSITORY"]:
        return "no comment: a pull request from a fork gets a read-only token; see the job summary"
    found = _find(f"issues/{pull['number']}/comments", text)
    if state == "ok" or (state == "clean" and not found):
        return "no comment: nothing to say"
    if found:
        return f"edited {_call('PATCH', 'issues/comments/{}'.format(found['id']), {'body': text})['html_url']}"
    return f"wrote {_call('POST', 'issues/{}/comments'.format(pull['number']), {'body': text})['html_url']}"


def issue(text: str, state: str, title: str) -> str:
    """What was done about the one open issue. A plan that could not be made leaves it as it is."""
    found = None if state in ("ok", "failed") else _find("issues?state=open&", text)
    if state == "changes" and found:
        return f"edited {_call('PATCH', 'issues/{}'.format(found['number']), {'body': text})['html_url']}"
    if state == "changes":
        headline = "sagespec: what is running differs from the specs" + (f" ({title})" if title else "")
        return f"opened {_call('POST', 'issues', {'title': headline, 'body': text})['html_url']}"
    if state == "clean" and found:
        closed = {"body": text, "state": "closed", "state_reason": "completed"}
        return f"closed {_call('PATCH', 'issues/{}'.format(found['number']), closed)['html_url']}"
    return "no issue: nothing to say"


def _marker(kind: str, title: str) -> str:
    return f"<!-- sagespec {kind} {quote(title, safe='')} -->"


def _find(path: str, text: str) -> dict[str, Any] | None:
    """The first item under `path` that begins with the marker of `text` and was written by an app."""
    marker = text.partition("\n")[0]
    for item in _pages(path):
        is_ours = (item.get("body") or "").startswith(marker) and item["user"]["type"] == "Bot"
        if is_ours and "pull_request" not in item:
            return item
    return None


def _pages(path: str) -> Iterator[dict[str, Any]]:
    path += "" if path.endswith("&") else "?"
    page = 1
    while items := _call("GET", f"{path}per_page={PAGE}&page={page}"):
        yield from items
        if len(items) < PAGE:
            return
        page += 1


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The answer of GitHub's API. Tried again where a repeat does no harm: a POST might be made twice."""
    request = urllib.request.Request(  # noqa: S310  GitHub sets the address
        "{GITHUB_API_URL}/repos/{GITHUB_REPOSITORY}/".format_map(os.environ) + path,
        data=json.dumps(body).encode() if body else None,
        method=method,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    for attempt in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except OSError as error:
            passes = getattr(error, "code", 500) >= 500
            if method == "POST" or not passes or attempt == TRIES:
                raise
            time.sleep(float(os.environ.get("RETRY_SECONDS", "2")) * attempt)
    raise AssertionError("unreachable")


def _refused(kind: str, why: str) -> int:
    """A failed comment is only a warning, as it copies the job summary; a failed issue must not go unnoticed."""
    if kind == "comment":
        print(f"::warning title=No comment on the pull request::{why}")
        return 0
    print(f"::error title=The issue could not be written::{why}")
    return 1


def _event() -> dict[str, Any]:
    event: dict[str, Any] = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    return event


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
