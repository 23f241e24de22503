"""What a cluster leaves when it ends, or when its run was killed: processes, mounts, cgroups, namespaces, a folder.

Everything is found by the folder and the prefix of its names, and ended by force: nobody needs what is in it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.swarm.within import within

GONE_SECONDS = 30.0
CGROUPS = Path("/sys/fs/cgroup")


def take_down(folder: Path, prefix: str) -> None:
    """End all that a cluster has in `folder`, and its namespaces, whose names begin with `prefix`."""
    for namespace in _namespaces(prefix):
        _end(_inside(namespace))  # engines and the registry
    # Those of containers are in namespaces of their own, below shims that are given the folder as an argument.
    shims = processes_of(folder)
    _end([*shims, *_children(shims)])
    for mount in sorted(_mounts(folder), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    # The kernel takes namespaces away later, and with them what is plugged into them; names must be free at once.
    subprocess.run(["ip", "link", "del", f"{prefix}here"], check=False, capture_output=True)
    for namespace in _namespaces(prefix):
        subprocess.run(["ip", "netns", "del", namespace], check=True)
    for cgroup in sorted(_cgroups(prefix), reverse=True):
        with suppress(OSError):  # the kernel may need a moment; an empty one costs nothing
            cgroup.rmdir()
    shutil.rmtree(folder, ignore_errors=True)


def processes_of(folder: Path) -> list[int]:
    """Those that are given it, or something in it, as an argument."""
    return [pid for pid in _processes() if f"{folder}/" in _command(pid)]


def _namespaces(prefix: str) -> list[str]:
    told = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    return [words[0] for words in map(str.split, told.splitlines()) if words and words[0].startswith(prefix)]


def _inside(namespace: str) -> list[int]:
    told = subprocess.run(["ip", "netns", "pids", namespace], check=True, capture_output=True, text=True).stdout
    return [int(word) for word in told.split()]


def _processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _command(pid: int) -> str:
    with suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _children(parents: list[int]) -> list[int]:
    found = []
    for parent in parents:
        with suppress(OSError):
            for task in (Path("/proc") / str(parent) / "task").iterdir():
                found += [int(word) for word in (task / "children").read_text().split()]
    return found


def _end(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    within(GONE_SECONDS, lambda: not any(_runs(pid) for pid in pids), "processes of a cluster do not end")


def _runs(pid: int) -> bool:
    with suppress(OSError):
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _mounts(folder: Path) -> list[str]:
    rows = Path("/proc/mounts").read_text().splitlines()
    return [
        place for place in (row.split()[1] for row in rows) if place == str(folder) or place.startswith(f"{folder}/")
    ]


def _cgroups(prefix: str) -> list[Path]:
    roots = [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir())]  # of version 2, and of each of version 1
    tops = {top.resolve() for root in roots for top in root.glob(f"{prefix}*") if top.is_dir()}
    return [Path(folder) for top in tops for folder, _, _ in os.walk(top)]
