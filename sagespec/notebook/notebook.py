"""A project's notebook: a JupyterLab that is started, found again, and ended when nobody uses it."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sagespec.errors import WorldError
from sagespec.notebook import kernelspec
from sagespec.notebook.jupyter import HOST, Jupyter, Lab
from sagespec.ports import first_free, port_taken
from sagespec.private import make_folder, write_private
from sagespec.serve.notebooks import USUAL_PORTS
from sagespec.web.places import Place, claimed, place_of, write_place

SERVER = "notebook"  # among the project's servers
STOP_SECONDS = 30.0
KERNEL = "python3"  # of the server that we start: what notebooks ask for that were written anywhere


@dataclass(frozen=True)
class Wish:
    """What is asked for. kept: what this machine keeps for the project. folder: what the page shows. opens: a notebook
    in it, or "". port: None for a free one. idle_seconds: unused for so long, it ends; 0 for never."""

    root: Path
    kept: Path
    folder: Path
    opens: str = ""
    port: int | None = None
    idle_seconds: float = 3600.0


def running(kept: Path) -> Place | None:
    """The project's notebook, with the address a browser opens; None when none runs."""
    return place_of(kept, SERVER)


@contextmanager
def notebook(wish: Wish, cancelled: threading.Event) -> Iterator[Jupyter]:
    """A server that answers, and ends with this block. WorldError when the project has one."""
    with claimed(wish.kept, SERVER):
        folder = wish.kept / "jupyter"
        make_folder(folder)
        token_file = folder / "token"
        write_private(token_file, secrets.token_urlsafe(32))  # no line break: Jupyter takes all of it
        kernelspec.write(folder, KERNEL, wish.root)
        lab = Lab(wish.folder, wish.opens, _port(wish.port), folder, token_file, folder / "log", wish.idle_seconds)
        jupyter = Jupyter(lab)
        try:
            jupyter.wait_until_it_answers(cancelled)
            write_place(wish.kept, SERVER, lab.page)
            yield jupyter
        finally:
            jupyter.stop()


def stop(kept: Path) -> Place | None:
    """End the project's notebook and wait until it is gone; None when none runs."""
    found = running(kept)
    if found is None:
        return None
    with suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while running(kept) == found:
        if time.monotonic() > deadline:
            fix = f"end it with: kill -9 {found.pid}"
            raise WorldError(f"the notebook (pid {found.pid}) has not ended within {STOP_SECONDS:.0f} s", fix=fix)
        time.sleep(0.1)
    return found


def _port(asked: int | None) -> int:
    ports = USUAL_PORTS if asked is None else [asked]
    found = first_free(HOST, ports)
    if found is None:
        raise port_taken(HOST, ports[0], fix="stop it, or choose another port with --port")
    return found
