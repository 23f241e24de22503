"""The process runtime: the programs of images/, and those of folders of the user's that have `train` and `serve` as
executable files, as supervised local processes, where no Docker answers.

A container is a folder: `container.json` (what it was created as, with its ports), `opt/ml` (its tree,
named to the program by SAGEMAKER_BASE_DIR), `work` (its current directory), and the record and log
that `shim` keeps. There is no daemon and no other state: the lock that a shim holds is what
"running" means, so any later command finds everything again. Nothing is isolated, and `checks` says so.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from sagespec.errors import InternalError, WorldError, did_you_mean
from sagespec.runtimes.machine import capacity_here, choose_gpus
from sagespec.runtimes.process import shim
from sagespec.runtimes.process.containers import ID_VARIABLE, Record, Run, is_locked, state_of
from sagespec.runtimes.process.environment import INHERITED, LOOPBACK, THREADS, WORKERS
from sagespec.runtimes.process.files import (
    copy_file,
    copy_folder,
    delete_folder,
    explained,
    files_below,
    tar_members,
    write_whole,
)
from sagespec.runtimes.process.logs import log_lines, timed_lines
from sagespec.runtimes.process.ports import HOST, check_port, choose_port
from sagespec.runtimes.process.processes import KILL_SECONDS, POLL_SECONDS, START_SHIM, processes_with, signal_process
from sagespec.runtimes.process.programs import MODULES, NEEDS_DOCKER, WORDS, check_packages
from sagespec.runtimes.protocol import Check, ImageInfo, Tell
from sagespec.sources.build import BuildFolder
from sagespec.state.launches import Launch, Mount
from sagespec.state.observed import Capacity, Container, ContainerState
from sagespec.state.programs import Program

EVENTS_SECONDS = 0.25


FETCH_SECONDS = 10.0


class ProcessRuntime:
    """`folder` holds the containers, `images` the programs; folders of users' own are relative to `root`.

    See `Runtime` for what the methods owe.
    """

    name: Literal["docker", "process", "fake"] = "process"

    def __init__(self, project_name: str, folder: Path, images: Path, root: Path = Path()) -> None:
        self._project_name = project_name
        self._root = root.absolute()
        self._folder = folder.absolute()
        self._images = images.absolute()
        self._creating = threading.Lock()  # ports and GPUs are chosen by one thread at a time
        self._capacity: Capacity | None = None
        self._records: dict[str, tuple[tuple[int, int], Record]] = {}  # read before, by inode and time

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    # -- what is there -----------------------------------------------------------------------------

    def containers(self) -> tuple[Container, ...]:
        found = (self.inspect(name) for name in self._names())
        return tuple(container for container in found if container is not None)

    def inspect(self, name: str) -> Container | None:
        record = self._record(name)
        if record is None:
            return None
        launch, run = record.launch, self._run(name)
        return Container(
            name=name,
            address=launch.address,
            hash=launch.hash,
            state=state_of(run),
            exit_code=run.exit_code if run else None,
            host=HOST,
            port=record.port,
            started_at=datetime.fromtimestamp(run.started_at, UTC) if run else None,
            cpus=launch.cpus,
            memory=launch.memory,
            gpus=record.gpus,
            note=self._note(name) if run and run.exit_code == shim.KILLED else "",
            signals=(signal.SIGTERM,) if run and (self._folder / name / "terminated").exists() else (),
        )

    def _note(self, name: str) -> str:
        """Why its shim killed the program; '' when that was somebody else."""
        try:
            return (self._folder / name / "note").read_text()
        except OSError:
            return ""

    def saw_end(self, name: str) -> bool:
        """There is no engine that could have been away."""
        run = self._run(name)
        return run is not None and not run.alive

    def _names(self) -> list[str]:
        with explained(f"cannot list {self._folder}"):
            try:
                return sorted(name for name in os.listdir(self._folder) if not name.startswith("."))  # noqa: PTH208
            except FileNotFoundError:
                return []

    def _record(self, name: str) -> Record | None:
        """None when the container is not there, is half made or half removed, or is another project's."""
        file = self._folder / name / "container.json"
        try:
            status = file.stat()
            identity = (status.st_ino, status.st_mtime_ns)
            known = self._records.get(name)
            if known is None or known[0] != identity:
                self._records[name] = known = (identity, Record.from_json(file.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # not written by us
        return known[1] if known[1].project == self._project_name else None

    def _existing(self, name: str) -> Record:
        record = self._record(name)
        if record is None:
            raise WorldError(f"there is no container {name}", why="it was removed meanwhile", fix="run apply again")
        return record

    def _run(self, name: str) -> Run | None:
        """None when the container was never started."""
        try:
            file = os.open(self._folder / name / "process", os.O_RDONLY)
        except OSError:
            return None
        try:
            alive = is_locked(file)
            pid, started_at, exit_code = os.read(file, 100).split()
        except ValueError:
            return None  # claimed just now, not yet written
        finally:
            os.close(file)
        if alive:
            return Run(int(pid), float(started_at), None, True)
        # A shim that could not write the code was killed itself, and the program with it.
        code = shim.KILLED if exit_code == b"-" else int(exit_code)
        return Run(int(pid), float(started_at), code, False)

    # -- programs ----------------------------------------------------------------------------------

    def prepare(self, program: Program, tell: Tell) -> str:
        """A hash of the program's files; there is nothing to build, but a built-in's packages must be installed."""
        folder = self._program_folder(program)
        if program.build:
            self._check_unchanged(folder, program)
        else:
            check_packages(folder)
        tell(f"{program}: runs as a local process, not isolated")
        return program.context or self._digest(folder.name)

    def _check_unchanged(self, folder: Path, program: Program) -> None:
        if BuildFolder(folder, program.dockerfile, dict(program.args)).hash() != program.context:
            raise WorldError(
                f"{program.build} is not what it was when {program} was asked for",
                why="what was trained is served by the very program that trained it",
                fix="check out the commit it was trained at (the manifest names it) and apply there; to use the folder "
                "as it is now, raise the job's version",
            )

    def images(self) -> tuple[ImageInfo, ...]:
        folders = sorted({path.parent for word in WORDS for path in self._images.glob(f"*/{word}")})
        return tuple(ImageInfo(folder.name, str(folder), self._digest(folder.name)) for folder in folders)

    def _program_folder(self, program: Program) -> Path:
        if program.image:
            raise WorldError(
                f"image {program.image} cannot run without Docker",
                why="the process runtime runs the built-ins, and folders (build:) with `train` and `serve` in them",
                fix=NEEDS_DOCKER,
            )
        if program.build:
            folder = self._root / program.build
            if not os.access(folder / "train", os.X_OK):
                raise WorldError(
                    f"{program.build} cannot run without Docker: there is no executable file `train` in it",
                    why="without Docker nothing is built, so the folder itself has to hold the programs",
                    fix=f"{NEEDS_DOCKER}; or put executables named train and serve there",
                )
            return folder
        folder = self._images / program.builtin
        if not program.builtin or not any((folder / word).is_file() for word in WORDS):
            known = [image.name for image in self.images()]
            raise WorldError(
                f"there is no built-in {program.builtin!r}",
                why=f"{self._images} holds {', '.join(known) or 'none'}",
                fix=did_you_mean(program.builtin, known) or "install sagespec again, or name a built-in",
            )
        return folder

    def _command(self, launch: Launch) -> list[str]:
        """What is run: a built-in by this Python, a program of the user's by itself."""
        program = self._program_folder(launch.program) / launch.command
        if not launch.program.build:
            return [sys.executable, str(program)]
        if launch.entrypoint:
            raise WorldError(
                f"entrypoint {' '.join(launch.entrypoint)} cannot run without Docker",
                why="it names a program inside an image, and without Docker there is none",
                fix=f"{NEEDS_DOCKER}; or remove entrypoint, and `train` is run",
            )
        if not os.access(program, os.X_OK):
            raise WorldError(
                f"there is no executable file `{launch.command}` in {launch.program.build}",
                why="without Docker nothing is built, so the folder itself has to hold the programs",
                fix=f"add it (chmod +x), or run with --runtime docker: {program}",
            )
        return [str(program), *launch.arguments]

    def _digest(self, builtin: str) -> str:
        digest = hashlib.sha256()
        for folder in (self._images / builtin, self._images / "toolkit"):
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(self._images).as_posix()
                if path.is_file() and not re.search(r"(^|/)(\.|__pycache__/)", name):
                    digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return f"sha256:{digest.hexdigest()}"

    def capacity(self) -> Capacity:
        if self._capacity is None:
            self._capacity = capacity_here()
        return self._capacity

    # -- life --------------------------------------------------------------------------------------

    def create(self, launches: Sequence[Launch]) -> None:
        with self._creating:
            self._sweep()
            for launch in launches:
                self._command(launch)
                if self._record(launch.name) is None:
                    self._create(launch)

    def _create(self, launch: Launch) -> None:
        others = [record for record in map(self._record, self._names()) if record]
        taken = {port for record in others for port in (record.port, *record.master_ports)}

        def free_port(wish: str, count: int = 1) -> int:
            port = choose_port(wish, taken, count)
            taken.update(range(port, port + count))
            return port

        siblings = (record.master_port for record in others if record.launch.name in launch.hosts)
        record = Record(
            secrets.token_hex(8),
            self._project_name,
            launch,
            port=launch.publish[1] if launch.publish else free_port(launch.name),
            master_port=(next(siblings, 0) or free_port(launch.hosts[0], len(launch.hosts))) if launch.hosts else 0,
            gpus=self._choose_gpus(launch, others),
        )
        folder = self._folder / launch.name
        with explained(f"cannot create container {launch.name} in {self._folder}"):
            (folder / "opt" / "ml").mkdir(parents=True, exist_ok=True)
            for mount in launch.mounts:
                self._mount(launch.name, mount)
            (folder / "work").mkdir(exist_ok=True)
            write_whole(folder / "container.json", record.as_json().encode())  # last: from here on it exists

    def mounts(self, folder: Path, witness: str) -> Literal["read-only", "links", ""]:  # noqa: ARG002  # the same disk
        return "links"

    def _mount(self, name: str, mount: Mount) -> None:
        """Folders of links to each file, so that what a program adds beside them is its own; a volume is one link."""
        target = self._inside(name, mount.path)
        if mount.volume:
            volume = self._volume(mount.volume)
            volume.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_symlink():
                target.symlink_to(volume, target_is_directory=True)
            return
        for file in files_below(Path(mount.source), ()):
            link = target / file.relative_to(mount.source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(file)
        target.mkdir(parents=True, exist_ok=True)  # of an empty one

    def _volume(self, name: str) -> Path:
        return self._folder / f".volume-{name}"

    def _choose_gpus(self, launch: Launch, others: Sequence[Record]) -> tuple[str, ...]:
        """GPUs that no other container of this project has: of other projects' on this machine nobody can know."""
        if not launch.gpus:
            return ()
        taken = {
            gpu: str(record.launch.address)
            for record in others
            if record.launch.command == "serve" or state_of(self._run(record.launch.name)) is not ContainerState.EXITED
            for gpu in record.gpus
        }
        return choose_gpus(launch.gpus, self.capacity().gpus, taken, str(launch.address))

    def start(self, name: str) -> Container:
        record = self._existing(name)
        run = self._run(name)
        if not (run and run.alive):
            self._start(record)
        container = self.inspect(name)
        if container is None:
            raise WorldError(f"container {name} was removed while it started", fix="run apply again")
        return container

    def _start(self, record: Record) -> None:
        launch = record.launch
        command = self._command(launch)
        host = launch.publish[0] if launch.publish else HOST
        if launch.command == "serve":
            check_port(host, record.port, fix="stop what listens there, or choose another port")
        start_shim = [sys.executable, "-I", "-S", "-c", START_SHIM, str(Path(__file__).parent)]
        arguments = [str(self._folder / launch.name), str(launch.memory or 0), *command]
        with explained(f"cannot start container {launch.name}"):
            starter = subprocess.Popen(
                [*start_shim, *arguments],
                env=self._environment(record, host),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            answer, _ = starter.communicate()
        if answer != b"started":
            reason = answer.decode(errors="replace").strip().rpartition("\n")[2]
            raise WorldError(
                f"container {launch.name} did not start: {reason or 'no answer'}",
                why="its supervising process ended at once",
                fix="see whether memory, disk space or the number of processes is at its limit (sagespec doctor)",
            )

    def _environment(self, record: Record, host: str) -> dict[str, str]:
        launch = record.launch
        environment = {name: value for name, value in os.environ.items() if INHERITED.fullmatch(name)}
        environment["PYTHONUNBUFFERED"] = "1"
        if launch.program.builtin:
            environment["PYTHONPATH"] = str(self._images)
        else:
            # sagemaker-training waits a quarter of an hour for the hosts' names, which here no one resolves.
            environment["SM_STUDIO_LOCAL_MODE"] = "true"
        if launch.cpus:
            names = THREADS if launch.command == "train" else WORKERS
            environment |= dict.fromkeys(names, str(math.ceil(launch.cpus)))
        if record.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(record.gpus)
        environment |= launch.environment
        environment |= {
            "SAGEMAKER_BASE_DIR": self.base_dir(launch.name),
            "SAGEMAKER_BIND_TO_HOST": host,
            "SAGEMAKER_BIND_TO_PORT": str(record.port),
            ID_VARIABLE: record.id,
        }
        if record.master_port:
            environment |= {
                "SM_MASTER_ADDR": HOST,
                "SM_MASTER_PORT": str(record.master_port),
                "SM_NETWORK_INTERFACE_NAME": LOOPBACK,
            }
        return environment

    def stop(self, name: str, *, grace_seconds: float) -> None:
        record = self._record(name)
        if record is None:
            return
        if self._signal(record, signal.SIGTERM) and self._ends_within(name, grace_seconds):
            return
        self._kill(record)

    def remove(self, name: str) -> None:
        record = self._record(name)
        if record is None:
            return
        self._kill(record)
        with explained(f"cannot remove container {name}"):
            self._delete_volumes((mount.volume for mount in record.launch.mounts if mount.volume), leaving=name)
            # Renamed first: killed half way, it is a left-over that `_sweep` knows, never half a container.
            gone = self._folder / f".gone-{record.id}"
            with suppress(FileNotFoundError):  # somebody else removes it too
                (self._folder / name).rename(gone)
            delete_folder(gone)

    def _delete_volumes(self, names: Iterable[str], *, leaving: str = "") -> None:
        """Those of `names` that no container names but the one that is `leaving`."""
        records = [record for record in map(self._record, self._names()) if record]
        used = {mount.volume for record in records if record.launch.name != leaving for mount in record.launch.mounts}
        for name in set(names) - used:
            delete_folder(self._volume(name))

    def destroy(self) -> None:
        self._sweep()
        ours = self._folder.glob(f".volume-sagespec_{self._project_name}_*")
        self._delete_volumes(path.name.removeprefix(".volume-") for path in ours)
        with suppress(OSError):  # not there, or another project's containers are
            self._folder.rmdir()

    def _sweep(self) -> None:
        """Delete what a removal left that was killed half way."""
        for gone in self._folder.glob(".gone-*"):
            delete_folder(gone)

    def _kill(self, record: Record) -> None:
        name = record.launch.name
        if self._signal(record, signal.SIGUSR1) and self._ends_within(name, KILL_SECONDS):
            return
        self._signal(record, signal.SIGKILL)  # a shim that hangs
        run = self._run(name)
        if run is None or run.exit_code not in (None, shim.KILLED):
            return
        # The shim itself was killed, so nobody may have cleaned up behind the program.
        for pid in processes_with(record.mark):
            signal_process(pid, signal.SIGKILL, record.mark)
        if not self._ends_within(name, KILL_SECONDS):
            raise WorldError(
                f"container {name} cannot be killed (pid {run.pid})",
                why="it belongs to another user or machine, or hangs in the kernel (a network disk that is away?)",
                fix=f"end process {run.pid} by hand, then run again",
            )

    def _signal(self, record: Record, number: signal.Signals) -> bool:
        """Whether the container ran and its shim was sent the signal."""
        run = self._run(record.launch.name)
        return run is not None and run.alive and signal_process(run.pid, number, record.mark)

    def _ends_within(self, name: str, seconds: float) -> bool:
        give_up_at = time.monotonic() + seconds
        while True:
            run = self._run(name)
            if run is None or not run.alive:
                return True
            if time.monotonic() >= give_up_at:
                return False
            time.sleep(POLL_SECONDS)

    # -- files -------------------------------------------------------------------------------------

    def base_dir(self, name: str) -> str:
        return str(self._folder / name / "opt" / "ml")

    def _inside(self, name: str, path: str) -> Path:
        inside = Path(os.path.normpath(path.lstrip("/")))
        if ".." in inside.parts:
            raise InternalError(f"{path} leads out of container {name}")
        return Path(self.base_dir(name)) / inside

    def put(self, name: str, path: str, source: Path) -> None:
        self._existing(name)
        target = self._inside(name, path)
        with explained(f"cannot copy {source} to {target}"):
            if source.is_dir():
                copy_folder(source, target, ())
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                copy_file(source, target)

    def write(self, name: str, files: Mapping[str, bytes]) -> None:
        self._existing(name)
        for path, content in files.items():
            target = self._inside(name, path)
            with explained(f"cannot write {target}"):
                target.parent.mkdir(parents=True, exist_ok=True)
                write_whole(target, content)

    def read(self, name: str, path: str) -> bytes | None:
        self._existing(name)
        target = self._inside(name, path)
        with explained(f"cannot read {target}"):
            try:
                return target.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def get(self, name: str, path: str) -> Iterator[bytes]:
        self._existing(name)
        folder = self._inside(name, path)
        with explained(f"cannot read {folder}"):
            yield from tar_members(folder)
            yield bytes(2 * tarfile.BLOCKSIZE)

    # -- watching ----------------------------------------------------------------------------------

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        if self._record(name) is None:
            return
        with explained(f"cannot read the log of {name}"):
            yield from log_lines(self._folder / name, runs_on=lambda: follow and self._is_running(name), tail=tail)

    def timed_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[float, str]]:
        if self._record(name) is None:
            return
        with explained(f"cannot read the log of {name}"):
            yield from timed_lines(self._folder / name, runs_on=lambda: follow and self._is_running(name), tail=tail)

    def _is_running(self, name: str) -> bool:
        run = self._run(name)
        return run is not None and run.alive

    def fetch(self, name: str, port: int, paths: Sequence[str], *, post: bool = False) -> list[bytes]:
        record = self._existing(name)
        connection = http.client.HTTPConnection(HOST, port, timeout=FETCH_SECONDS)
        bodies: list[bytes] = []
        path = ""
        try:
            for path in paths:
                connection.request("POST" if post else "GET", path)
                response = connection.getresponse()
                bodies.append(response.read())
                if response.status != http.client.OK:
                    raise WorldError(f"{name} answered {response.status} to {path}", fix=f"see sagespec logs {name}")
        except (OSError, http.client.HTTPException) as error:
            raise WorldError(
                f"{name} does not answer {path} on {HOST}:{port}: {error or type(error).__name__}",
                why="it is not up yet, or has ended" if not self._is_running(name) else "it runs, but is busy or stuck",
                fix=f"see sagespec logs {record.launch.address.whole}",
            ) from error
        finally:
            connection.close()
        return bodies

    @contextmanager
    def events(self) -> Iterator[Iterator[str]]:
        left = threading.Event()
        try:
            yield self._changes(self._glance(), left)
        finally:
            left.set()

    def _changes(self, before: Mapping[str, Run | None], left: threading.Event) -> Iterator[str]:
        while not left.wait(EVENTS_SECONDS):
            now = self._glance()
            yield from sorted(
                name
                for name in before.keys() | now.keys()
                if before.get(name) != now.get(name) or (name in before and name not in now)
            )
            before = now

    def _glance(self) -> dict[str, Run | None]:
        return {name: self._run(name) for name in self._names() if self._record(name)}

    # -- doctor ------------------------------------------------------------------------------------

    def checks(self) -> tuple[Check, ...]:
        missing = [module for module in MODULES if importlib.util.find_spec(module) is None]
        python = f"{sys.executable} ({sys.version.split()[0]})"
        builtins = [image.name for image in self.images()]
        nearest = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        free = shutil.disk_usage(nearest).free
        return (
            Check(
                "packages of the built-ins",
                not missing,
                f"{', '.join(missing)} missing in {python}" if missing else f"all in {python}",
                "pip install 'sagespec[local]'" if missing else "",
            ),
            Check(
                "built-ins",
                bool(builtins),
                f"{', '.join(builtins) or 'none'} in {self._images}",
                "" if builtins else "install sagespec again",
            ),
            Check(
                "writable",
                os.access(nearest, os.W_OK),
                str(nearest),
                "" if os.access(nearest, os.W_OK) else "give yourself the right to write there, or move the project",
            ),
            Check(
                "disk",
                free >= 2**30,
                f"{free / 2**30:.1f} GiB free at {nearest}",
                "" if free >= 2**30 else "make room: channels and models are copied there",
            ),
            Check("capacity", True, str(self.capacity())),
            Check(
                "isolation",
                True,
                "none: programs run as you, with your files and network. resources.cpus sets the number of threads "
                "or workers; resources.memory is looked at each second on Linux, and ignored elsewhere",
            ),
        )
