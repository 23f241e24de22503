"""A secret is found nowhere but in the program that it was given to: four canaries, and a look into everything.

Not in the store, `.sagespec`, logs, plans, JSON, the reason of a failure, tracebacks, nor the list of processes, though
the program prints all of them.
"""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest

from sagespec.runtimes.process.secret_files import secrets_folder
from tests.scenarios.workspace import Workspace

CANARIES = {
    "token": "canary-of-a-variable-0451",
    "smtp": "canary in a/file+0452",
    "db": "canary-of-a-command-0453",
    "shop": "canary-of-a-caller-0454",
}
TRAIN = """\
#!/usr/bin/env python3
import os, sys, urllib.parse
from pathlib import Path
smtp = Path(os.environ["SMTP_FILE"]).read_text()
print("given", os.environ["TOKEN"], smtp, urllib.parse.quote(smtp), os.environ["DB"], flush=True)
base = Path(os.environ["SAGEMAKER_BASE_DIR"])
(base / "model/model.txt").write_text("a model")
if os.environ.get("FAILS"):
    (base / "output/failure").write_text("AlgorithmError: no such user: " + os.environ["DB"])
    sys.exit("failed with " + os.environ["TOKEN"])
"""
SERVE = """\
#!/usr/bin/env python3
import hashlib, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
smtp = Path(os.environ["SMTP_FILE"]).read_text()
print("serves with", os.environ["TOKEN"], smtp, flush=True)
print("and", os.environ["DB"], file=sys.stderr, flush=True)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        given = " ".join([os.environ["TOKEN"], smtp, os.environ["DB"]])
        self.answer(hashlib.sha256(given.encode()).hexdigest().encode())
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
address = (os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
ThreadingHTTPServer(address, Handler).serve_forever()
"""
ENVIRONMENT = "{TOKEN: {secret: token}, SMTP: {secret: smtp, as: file}, DB: {secret: db}}"
JOB = """\
---
apiVersion: sagespec/v1
kind: TrainingJob
name: own
version: VERSION
build: {context: ../own}
channels: {train: ../data/train.csv}
environment: ENVIRONMENT
"""
ENDPOINT = f"""\
---
apiVersion: sagespec/v1
kind: Endpoint
name: own
rollout: {{min_healthy: 300ms}}
variants:
  - {{name: a, model: own@1, environment: {ENVIRONMENT}}}
"""


def job(version: int, environment: str = ENVIRONMENT) -> str:
    return JOB.replace("VERSION", str(version)).replace("ENVIRONMENT", environment)


@pytest.fixture
def canaries(tmp_path: Path, project_name: str, evidence: Path) -> Workspace:
    """A project with a secret of each kind, whose job and endpoint print them all."""
    found = Workspace(tmp_path / "project", project_name, "process", environment={"HF_TOKEN": CANARIES["token"]})
    kept = tmp_path / "kept"  # not in the project's folder, which is searched
    kept.mkdir()
    for name in ("smtp", "db", "shop"):
        (kept / name).write_text(CANARIES[name] + "\n")
        (kept / name).chmod(0o600)
    secrets = {
        "token": "env:HF_TOKEN",
        "smtp": f"file:{kept}/smtp",
        "db": {"command": ["cat", f"{kept}/db"]},
        "shop": f"file:{kept}/shop",
    }
    with (found.root / "sagespec.yaml").open("a") as file:
        file.write(f"secrets: {json.dumps(secrets)}\n")
    found.edit(r"gateway: \{", "gateway: {callers: {shop: {key: {secret: shop}}}, ", "sagespec.yaml")
    (found.root / "own").mkdir()
    for name, text in (("train", TRAIN), ("serve", SERVE)):
        (found.root / "own" / name).write_text(text)
        (found.root / "own" / name).chmod(0o755)
    return found


def forms_in(text: bytes) -> list[bytes]:
    """What is left of a canary in it, as it is or with %2F for /."""
    return [part for part in (b"canary", b"Y2FuYXJ5") if part in text]


def said_by(workspace: Workspace, *words: str, code: int | None = 0) -> str:
    done = workspace.run(*words, code=code)
    assert not forms_in((done.stdout + done.stderr).encode()), (words, done.stdout, done.stderr)
    return done.stdout


def test_a_secret_is_found_nowhere(canaries: Workspace) -> None:
    canaries.write(job(1) + job(2, ENVIRONMENT.replace("}, DB", "}, FAILS: yes, DB").replace("yes", '"1"')) + ENDPOINT)
    said_by(canaries, "validate")
    said_by(canaries, "plan")
    said_by(canaries, "plan", "--output", "json")
    said = said_by(canaries, "apply", code=1)
    assert "given *** *** *** ***" in said, "what it printed is there, but for the secrets"
    assert "no such user: ***" in said_by(canaries, "status", code=None) + said
    for words in (["status", "--output", "json"], ["status", "job/own@2"], ["status", "endpoint/own"], ["history"]):
        said_by(canaries, *words, code=None)
    said_by(canaries, "history", "own", "--output", "json")
    said_by(canaries, "plan", "--output", "markdown", code=None)
    assert "serves with *** ***" in said_by(canaries, "logs", "endpoint/own")
    assert "and ***" in said_by(canaries, "logs", "endpoint/own")
    assert "failed with ***" in said_by(canaries, "logs", "job/own@2")
    said_by(canaries, "doctor", code=None)
    assert len(said_by(canaries, "invoke", "own", "--data", "x")) > 60
    listed = subprocess.run(["ps", "-axww", "-o", "args="], capture_output=True, check=True).stdout
    assert not [name for name, value in CANARIES.items() if value.encode() in listed]
    found = {str(file): forms for file in files_of(canaries.root) if (forms := forms_in(file.read_bytes()))}
    assert found == {}


def test_what_is_kept_of_a_container_is_its_owners_alone(canaries: Workspace) -> None:
    canaries.write(job(1) + ENDPOINT)
    said_by(canaries, "apply")
    (record,) = [f for f in files_of(canaries.root) if f.name == "container.json" and "endpoint" in str(f)]
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert stat.S_IMODE((record.parent / "log").stat().st_mode) == 0o600
    assert stat.S_IMODE((canaries.root / ".sagespec").stat().st_mode) == 0o700
    kept = json.loads(record.read_bytes())
    assert kept["launch"]["environment"]["DB"] == {"secret": "db"}
    folder = secrets_folder(kept["id"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [(f.name, stat.S_IMODE(f.stat().st_mode), f.read_text()) for f in folder.iterdir()] == [
        ("smtp", 0o600, CANARIES["smtp"])
    ]
    said_by(canaries, "destroy", "--yes")
    assert not folder.exists()


def test_a_bug_shows_no_secret(canaries: Workspace) -> None:
    """Whatever goes wrong after a secret was opened, its traceback is printed without it."""
    code = (
        "from pathlib import Path; from sagespec.show.problems import write_bug;"
        "from sagespec.show.screen import Screen;"
        "from sagespec.project import Project; p = Project.open(Path()); text = p.parts.secrets.open('token');"
        "write_bug(Screen.here('text'), ValueError(text), True)"
    )
    words = [canaries.command()[0], "-c", code]
    done = subprocess.run(words, cwd=canaries.root, env=canaries.env, capture_output=True, text=True)
    assert "ValueError: ***" in done.stderr
    assert not forms_in((done.stdout + done.stderr).encode())


def files_of(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
