"""The process runtime: the programs of images/, and those of folders of the user's that have `train` and `serve` as
executable files, as supervised local processes, where no Docker answers.

A container is a folder: `container.json` (what it was created as, with its ports), `opt/ml` (its tree,
named to the program by SAGEMAKER_BASE_DIR), `work` (its current directory), and the record and log
that `process_shim` keeps. There is no daemon and no other state: the lock that a shim holds is what
"running" means, so any later command finds everything again. Nothing is isolated, and `checks` says so.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import importlib.util
import io
import json
import math
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from sagespec.buildfolder import BuildFolder
from sagespec.errors import InternalError, WorldError, did_you_mean
from sagespec.runtimes import Check, ImageInfo, Progress, process_shim
from sagespec.runtimes.machine import capacity_here, choose_gpus
from sagespec.runtimes.process_logs import log_lines, timed_lines
from sagespec.state import Address, Capacity, Container, ContainerState, Launch, Mount, Program

HOST = "127.0.0.1"
LOOPBACK = "lo" if sys.platform == "linux" else "lo0"
# Below the range from which systems take the ports of outgoing connections (Linux 32768, macOS 49152).
PORTS = range(20000, 32768)
POLL_SECONDS = 0.01
EVENTS_SECONDS = 0.25
FETCH_SECONDS = 10.0
KILL_SECONDS = 10.0
ID_VARIABLE = "SAGESPEC_CONTAINER_ID"
COPY_BYTES = 2**20
MODULES = (
    "numpy",
    "scipy",
    "sklearn",
    "xgboost",
    "lightgbm",
    "fasttext",
    "pyarrow",
    "flask",
    "granian",
    "orjson",
    "envoy",
)

# All that a program sees of our environment. No credentials; and not RUNNER_TRACKING_ID, by which a GitHub
# Actions runner finds and kills what a job leaves running.
INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|(DY)?LD_LIBRARY_PATH|CUDA_VISIBLE_DEVICES"
    r"|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy"
)
# What a number of CPUs means without cgroups: so many threads in training, so many processes in serving.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
WORDS = ("serve", "train")  # a built-in has one of these programs, or both
WORKERS = ("SAGEMAKER_MODEL_SERVER_WORKERS",)

# As a module it is compiled once; as a script it would be at every start.
START_SHIM = "import sys; sys.path.append(sys.argv[1]); import process_shim; process_shim.main()"

NEEDS_DOCKER = "start Docker (or point DOCKER_HOST at one) and run with --runtime docker, or use a built-in algorithm"


_LAUNCH_FIELDS = frozenset(field.name for field in fields(Launch))


@dataclass(frozen=True)
class _Record:
    """container.json. `id` is in the environment of all its processes; a master_port of 0 is of no job; gpus are
    the ids of those it has for itself."""

    id: str
    project: str
    launch: Launch
    port: int
    master_port: int
    gpus: tuple[str, ...] = ()

    @property
    def master_ports(self) -> range:
        """One for each host of the job, as they share an address: that of rank r is the master's + r."""
        return range(self.master_port, self.master_port + len(self.launch.hosts))

    @property
    def mark(self) -> str:
        """What stands in the environment of the container's processes and of no others."""
        return f"{ID_VARIABLE}={self.id}"

    def as_json(self) -> str:
        launch = self.launch
        values = {"address": str(launch.address), "program": launch.program.as_json()}
        return json.dumps({**asdict(self), "launch": {**asdict(launch), **values}})

    @staticmethod
    def from_json(text: bytes) -> _Record:
        record = json.loads(text)
        # A field of another release is left out: what that release started must not become invisible.
        launch = {name: value for name, value in record["launch"].items() if name in _LAUNCH_FIELDS}
        launch["address"] = Address.parse(launch["address"])
        launch["program"] = Program.from_json(launch["program"])
        for name in ("hosts", "entrypoint", "arguments"):
            launch[name] = tuple(launch.get(name, ()))
        launch["mounts"] = tuple(Mount(**mount) for mount in launch.get("mounts", ()))
        launch["publish"] = tuple(launch["publish"]) if launch["publish"] else None
        return _Record(
            record["id"],
            record["project"],
            Launch(**launch),
            record["port"],
            record["master_port"],
            tuple(record.get("gpus", ())),
        )


