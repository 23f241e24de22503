"""Training of the test image: writes down all it was given, then does as its hyperparameters say.

Standard library only, and free of the toolkit that it helps to test. The record is
model/echo.json and the same in output/data/echo.json; it is written before anything else happens.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

# name: (type in image.json, default, what it does)
HYPERPARAMETERS: dict[str, tuple[str, str, str]] = {
    "sleep": ("number", "0", "Seconds to wait before the end"),
    "lines": ("integer", "0", "Lines to print, each with a metric: line=3 echo:value=0.3"),
    "exit_code": ("integer", "0", "Exit code at the end"),
    "failure": ("string", "", "Text for output/failure"),
    "ignore_sigterm": ("boolean", "false", "Whether SIGTERM is ignored; else it ends the job at once with exit 0"),
    "on_host": ("string", "", "The host that fails and exits with exit_code; every host if not given"),
    "model_bytes": ("integer", "0", "Size of an extra file model/filler"),
}


def main() -> NoReturn:
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    given = read_json(base / "input/config/hyperparameters.json")
    settings = {name: given.get(name, default) for name, (_, default, _) in HYPERPARAMETERS.items()}
    ignores = settings["ignore_sigterm"] == "true"
    signal.signal(signal.SIGTERM, on_ignored_signal if ignores else on_signal)

    record = what_was_given(base)
    write(base / "model", record, filler_bytes=int(settings["model_bytes"]))
    write(base / "output/data", record)
    for number in range(int(settings["lines"])):
        print(f"line={number} echo:value={number / 10}", flush=True)
    time.sleep(float(settings["sleep"]))
    if settings["on_host"] not in ("", record["current_host"]):
        sys.exit(0)
    if settings["failure"]:
        (base / "output/failure").write_text(settings["failure"], encoding="utf-8")
    sys.exit(int(settings["exit_code"]))


def what_was_given(base: Path) -> dict[str, Any]:
    config = base / "input/config"
    resources = read_json(config / "resourceconfig.json")
    hosts = resources.get("hosts", [])
    return {
        "argv": sys.argv,
        "user": os.getuid(),
        "folder": str(Path.cwd()),
        "env": dict(os.environ),
        "hyperparameters": read_json(config / "hyperparameters.json"),
        "inputdataconfig": read_json(config / "inputdataconfig.json"),
        "resourceconfig": resources,
        "current_host": resources.get("current_host", ""),
        "addresses": {host: addresses_of(host) for host in hosts},
        "input": {str(path.relative_to(base / "input")): facts_of(path) for path in files_under(base / "input")},
    }


def files_under(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def facts_of(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def addresses_of(host: str) -> list[str]:
    """The host's addresses, empty if its name is not known here."""
    try:
        return sorted({str(info[4][0]) for info in socket.getaddrinfo(host, None)})
    except OSError:
        return []


def read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write(folder: Path, record: dict[str, Any], *, filler_bytes: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "echo.json").write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
    if filler_bytes:
        (folder / "filler").write_bytes(os.urandom(filler_bytes))


def on_signal(_number: int, _frame: object) -> NoReturn:
    print("echo: stopped by SIGTERM", flush=True)
    sys.exit(0)


def on_ignored_signal(_number: int, _frame: object) -> None:
    print("echo: SIGTERM ignored", flush=True)
