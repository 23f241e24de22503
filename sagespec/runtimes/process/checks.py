"""What `sagespec doctor` says of this machine as a place for local processes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from sagespec.runtimes.process.programs import MODULES, Programs
from sagespec.runtimes.protocol import Check
from sagespec.state.observed import Capacity


def checks_of(folder: Path, programs: Programs, capacity: Capacity) -> tuple[Check, ...]:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return (
        _packages(),
        _builtins(programs),
        _writable(nearest),
        _disk(nearest),
        Check("capacity", True, str(capacity)),
        Check(
            "isolation",
            True,
            "none: programs run as you, with your files and network. resources.cpus sets the number of threads "
            "or workers; resources.memory is checked every second on Linux, and ignored elsewhere",
        ),
    )


def _packages() -> Check:
    missing = [module for module in MODULES if importlib.util.find_spec(module) is None]
    python = f"{sys.executable} ({sys.version.split()[0]})"
    return Check(
        "packages of the built-ins",
        not missing,
        f"{', '.join(missing)} missing in {python}" if missing else f"all in {python}",
        f"{sys.executable} -m pip install 'sagespec[local]'" if missing else "",
    )


def _builtins(programs: Programs) -> Check:
    names = [info.name for info in programs.infos()]
    return Check(
        "built-ins",
        bool(names),
        f"{', '.join(names) or 'none'} in {programs.folder}",
        "" if names else "install sagespec again",
    )


def _writable(folder: Path) -> Check:
    ok = os.access(folder, os.W_OK)
    return Check("writable", ok, str(folder), "" if ok else "give your user write access there, or move the project")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    ok = free >= 2**30
    fix = "" if ok else "free some space: channels and models are copied there"
    return Check("disk", ok, f"{free / 2**30:.1f} GiB free at {folder}", fix)
