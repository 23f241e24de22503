"""A git repository to push to, and people with SSH keys who commit to it: all real, in a folder of its own."""

from __future__ import annotations

import base64
import gzip
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class Person:
    """Somebody with a key. The name is as the signers' file has it."""

    name: str
    key: Path

    @property
    def public(self) -> str:
        return self.key.with_suffix(".pub").read_text().strip()

    def line(self, options: str = "") -> str:
        """Of a file of signers."""
        return " ".join(filter(None, (self.name, options, *self.public.split()[:2]))) + "\n"


class Origin:
    """A bare repository that others fetch, and a checkout of it to work in."""

    def __init__(self, folder: Path, branch: str = "main") -> None:
        self.folder, self.branch = folder, branch
        self.bare, self.work = folder / "origin.git", folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        self._git("init", "-q", "--bare", "-b", branch, str(self.bare), at=folder)
        self._git("config", "uploadpack.allowFilter", "true", at=self.bare)
        self._git("clone", "-q", str(self.bare), str(self.work), at=folder)
        self.git("checkout", "-q", "-B", branch)

    @property
    def url(self) -> str:
        return f"file://{self.bare}"

    def person(self, name: str) -> Person:
        key = self.folder / f"{name.partition('@')[0]}_key"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return Person(name, key)

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, text: str, files: Mapping[str, str] | None = None, *, by: Person | None = None) -> str:
        """Commit everything, signed by whom it is by; the commit."""
        self.write(files or {})
        self.git("add", "-A")
        self.git(*signing(by), "commit", "-q", "--allow-empty", "-m", text, *(["-S"] if by else []))
        return self.head

    def push(self, *words: str) -> str:
        """The commit that the branch has then."""
        self.git("push", "-q", *words, "origin", f"HEAD:{self.branch}")
        return self.head

    def commits(self, count: int) -> None:
        """Push so many, each of them with another file, without a checkout."""
        lines = []
        for number in range(count):
            text = f"{number}\n"
            about = f"committer Ada <ada@acme.example> {1_700_000_000 + number} +0000\ndata {len(text)}\n{text}"
            lines.append(
                f"commit refs/heads/{self.branch}\n{about}M 644 inline specs/a.yaml\ndata {len(text)}\n{text}\n"
            )
        command = ["git", "-C", str(self.bare), "fast-import", "--quiet", "--force"]
        subprocess.run(command, input="".join(lines), text=True, check=True, timeout=120)

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *words: str) -> str:
        return self._git(*words, at=self.work)

    def _git(self, *words: str, at: Path) -> str:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
        environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        names = ["-c", "user.name=Ada", "-c", "user.email=ada@acme.example", "-c", "init.defaultBranch=main"]
        done = subprocess.run(
            ["git", *names, *words],
            cwd=at,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout


def signing(by: Person | None) -> list[str]:
    """Settings of git with which it signs as somebody."""
    return ["-c", "gpg.format=ssh", "-c", f"user.signingKey={by.key}"] if by else []


class _Backend(BaseHTTPRequestHandler):
    """git http-backend, for those who bring the token."""

    origin: Origin
    token: str
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        self.asked.append(path)
        given = self.headers.get("Authorization", "")
        if base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")[2] != self.token:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        variables = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.origin.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=variables, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().splitlines():
            self.send_header(*line.split(": ", 1))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: the test says what it asks."""


@contextmanager
def served(origin: Origin, token: str) -> Iterator[tuple[str, list[str]]]:
    """The repository's address over HTTP, and the paths that were asked for."""
    asked: list[str] = []
    handler = type("Backend", (_Backend,), {"origin": origin, "token": token, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{origin.bare.name}", asked
        server.shutdown()
