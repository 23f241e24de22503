"""Starts a notebook's container, and knows where it is opened.

Called by `apply.effects` for a StartNotebook and an AwaitNotebook. What it is started with is kept beside the project
from one start to the next, so that an open page and a bookmark stay right: the token always, the port unless somebody
else has taken it meanwhile.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sagespec.errors import Cancelled, WorldError
from sagespec.events import Caller, Event, EventKind
from sagespec.load.loaded import PROJECT_FILE
from sagespec.plan import AwaitNotebook, StartNotebook
from sagespec.ports import first_free
from sagespec.private import NAME, write_private
from sagespec.state.desired import DesiredNotebook
from sagespec.state.launches import Launch, Mount
from sagespec.state.observed import Container, ContainerState

if TYPE_CHECKING:
    from sagespec.world import World

HOST = "127.0.0.1"
USUAL_PORTS = range(8888, 8988)  # Jupyter's, tried in this order
LOOK_SECONDS = 0.1
ANSWER_SECONDS = 10.0  # of one that listens; a busy machine makes a busy notebook slow
LONGEST_LINE = 1000
LINES_SHOWN = 10
NOTEBOOK_GRACE_SECONDS = 10.0  # in which Jupyter ends its kernels
SETTINGS_VARIABLE = "SAGESPEC_NOTEBOOK"  # where its container finds what it is started with
PACKAGE_VARIABLE = "SAGESPEC_PACKAGE"  # where a container that has no sagespec of its own finds ours
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Door:
    """Where a notebook is opened. token: who knows it may run code."""

    port: int
    token: str

    @property
    def url(self) -> str:
        """Without the token, as anybody may see it."""
        return f"http://{HOST}:{self.port}/lab"

    @property
    def url_with_token(self) -> str:
        return f"{self.url}?token={self.token}"


def door_of(root: Path, name: str) -> Door | None:
    """Of a notebook that was started once; None before that."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(_settings_file(root, name).read_bytes())
        return Door(int(kept["port"]), str(kept["token"]))
    return None


def prepare_notebook(action: StartNotebook, world: World, caller: Caller) -> None:
    """Have its program ready, which may mean to build an image. WorldError when the engine cannot see the project."""
    if world.runtime.capacity().nodes:
        raise WorldError(
            "a notebook does not run on a Swarm",
            why="it works in the project's own folder, which other machines do not see",
            fix="put the notebook in an environment that runs on Docker or as processes",
        )

    def tell(text: str) -> None:
        caller.report(Event(EventKind.PROGRESS, str(action.about), text, action=action.verb))

    world.runtime.prepare(action.notebook.program, tell)
    if not world.runtime.mounts(world.root.resolve(), PROJECT_FILE):
        raise WorldError(
            f"{world.runtime.where} cannot see {world.root}",
            why="a notebook works in the project's own folder, and the engine is on another machine or has SELinux",
            fix="run it with --runtime process, or use an engine of this machine",
        )


def start_notebook(action: StartNotebook, world: World) -> None:
    """Start it in place of what it has; a container that was made and not started is made again."""
    notebook, root = action.notebook, world.root.resolve()
    for container in world.runtime.containers():
        if container.address.whole == notebook.address:
            world.runtime.stop(container.name, grace_seconds=NOTEBOOK_GRACE_SECONDS)
            world.runtime.remove(container.name)
    settings = _write_settings(notebook, root)
    folders = dict.fromkeys([str(root), str((root / notebook.folder).resolve())])
    shown = {PACKAGE_VARIABLE: f"{world.runtime.base_dir('')}/package"} if world.runtime.runs_images else {}
    launch = Launch(
        name=action.container,
        address=notebook.address,
        hash=notebook.hash,
        program=notebook.program,
        command="serve",
        environment={**notebook.environment, SETTINGS_VARIABLE: str(settings), **shown},
        cpus=notebook.cpus,
        memory=notebook.memory,
        gpus=notebook.gpus,
        keep_running=True,
        may_end=True,
        mounts=(Mount("package/sagespec", source=str(_PACKAGE)),) if shown else (),
        folders=tuple(folders),
        grace_seconds=NOTEBOOK_GRACE_SECONDS,
    )
    world.runtime.create([launch])
    world.runtime.start(action.container)
    world.records.forget_restart(notebook.address)


