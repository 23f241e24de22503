"""What the container of a `kind: Notebook` runs: packages, on_start, JupyterLab, and its end once nobody uses it.

    python -m sagespec.notebook.serving         started by images/notebook/serve

Ends with 0 when nobody has used it for long enough, or on SIGTERM; with 1 when it could not start, the reason in its
log.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagespec.errors import WorldError
from sagespec.notebook import kernelspec
from sagespec.notebook.ending import wait
from sagespec.notebook.jupyter import HOST, Jupyter, Lab
from sagespec.ports import Claims, first_free, is_taken
from sagespec.private import write_private

SETTINGS_VARIABLE = "SAGESPEC_NOTEBOOK"
SETTINGS_FILE = "settings.json"
PORTS_TRIED = 5
KERNEL = "python3"  # what notebooks ask for that were written anywhere
ON_START_SECONDS = 300.0  # SageMaker's, for the scripts of a lifecycle configuration
_CLAIMS = Claims()


@dataclass(frozen=True)
class Settings:
    """As `serve.notebooks` wrote them. state: the folder they are in, which stays. on_start: the script's text.
    idle_seconds: 0 for never."""

    state: Path
    name: str
    port: int
    token: str
    folder: Path
    project: Path
    idle_seconds: float
    on_start: str
    packages: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> Settings:
        given: dict[str, Any] = json.loads(file.read_bytes())
        return cls(
            state=file.parent,
            name=given["name"],
            port=given["port"],
            token=given["token"],
            folder=Path(given["folder"]),
            project=Path(given["project"]),
            idle_seconds=given["idle_seconds"],
            on_start=given["on_start"],
            packages=tuple(given["packages"]),
        )


def run(settings: Settings, ends: threading.Event) -> None:
    """Returns when nobody has used it for long enough, or once `ends` is set. WorldError when it cannot start."""
    state = settings.state
    if settings.packages:
        install(settings.packages, state / "packages")
    if settings.on_start:
        run_script(settings.on_start, settings.folder)
    kernelspec.write(state, KERNEL, settings.project)
    write_private(state / "token", settings.token)
    jupyter = opened(settings, ends)
    try:
        print(f"notebook {settings.name} listens on {jupyter.lab.url}", flush=True)
        if why := wait(jupyter, ends, lambda: None):
            print(f"notebook {settings.name} stops, and its folder stays: {why}", flush=True)
    finally:
        jupyter.stop()


def opened(settings: Settings, ends: threading.Event) -> Jupyter:
    """It answers, or `ends` is set. Where another program takes its port as it starts, it gets the next free one, which
    is written down for whoever opens it. WorldError when it cannot start."""
    state, port, name = settings.state, settings.port, settings.name
    failed = WorldError(f"notebook {name} finds no free port from {port} on", fix="stop what listens there")
    for _ in range(PORTS_TRIED):
        if _CLAIMS.claim(port, name):  # of two that start at once, Jupyter's own look at a port is in the other's way
            jupyter = Jupyter(Lab(settings.folder, "", port, state, state / "token", None, settings.idle_seconds))
            try:
                jupyter.wait_until_it_answers(ends)
                return jupyter
            except WorldError as error:
                failed = error
            except BaseException:
                jupyter.stop()
                raise
            if not is_taken(HOST, port):
                break
        free = first_free(HOST, (other for other in range(port + 1, port + 101) if _CLAIMS.claim(other, name)))
        if free is None:
            break
        print(f"port {port} is taken by now: notebook {settings.name} moves to {free}", flush=True)
        port = free
        file = state / SETTINGS_FILE
        write_private(file, json.dumps(json.loads(file.read_bytes()) | {"port": port}))
    raise failed


def install(packages: tuple[str, ...], folder: Path) -> None:
    """Into a folder that is kept from start to start, unless they are there already."""
    done, wanted = folder / ".installed", "\n".join((sys.version, *packages))
    if not done.is_file() or done.read_text() != wanted:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(folder), *packages]
        if subprocess.run(command, check=False).returncode:
            raise WorldError(f"pip could not install {', '.join(packages)}", fix="correct packages in its spec")
        done.write_text(wanted)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


def run_script(text: str, folder: Path) -> None:
    try:
        ended = subprocess.run(["bash", "-c", text], cwd=folder, timeout=ON_START_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise WorldError(f"on_start took more than {ON_START_SECONDS / 60:g} minutes", fix="make it shorter") from None
    except OSError as error:
        raise WorldError(f"on_start cannot run: {error}", fix="it is a script for bash") from error
    if ended.returncode:
        raise WorldError(f"on_start ended with exit code {ended.returncode}", fix="correct the script")


def main() -> None:
    ends = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ends.set())
    if not os.access(os.environ.get("HOME", "/"), os.W_OK):
        os.environ["HOME"] = os.environ.get("TMPDIR", "/tmp")  # noqa: S108  # of a user that the image does not know
    try:
        run(Settings.read(Path(os.environ[SETTINGS_VARIABLE])), ends)
    except WorldError as error:
        print(error, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
