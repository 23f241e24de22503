"""The notebook that runs, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sagespec.show.figures import seconds_text
from sagespec.show.screen import Screen


def write_running(screen: Screen, page: str, idle_seconds: float) -> None:
    """Its address first: everything else may wait."""
    if screen.format == "json":
        screen.record({"event": "notebook", "url": page})
        return
    screen.line(("notebook  ", "dim"), (page, "name"))
    ends = f"ends when nobody has used it for {seconds_text(idle_seconds)}, or " if idle_seconds else "ends "
    screen.line((f"          {ends}on Ctrl-C; jobs and endpoints keep running", "dim"))


def write_ended(screen: Screen, why: str, idle_seconds: float) -> None:
    """why: as `wait` of `notebook` returns it."""
    if screen.format == "json":
        screen.record({"event": "result", "ok": True, "why": why or "stopped"})
        return
    words = {"unused": f"nobody has used it for {seconds_text(idle_seconds)}", "": "stopped"}
    screen.line(f"the notebook has ended: {words.get(why, why)}")


def write_notebooks(screen: Screen, found: Sequence[Mapping[str, Any]]) -> None:
    """Those that run: by their process (`pid`), or those of specs by their address (`about`)."""
    if screen.format == "json":
        screen.document({"notebooks": list(found)})
        return
    for one in found:
        what = f"{one['about']}, since {one['started']}" if "about" in one else f"(pid {one['pid']})"
        screen.line((one["url"], "name"), f"  {what}")
    if not found:
        screen.line("no notebook of this project is running")


def write_stopped_notebook(screen: Screen, pid: int | None) -> None:
    """pid: of the one that was ended."""
    if screen.format == "json":
        screen.document({"ok": True, "stopped": pid})
        return
    screen.line("no notebook of this project is running" if pid is None else f"ended (pid {pid})")


def write_installed(screen: Screen, name: str, file: Path) -> None:
    if screen.format == "json":
        screen.document({"ok": True, "kernel": name, "file": str(file)})
        return
    screen.line(f'the kernel "{name}" is in {file}')
    screen.line(("choose it in VS Code or Jupyter; the control plane runs by `sagespec up`", "dim"))
