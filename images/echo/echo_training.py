"""Training of the test image: records everything it was given, then does what its hyperparameters say.

Standard library only, and free of the toolkit that it helps to test. The record is
model/echo.json and the same in output/data/echo.json; it is written before anything else happens.
"""

from __future__ import annotations

import base64
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
    "sleep": ("number", "0", "Seconds to wait before exiting"),
    "lines": ("integer", "0", "Number of lines to print, each with a metric: line=3 echo:value=0.3"),
    "exit_code": ("integer", "0", "Exit code"),
    "failure": ("string", "", "Text to write to output/failure"),
    "ignore_sigterm": (
        "boolean",
        "false",
        "Whether to ignore SIGTERM; otherwise SIGTERM ends the job at once with exit code 0",
    ),
    "on_host": ("string", "", "The host that fails and exits with exit_code; default: every host"),
    "model_bytes": ("integer", "0", "Size of an extra file model/filler"),
    "read_pipes": ("string", "", "Channels to read in pipe mode, with their number of epochs: train=3 validation=1"),
    "first_bytes": ("integer", "0", "How much of each pipe to read in even epochs before closing it; 0: all of it"),
    "epoch_pause": ("number", "0", "Seconds to wait after reading each epoch from a pipe"),
    "write_to": ("string", "", "A file below input/ to try to write to; the record contains the result"),
    "epochs": (
        "integer",
        "0",
        "Number of epochs to train, each with a line and a checkpoint from which the next run continues",
    ),
    "epoch_seconds": ("number", "0.1", "How long an epoch takes"),
}


def main() -> NoReturn:
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    given = read_json(base / "input/config/hyperparameters.json")
    settings = {name: given.get(name, default) for name, (_, default, _) in HYPERPARAMETERS.items()}
    ignores = settings["ignore_sigterm"] == "true"
    signal.signal(signal.SIGTERM, on_ignored_signal if ignores else on_signal)

    record = what_was_given(base)
    record["pipes"] = read_pipes(base / "input/data", settings)
    record["written"] = try_to_write(base / "input", settings["write_to"])
    write(base / "model", record, filler_bytes=int(settings["model_bytes"]))
    write(base / "output/data", record)
    for number in range(int(settings["lines"])):
        print(f"line={number} echo:value={number / 10}", flush=True)
    train_epochs(base, int(settings["epochs"]), float(settings["epoch_seconds"]))
    time.sleep(float(settings["sleep"]))
    if settings["on_host"] not in ("", record["current_host"]):
        sys.exit(0)
    if settings["failure"]:
        (base / "output/failure").write_text(settings["failure"], encoding="utf-8")
    sys.exit(int(settings["exit_code"]))


def train_epochs(base: Path, epochs: int, seconds: float) -> None:
    """Prints `epoch=N`; where there are checkpoints, continues after the last and keeps the last three."""
    local_path = read_json(base / "input/config/checkpointconfig.json").get("LocalPath")
    folder = Path(local_path) if local_path else None
    done = max((int(path.suffix[1:]) for path in folder.glob("epoch.*")), default=0) if folder else 0
    for epoch in range(done + 1, epochs + 1):
        time.sleep(seconds)
        print(f"epoch={epoch}", flush=True)
        if folder:
            (folder / f"epoch.{epoch}").write_text(f"all of epochs 1 to {epoch}\n", encoding="utf-8")
            (folder / f"epoch.{epoch - 3}").unlink(missing_ok=True)


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


def read_pipes(folder: Path, settings: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """What each epoch of each channel gave: its length, its hash, and its beginning as base64."""
    first_bytes, pause = int(settings["first_bytes"]), float(settings["epoch_pause"])
    found: dict[str, list[dict[str, Any]]] = {}
    for word in settings["read_pipes"].split():
        channel, _, epochs = word.partition("=")
        found[channel] = []
        for epoch in range(int(epochs)):
            pipe = folder / f"{channel}_{epoch}"
            while not pipe.exists():  # as SageMaker's own examples wait for the next epoch
                time.sleep(0.005)
            with pipe.open("rb") as stream:
                data = stream.read(first_bytes if first_bytes and epoch % 2 == 0 else -1)
            found[channel].append(
                {
                    "bytes": len(data),
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "begin": base64.b64encode(data[:256]).decode(),
                    "is_fifo": not pipe.is_file(),
                }
            )
            print(f"{channel} epoch {epoch}: {len(data)} bytes", flush=True)
            time.sleep(pause)
    return found


def try_to_write(folder: Path, path: str) -> str:
    """'written', or why not; '' when no file is to be written."""
    if not path:
        return ""
    try:
        (folder / path).write_text("written by the job", encoding="utf-8")
    except OSError as error:
        return os.strerror(error.errno or 0)
    return "written"


def files_under(folder: Path) -> list[Path]:
    """All files, including those in linked folders."""
    found = (Path(above, name) for above, _, names in os.walk(folder, followlinks=True) for name in names)
    return sorted(path for path in found if path.is_file())


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
