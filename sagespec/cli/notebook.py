"""The command `notebook`: JupyterLab whose cells train and deploy here."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from sagespec.cli.extras import OF_NOTEBOOK, need
from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written
from sagespec.cli.options import parse_seconds
from sagespec.errors import SpecError

if TYPE_CHECKING:
    from sagespec.notebook.notebook import Wish
    from sagespec.web.places import Place


@click.command(
    epilog=as_written("""
        Examples:
          sagespec notebook
          sagespec notebook churn.ipynb
          sagespec notebook --install-kernel     for VS Code, or a Jupyter you have
    """)
)
@click.argument("where", metavar="[FOLDER|NOTEBOOK]", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--stop", is_flag=True, help="End the one that runs.")
@click.option("--list", "shows", is_flag=True, help="Show the one that runs, with its address.")
@click.option("--no-browser", is_flag=True, help="Only print the address.  [default: open it where there is a browser]")
@click.option("--port", type=click.IntRange(1, 65535), help="Where it listens.  [default: 8888, or the next free one]")
@click.option(
    "--idle",
    "idle_seconds",
    metavar="DURATION",
    callback=parse_seconds,
    default="1h",
    help="End when nobody has used it for so long; 0: never.  [default: 1h]",
)
@click.option("--install-kernel", is_flag=True, help="Only add the kernel to those of your Jupyter and VS Code.")
@takes_common_options()
def notebook(
    given: Invocation,
    where: Path | None,
    *,
    stop: bool,
    shows: bool,
    no_browser: bool,
    port: int | None,
    idle_seconds: float,
    install_kernel: bool,
) -> int:
    """Open JupyterLab, with SageMaker's SDKs leading to this project.

    Listens on this machine alone, for whoever has the token. Runs what `sagespec up` runs beside it, unless that runs
    already. Ends on Ctrl-C, and when nobody uses it: no page is open, no kernel computes. Jobs and endpoints
    keep running.
    """
    from sagespec.load.load import find_root
    from sagespec.notebook.notebook import Wish, running
    from sagespec.notebook.notebook import stop as end
    from sagespec.private import kept_in
    from sagespec.spec.environment import ENVIRONMENT_VARIABLE

    if sum((stop, shows, install_kernel)) > 1:
        raise click.UsageError("--stop, --list and --install-kernel exclude each other")
    place = (given.folder / where if where else given.folder).resolve()
    folder, opens = (place.parent, place.name) if place.is_file() else (place, "")
    root = find_root(folder)
    if given.environment:
        os.environ[ENVIRONMENT_VARIABLE] = given.environment  # for kernels, which are programs of their own
    kept = kept_in(root, os.environ.get(ENVIRONMENT_VARIABLE, ""))
    given = replace(given, start=root, specs=tuple(given.folder / path for path in given.specs))
    if install_kernel:
        return _install(given, root)
    if shows:
        return _show(given, root, running(kept))
    if stop:
        return _show_ended(given, end(kept))
    if opens and not opens.endswith(".ipynb"):
        raise SpecError(f"{opens} is not a notebook", fix="name a folder, or a file that ends in .ipynb")
    found = running(kept)
    if found and port in (None, urlsplit(found.url).port):
        _open(found.url, wanted=not no_browser)
        return _show(given, root, found)
    return _run(given, Wish(root, kept, folder, opens, port, idle_seconds), browser=not no_browser)


def _run(given: Invocation, wish: Wish, *, browser: bool) -> int:
    from sagespec.cli.serving import serving
    from sagespec.cli.signals import stoppable
    from sagespec.notebook.ending import wait
    from sagespec.notebook.notebook import notebook
    from sagespec.show.notebooks import write_ended, write_running
    from sagespec.web.places import place_of

    need(OF_NOTEBOOK, "notebook", what="a notebook")
    stop = stoppable(given.screen, "Jobs and endpoints keep running.", begun=True, timed=True)
    with given.project() as project, stop as interrupt, ExitStack() as beside:
        loop = None if place_of(wish.kept, "api") else beside.enter_context(serving(given, project, interrupt.report))
        with notebook(wish, interrupt.cancelled) as jupyter:
            write_running(given.screen, jupyter.lab.page, wish.idle_seconds)
            _open(jupyter.lab.page, wanted=browser)
            why = wait(jupyter, interrupt.cancelled, lambda: loop.failed if loop else None)
    write_ended(given.screen, why, wish.idle_seconds)
    return DONE


def _install(given: Invocation, root: Path) -> int:
    from sagespec.notebook import kernelspec
    from sagespec.show.notebooks import write_installed

    need(["ipykernel"], "notebook", what="a kernel")
    file = kernelspec.write(kernelspec.user_data(), "sagespec", root)
    write_installed(given.screen, kernelspec.DISPLAY_NAME, file)
    return DONE


def _show(given: Invocation, root: Path, found: Place | None) -> int:
    from sagespec.show.notebooks import write_notebooks

    own = [{"url": found.url, "pid": found.pid}] if found else []
    write_notebooks(given.screen, [*own, *_of_specs(given, root)])
    return DONE


def _of_specs(given: Invocation, root: Path) -> list[dict[str, Any]]:
    """Those of `kind: Notebook` that run."""
    from sagespec.serve.notebooks import door_of

    with given.project() as project, suppress(SpecError):  # wrong specs hide no notebook that runs
        return [
            {"url": door.url_with_token, "about": str(state.address), "started": state.started_at.isoformat()}
            for state in project.status().notebooks
            if state.url and state.started_at and (door := door_of(root, state.address.name))
        ]
    return []


def _show_ended(given: Invocation, found: Place | None) -> int:
    from sagespec.show.notebooks import write_stopped_notebook

    write_stopped_notebook(given.screen, found.pid if found else None)
    return DONE


def _open(page: str, *, wanted: bool) -> None:
    """In a browser, where one can be shown: without a screen Python would start one that lives in the terminal."""
    has_screen = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if wanted and has_screen:
        import webbrowser

        webbrowser.open(page)
