"""A forge on this machine: takes states of commits as GitHub, Gitea and GitLab do, refuses what they refuse, counts."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "status-token-0123456789"  # of this server alone
_STATES = {
    "github": {"pending", "success", "failure", "error"},
    "gitea": {"pending", "success", "failure", "error", "warning"},
    "gitlab": {"pending", "running", "success", "failed", "canceled"},
}
_DEPLOYMENT_STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}


@dataclass
class ForgeServer:
    """away: answers 503. statuses: of each commit, in order, as (state, context, text)."""

    kind: str
    port: int = 0
    away: bool = False
    statuses: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)  # as GitHub has them
    counted: Counter[str] = field(default_factory=Counter)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.kind}"

    def answer(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        if self.away:
            return 503, {"message": "away"}
        address = urlsplit(path)
        parts = address.path.strip("/").split("/")[1:]
        if not self._is_known(headers):
            return 401, {"message": "Bad credentials"}
        match [method, *parts]:
            case ["POST", "repos", "acme", "models", "statuses", commit] if self.kind != "gitlab":
                return self._status(commit, body["state"], body["context"], body["description"])
            case ["POST", "projects", project, "statuses", commit] if unquote(project) == "acme/models":
                return self._status(commit, body["state"], body["name"], body["description"])
            case [_, "repos", "acme", "models", "pulls", *rest] if self.kind != "gitlab":
                return self._pulls(method, rest, body or {}, parse_qs(address.query))
            case [_, "projects", project, "merge_requests", *rest] if unquote(project) == "acme/models":
                return self._merge_requests(method, rest, body or {}, parse_qs(address.query))
            case [_, "repos", "acme", "models", "deployments", *rest] if self.kind == "github":
                return self._deployment(method, rest, body, parse_qs(address.query))
        return 404, {"message": "Not Found"}

    def _is_known(self, headers: dict[str, str]) -> bool:
        if self.kind == "gitlab":
            return headers.get("private-token") == TOKEN
        return headers.get("authorization") == f"{'Bearer' if self.kind == 'github' else 'token'} {TOKEN}"

    def _status(self, commit: str, state: str, context: str, text: str) -> tuple[int, Any]:
        if state not in _STATES[self.kind] or len(text) > 140 or len(commit) != 40:
            return 422, {"message": "Validation Failed"}
        self.statuses.setdefault(commit, []).append((state, context, text))
        return 201, {"state": state}

    def _deployment(self, method: str, rest: list[str], body: Any, asked: dict[str, list[str]]) -> tuple[int, Any]:
        if method == "GET":
            key = (asked["sha"][0], asked["environment"][0])
            return 200, [one for one in self.deployments if (one["sha"], one["environment"]) == key]
        if not rest:
            if body["required_contexts"] != [] or body["auto_merge"]:
                return 409, {"message": "Conflict"}
            found = {"id": len(self.deployments) + 1, "sha": body["ref"], "environment": body["environment"]}
            self.deployments.append(found | {"states": []})
            return 201, found
        if body["state"] not in _DEPLOYMENT_STATES:
            return 422, {"message": "Validation Failed"}
        self.deployments[int(rest[0]) - 1]["states"].append(body["state"])
        return 201, {}

    def _pulls(self, method: str, rest: list[str], body: Any, asked: dict[str, list[str]]) -> tuple[int, Any]:
        if method == "GET":
            assert asked["state"] == ["all"]
            head = asked["head"][0].removeprefix("acme:") if self.kind == "github" else None
            return 200, [one for one in self.pulls if head in (None, one["head"]["ref"])]
        if method == "PATCH":
            found = self.pulls[int(rest[0]) - 1]
            found |= {"title": body["title"], "body": body["body"].replace("\n", "\r\n")}
            return 200, found
        if any(one["head"]["ref"] == body["head"] and one["state"] == "open" for one in self.pulls):
            return 422, {"message": "A pull request already exists for acme:" + body["head"]}
        number = len(self.pulls) + 1
        self.pulls.append(
            {
                "number": number,
                "title": body["title"],
                "body": body["body"].replace("\n", "\r\n"),  # as GitHub keeps it
                "html_url": f"https://forge.example/acme/models/pull/{number}",
                "state": "open",
                "merged_at": None,
                "head": {"ref": body["head"]},
                "base": {"ref": body["base"]},
            }
        )
        return 201, self.pulls[-1]

    def _merge_requests(self, method: str, rest: list[str], body: Any, asked: dict[str, list[str]]) -> tuple[int, Any]:
        """GitLab's words for the same."""
        verb = {"PUT": "PATCH"}.get(method, method)
        names = {"title": "title", "description": "body", "source_branch": "head", "target_branch": "base"}
        status, said = self._pulls(verb, rest, {names[name]: body[name] for name in body}, asked)
        if status >= 400:
            return 409, {"message": ["Another open merge request already exists for this source branch"]}
        if isinstance(said, list):
            branch = asked["source_branch"][0]
            return status, [_merge_request(one) for one in said if one["head"]["ref"] == branch]
        return status, _merge_request(said)

    def close(self, number: int, *, merged: bool = False, at: datetime = datetime(2026, 12, 1, 12, tzinfo=UTC)) -> None:
        text = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        self.pulls[number - 1] |= {"state": "closed", "closed_at": text, "merged_at": text if merged else None}


def _merge_request(pull: dict[str, Any]) -> dict[str, Any]:
    state = "merged" if pull["merged_at"] else {"open": "opened"}.get(pull["state"], pull["state"])
    return {
        "iid": pull["number"],
        "title": pull["title"],
        "description": pull["body"],
        "web_url": pull["html_url"],
        "state": state,
        "closed_at": pull.get("closed_at"),
        "source_branch": pull["head"]["ref"],
    }


@contextmanager
def forge(kind: str) -> Iterator[ForgeServer]:
    found = ForgeServer(kind)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        do_PATCH = do_PUT = do_POST

        def do_GET(self) -> None:
            self._take(None)

        def _take(self, body: Any) -> None:
            found.counted[f"{self.command} {urlsplit(self.path).path.split('/')[-2]}"] += 1
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, said = found.answer(self.command, self.path, body, headers)
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def garbled() -> Iterator[str]:
    """The address of a server that speaks something else."""

    def answer() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(2**16)
                    connection.sendall(b"220 mail.example.com ESMTP\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hook-secret"