def await_notebook(action: AwaitNotebook, world: World, caller: Caller) -> None:
    """Until it answers. WorldError with its last lines when it ends before that.

    Its door is looked up each time: it moves to another port where its own is taken as it starts.
    """
    while (door := door_of(world.root, action.about.name)) and world.runtime.is_local:
        found = world.runtime.inspect(action.container)
        if found is None or found.state is ContainerState.EXITED or found.restarts:
            raise _not_open(action, world, "ended as it started")
        if _answers(door):
            return
        if world.clock.sleep(LOOK_SECONDS, caller.cancelled):
            raise Cancelled("it is not waited for any longer; it runs")


def silent_notebooks(root: Path, containers: Iterable[Container], *, is_here: bool) -> frozenset[str]:
    """Names of those that do not answer and have not ended. is_here: whether the engine is this machine's, so that it
    can be told."""
    there = [c for c in containers if c.address.kind == "notebook" and c.state is not ContainerState.EXITED]
    doors = ((container.name, door_of(root, container.address.name)) for container in there if is_here)
    return frozenset(name for name, door in doors if door and not _answers(door))


def _answers(door: Door) -> bool:
    """Whether this notebook does: another one, which may have its port by now, does not know its token."""
    asked = f"GET /api/status?no_track_activity=1 HTTP/1.0\r\nAuthorization: token {door.token}\r\n\r\n"
    try:
        with socket.create_connection((HOST, door.port), timeout=ANSWER_SECONDS) as client:
            client.sendall(asked.encode())
            return b" 200 " in client.makefile("rb").readline(LONGEST_LINE)
    except OSError:
        return False


def _not_open(action: AwaitNotebook, world: World, what: str) -> WorldError:
    try:
        lines = list(world.runtime.logs(action.container, tail=LINES_SHOWN))
    except WorldError:
        lines = []
    fix = f"see `sagespec logs {action.about}`, then correct its spec"
    return WorldError(f"{action.about} {what}", why="\n".join(lines), fix=fix)


def _write_settings(notebook: DesiredNotebook, root: Path) -> Path:
    """What `sagespec.notebook.serving` is started with; for its owner's eyes, as it holds the token."""
    script = root / notebook.on_start if notebook.on_start else None
    try:
        on_start = script.read_text(encoding="utf-8") if script else ""
    except (OSError, UnicodeDecodeError) as error:
        raise WorldError(f"{script} cannot be read: {error}", fix="correct on_start, or its file") from error
    door = _door_for(root, notebook.name)
    settings = {
        "name": notebook.name,
        "port": door.port,
        "token": door.token,
        "folder": str((root / notebook.folder).resolve()),
        "project": str(root),
        "idle_seconds": notebook.idle_seconds,
        "on_start": on_start,
        "packages": list(notebook.packages),
    }
    file = _settings_file(root, notebook.name)
    write_private(file, json.dumps(settings))
    return file


def _door_for(root: Path, name: str) -> Door:
    kept = door_of(root, name)
    ports: Sequence[int] = [*([kept.port] if kept else []), *USUAL_PORTS]
    port = first_free(HOST, ports)
    if port is None:
        raise WorldError(f"no free port from {USUAL_PORTS[0]} to {USUAL_PORTS[-1]}", fix="stop what listens there")
    return Door(port, kept.token if kept else secrets.token_hex(24))


def _settings_file(root: Path, name: str) -> Path:
    return root / NAME / "notebooks" / name / "settings.json"