@dataclass(frozen=True)
class _Run:
    """What the shim's record says, and whether the shim lives."""

    pid: int
    started_at: float
    exit_code: int | None
    alive: bool


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
        self._records: dict[str, tuple[tuple[int, int], _Record]] = {}  # read before, by inode and time

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
            state=_state(run),
            exit_code=run.exit_code if run else None,
            host=HOST,
            port=record.port,
            started_at=datetime.fromtimestamp(run.started_at, UTC) if run else None,
            cpus=launch.cpus,
            memory=launch.memory,
            gpus=record.gpus,
            note=self._note(name) if run and run.exit_code == process_shim.KILLED else "",
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
        with _explained(f"cannot list {self._folder}"):
            try:
                return sorted(name for name in os.listdir(self._folder) if not name.startswith("."))  # noqa: PTH208
            except FileNotFoundError:
                return []

    def _record(self, name: str) -> _Record | None:
        """None when the container is not there, is half made or half removed, or is another project's."""
        file = self._folder / name / "container.json"
        try:
            status = file.stat()
            identity = (status.st_ino, status.st_mtime_ns)
            known = self._records.get(name)
            if known is None or known[0] != identity:
                self._records[name] = known = (identity, _Record.from_json(file.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # not written by us
        return known[1] if known[1].project == self._project_name else None

    def _existing(self, name: str) -> _Record:
        record = self._record(name)
        if record is None:
            raise WorldError(f"there is no container {name}", why="it was removed meanwhile", fix="run apply again")
        return record

    def _run(self, name: str) -> _Run | None:
        """None when the container was never started."""
        try:
            file = os.open(self._folder / name / "process", os.O_RDONLY)
        except OSError:
            return None
        try:
            alive = _is_locked(file)
            pid, started_at, exit_code = os.read(file, 100).split()
        except ValueError:
            return None  # claimed just now, not yet written
        finally:
            os.close(file)
        if alive:
            return _Run(int(pid), float(started_at), None, True)
        # A shim that could not write the code was killed itself, and the program with it.
        code = process_shim.KILLED if exit_code == b"-" else int(exit_code)
        return _Run(int(pid), float(started_at), code, False)

    # -- programs ----------------------------------------------------------------------------------

    def prepare(self, program: Program, progress: Progress) -> str:
        """A hash of the program's files; there is nothing to build, but a built-in's packages must be installed."""
        folder = self._program_folder(program)
        if program.build:
            self._check_unchanged(folder, program)
        else:
            _check_packages(folder)
        progress(f"{program}: runs as a local process, not isolated")
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
            port = _free_port(wish, taken, count)
            taken.update(range(port, port + count))
            return port

        siblings = (record.master_port for record in others if record.launch.name in launch.hosts)
        record = _Record(
            secrets.token_hex(8),
            self._project_name,
            launch,
            port=launch.publish[1] if launch.publish else free_port(launch.name),
            master_port=(next(siblings, 0) or free_port(launch.hosts[0], len(launch.hosts))) if launch.hosts else 0,
            gpus=self._choose_gpus(launch, others),
        )
        folder = self._folder / launch.name
        with _explained(f"cannot create container {launch.name} in {self._folder}"):
            (folder / "opt" / "ml").mkdir(parents=True, exist_ok=True)
            for mount in launch.mounts:
                self._mount(launch.name, mount)
            (folder / "work").mkdir(exist_ok=True)
            _write_whole(folder / "container.json", record.as_json().encode())  # last: from here on it exists

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
        for file in _files_below(Path(mount.source), ()):
            link = target / file.relative_to(mount.source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(file)
        target.mkdir(parents=True, exist_ok=True)  # of an empty one

    def _volume(self, name: str) -> Path:
        return self._folder / f".volume-{name}"

    def _choose_gpus(self, launch: Launch, others: Sequence[_Record]) -> tuple[str, ...]:
        """GPUs that no other container of this project has: of other projects' on this machine nobody can know."""
        if not launch.gpus:
            return ()
        taken = {
            gpu: str(record.launch.address)
            for record in others
            if record.launch.command == "serve" or _state(self._run(record.launch.name)) is not ContainerState.EXITED
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

    def _start(self, record: _Record) -> None:
        launch = record.launch
        command = self._command(launch)
        host = launch.publish[0] if launch.publish else HOST
        if launch.command == "serve":
            _check_port(host, record.port, fix="stop what listens there, or choose another port")
        shim = [sys.executable, "-I", "-S", "-c", START_SHIM, str(Path(__file__).parent)]
        arguments = [str(self._folder / launch.name), str(launch.memory or 0), *command]
        with _explained(f"cannot start container {launch.name}"):
            starter = subprocess.Popen(
                [*shim, *arguments],
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

    def _environment(self, record: _Record, host: str) -> dict[str, str]:
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
        with _explained(f"cannot remove container {name}"):
            self._delete_volumes((mount.volume for mount in record.launch.mounts if mount.volume), leaving=name)
            # Renamed first: killed half way, it is a left-over that `_sweep` knows, never half a container.
            gone = self._folder / f".gone-{record.id}"
            with suppress(FileNotFoundError):  # somebody else removes it too
                (self._folder / name).rename(gone)
            _delete(gone)

    def _delete_volumes(self, names: Iterable[str], *, leaving: str = "") -> None:
        """Those of `names` that no container names but the one that is `leaving`."""
        records = [record for record in map(self._record, self._names()) if record]
        used = {mount.volume for record in records if record.launch.name != leaving for mount in record.launch.mounts}
        for name in set(names) - used:
            _delete(self._volume(name))

    def destroy(self) -> None:
        self._sweep()
        ours = self._folder.glob(f".volume-sagespec_{self._project_name}_*")
        self._delete_volumes(path.name.removeprefix(".volume-") for path in ours)
        with suppress(OSError):  # not there, or another project's containers are
            self._folder.rmdir()

    def _sweep(self) -> None:
        """Delete what a removal left that was killed half way."""
        for gone in self._folder.glob(".gone-*"):
            _delete(gone)

    def _kill(self, record: _Record) -> None:
        name = record.launch.name
        if self._signal(record, signal.SIGUSR1) and self._ends_within(name, KILL_SECONDS):
            return
        self._signal(record, signal.SIGKILL)  # a shim that hangs
        run = self._run(name)
        if run is None or run.exit_code not in (None, process_shim.KILLED):
            return
        # The shim itself was killed, so nobody may have cleaned up behind the program.
        for pid in _processes_with(record.mark):
            _signal_process(pid, signal.SIGKILL, record.mark)
        if not self._ends_within(name, KILL_SECONDS):
            raise WorldError(
                f"container {name} cannot be killed (pid {run.pid})",
                why="it belongs to another user or machine, or hangs in the kernel (a network disk that is away?)",
                fix=f"end process {run.pid} by hand, then run again",
            )

    def _signal(self, record: _Record, number: signal.Signals) -> bool:
        """Whether the container ran and its shim was sent the signal."""
        run = self._run(record.launch.name)
        return run is not None and run.alive and _signal_process(run.pid, number, record.mark)

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
        with _explained(f"cannot copy {source} to {target}"):
            if source.is_dir():
                _copy_folder(source, target, ())
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy_file(source, target)

    def write(self, name: str, files: Mapping[str, bytes]) -> None:
        self._existing(name)
        for path, content in files.items():
            target = self._inside(name, path)
            with _explained(f"cannot write {target}"):
                target.parent.mkdir(parents=True, exist_ok=True)
                _write_whole(target, content)

    def read(self, name: str, path: str) -> bytes | None:
        self._existing(name)
        target = self._inside(name, path)
        with _explained(f"cannot read {target}"):
            try:
                return target.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def get(self, name: str, path: str) -> Iterator[bytes]:
        self._existing(name)
        folder = self._inside(name, path)
        with _explained(f"cannot read {folder}"):
            yield from _tar_members(folder)
            yield bytes(2 * tarfile.BLOCKSIZE)

    # -- watching ----------------------------------------------------------------------------------

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        if self._record(name) is None:
            return
        with _explained(f"cannot read the log of {name}"):
            yield from log_lines(self._folder / name, runs_on=lambda: follow and self._is_running(name), tail=tail)

    def timed_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[float, str]]:
        if self._record(name) is None:
            return
        with _explained(f"cannot read the log of {name}"):
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

    def _changes(self, before: Mapping[str, _Run | None], left: threading.Event) -> Iterator[str]:
        while not left.wait(EVENTS_SECONDS):
            now = self._glance()
            yield from sorted(
                name
                for name in before.keys() | now.keys()
                if before.get(name) != now.get(name) or (name in before and name not in now)
            )
            before = now

    def _glance(self) -> dict[str, _Run | None]:
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


# -- processes -------------------------------------------------------------------------------------


def _check_packages(folder: Path) -> None:
    """WorldError when the built-in in `folder` needs packages that this Python does not have."""
    description = folder / "image.json"
    requires = json.loads(description.read_bytes()).get("requires", {}) if description.is_file() else {}
    missing = [module for module in requires.get("modules", ()) if importlib.util.find_spec(module) is None]
    if missing:
        install = f"pip install 'sagespec[{requires['extra']}]', or " if requires["extra"] else ""
        raise WorldError(
            f"{folder.name} needs {', '.join(missing)}, which {sys.executable} does not have",
            why="the process runtime runs programs with the packages of this Python",
            fix=f"{install}run with --runtime docker",
        )


def _state(run: _Run | None) -> ContainerState:
    if run is None:
        return ContainerState.CREATED
    return ContainerState.RUNNING if run.alive else ContainerState.EXITED


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False  # closing the file lets go again


def _signal_process(pid: int, number: signal.Signals, mark: str) -> bool:
    """Signal the process if its environment holds `mark`. Whether it was there.

    On Linux the pid is pinned first, so that it cannot become another's between the look and the signal.
    """
    try:
        if sys.platform != "linux":
            os.kill(pid, number)
            return True
        pinned = os.pidfd_open(pid)
        try:
            if mark.encode() not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return False
            signal.pidfd_send_signal(pinned, number)
        finally:
            os.close(pinned)
    except (ProcessLookupError, FileNotFoundError, PermissionError):
        return False
    return True


def _processes_with(mark: str) -> list[int]:
    """Pids of our processes whose environment holds `mark`. Slow; for what a killed shim left."""
    if sys.platform == "linux":
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if mark.encode() in _environment_of(path)]
    listing = subprocess.run(["ps", "-axwwE", "-o", "pid=,command="], capture_output=True, check=False).stdout
    lines = listing.decode(errors="replace").splitlines()
    return [int(line.split()[0]) for line in lines if f" {mark} " in f"{line} "]


def _environment_of(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


# -- ports -----------------------------------------------------------------------------------------


def _free_port(wish: str, taken: set[int], count: int = 1) -> int:
    """The first of `count` ports in a row that nobody has; the search begins where `wish` says, so that projects
    seldom meet."""
    begin = zlib.crc32(wish.encode()) % len(PORTS)
    for offset in range(len(PORTS)):
        index = (begin + offset) % len(PORTS)
        row = PORTS[index : index + count]
        if len(row) == count and all(port not in taken and _bind_error(HOST, port) is None for port in row):
            return row[0]
    raise WorldError(f"no free port from {PORTS[0]} to {PORTS[-1]}", fix="end programs that listen there")


def _check_port(host: str, port: int, *, fix: str) -> None:
    error = _bind_error(host, port)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise WorldError(f"port {port} on {host} is taken by another program", fix=fix) from error
    if error.errno == errno.EACCES:
        raise WorldError(
            f"port {port} may not be opened", why="ports below 1024 are the system's", fix="choose one above 1023"
        ) from error
    raise WorldError(f"cannot listen on {host}:{port}: {error.strerror}", fix="choose another address") from error


def _bind_error(host: str, port: int) -> OSError | None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections do not count
            probe.bind((host, port))
    except OSError as error:
        return error
    return None


# -- files -----------------------------------------------------------------------------------------


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """OSError as WorldError: `what`, the system's reason, and what to do about it."""
    try:
        yield
    except OSError as error:
        fixes = {
            errno.ENOSPC: "make room on the disk, then run again",
            errno.EDQUOT: "make room within your quota, then run again",
            errno.EACCES: "give yourself the right to that path (it may belong to another user)",
            errno.EROFS: "the disk is read-only: put the project elsewhere",
            errno.EMFILE: "raise the limit of open files (ulimit -n)",
            errno.ELOOP: "remove the link that leads back into its own folder",
            errno.EAGAIN: "raise the limit of processes (ulimit -u), or end some",
            errno.ENOMEM: "end programs that use much memory",
        }
        place = f" ({error.filename})" if error.filename and str(error.filename) not in what else ""
        raise WorldError(f"{what}: {error.strerror or error}{place}", fix=fixes.get(error.errno or 0, "")) from error


def _write_whole(target: Path, content: bytes) -> None:
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(target)


def _files_below(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Links are followed. `above`: the folders we are in, to see loops."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            yield from _files_below(entry, (*above, here))
        elif entry.is_file():
            yield entry.absolute()


def _copy_folder(source: Path, target: Path, above: tuple[tuple[int, int], ...]) -> None:
    """The content of `source` into `target`, beside what is there. `above`: the folders we are in, to see loops."""
    status = source.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(source))
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            _copy_folder(entry, target / entry.name, (*above, here))
        elif entry.is_file() or not entry.exists():  # a broken link is an error; sockets and FIFOs are no data
            _copy_file(entry, target / entry.name)


def _copy_file(source: Path, target: Path) -> None:
    """A copy, never a link: training may write to its input in place. Shares blocks where the file system can."""
    with source.open("rb") as reading, target.open("wb") as writing:
        try:
            while os.copy_file_range(reading.fileno(), writing.fileno(), 2**30):
                pass
        except (AttributeError, OSError) as error:  # not Linux; or two file systems, or one that cannot
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
        shutil.copyfileobj(reading, writing, COPY_BYTES)
    target.chmod(source.stat().st_mode | 0o600)


def _tar_members(folder: Path) -> Iterator[bytes]:
    if not folder.is_dir():
        return
    tar = tarfile.TarFile(fileobj=io.BytesIO(), mode="w")  # for making headers alone
    for path in sorted(folder.rglob("*")):
        try:
            member = tar.gettarinfo(path, path.relative_to(folder).as_posix())
        except FileNotFoundError:  # a running program may remove what was there just now
            continue
        if member is None:  # a socket
            continue
        yield member.tobuf(tarfile.PAX_FORMAT)
        if member.isreg():
            yield from _padded_content(path, member.size)


def _padded_content(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with path.open("rb") as file:
        while left and (block := file.read(min(left, COPY_BYTES))):
            left -= len(block)
            yield block
    if left:
        raise OSError(errno.EIO, "the file became shorter while it was read", str(path))
    yield bytes(-size % tarfile.BLOCKSIZE)


def _delete(folder: Path) -> None:
    """Delete a tree, also where the program left folders that may not be written to. Another may do the same."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        for above, names, _ in os.walk(folder):
            for inner in (Path(above, name) for name in names):
                if not inner.is_symlink():
                    inner.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
