"""What this machine has for the programs of one user: CPUs, memory, GPUs. And how its processes take turns.

The process runtime runs there, and so does a Docker engine that is not asked over a network.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sagespec.errors import WorldError, disk_problems
from sagespec.state.observed import Capacity

_NVIDIA_SMI_SECONDS = 10.0
_CGROUPS = Path("/sys/fs/cgroup")


def capacity_here(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> Capacity:
    """What this process may use: of the machine, as far as its affinity and control groups let it."""
    cpus, memory = _cpus(), float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for group in _groups(cgroups, own):
        cpus = min(cpus, _cpu_limit(group))
        memory = min(memory, _number(group / "memory.max"), _number(group / "memory.limit_in_bytes"))
    return Capacity(cpus, int(memory), visible(nvidia_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES")))


def _cpus() -> float:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _groups(cgroups: Path, own: Path) -> list[Path]:
    """The control groups that hold this process, of both versions, with all above them."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # no Linux
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = cgroups / controllers if controllers else cgroups
        group = root / path.lstrip("/")
        found += [folder for folder in (group, *group.parents) if folder.is_relative_to(root)]
    return found


def _cpu_limit(group: Path) -> float:
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return float("inf") if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        quota_us, period_us = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        return quota_us / period_us if quota_us > 0 and period_us != float("inf") else float("inf")


def _number(file: Path) -> float:
    """The number in a small file; infinity where there is none, or no limit."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return float("inf")


def nvidia_gpus() -> tuple[str, ...]:
    """UUIDs of NVIDIA's GPUs in their order; none where their driver is not. An id that outlives a reboot."""
    words = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_NVIDIA_SMI_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.startswith("GPU-"))


def visible(gpus: tuple[str, ...], asked: str | None) -> tuple[str, ...]:
    """Those that CUDA_VISIBLE_DEVICES leaves: indices or (beginnings of) UUIDs up to the first that names none.

    >>> visible(("GPU-a1", "GPU-b2"), "1"), visible(("GPU-a1", "GPU-b2"), "GPU-a"), visible(("GPU-a1",), "")
    (('GPU-b2',), ('GPU-a1',), ())
    """
    if asked is None:
        return gpus
    left: list[str] = []
    for text in (part.strip() for part in asked.split(",")):
        by_index = gpus[int(text) : int(text) + 1] if text.isdecimal() else ()
        found = by_index or tuple(gpu for gpu in gpus if text and gpu.startswith(text))
        if not found:
            break
        left += found[:1]
    return tuple(left)


@contextmanager
def alone_with_gpus() -> Iterator[None]:
    """No other process of this machine chooses GPUs meanwhile: what one of them chooses is to be seen by the next."""
    file = Path(tempfile.gettempdir(), "sagespec-gpus.lock")
    with disk_problems(f"cannot wait for a turn to choose GPUs at {file}"):
        if not file.exists():  # opened to be written, it would be refused to all users but the first
            file.touch(mode=0o644)
    with alone_at(file):
        yield


@contextmanager
def alone_at(there: Path) -> Iterator[None]:
    """No other thread or process of this machine is in such a block at the same file or folder meanwhile."""
    with disk_problems(f"cannot wait for a turn at {there}"):
        handle = os.open(there, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def choose_gpus(count: int, gpus: tuple[str, ...], taken: dict[str, str], who: str) -> tuple[str, ...]:
    """The first `count` free GPUs. taken: holder by ID. WorldError if too few are free."""
    free = [gpu for gpu in gpus if gpu not in taken]
    if len(free) >= count:
        return tuple(free[:count])
    held = ", ".join(f"{holder} has {gpu}" for gpu, holder in sorted(taken.items()) if gpu in gpus)
    asked, are = f"{count} GPU{'' if count == 1 else 's'}", "is" if len(free) == 1 else "are"
    raise WorldError(
        f"{who} needs {asked} of its own, and of {len(gpus)} there {are} {len(free)} free",
        why=f"a GPU is never shared{f': {held}' if held else ''}",
        fix="apply again when one is free, or remove what holds it; `sagespec doctor` shows what the engine has",
    )
