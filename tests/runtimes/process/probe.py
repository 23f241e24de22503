"""The program that the tests of ProcessRuntime run, and what they share to run it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.state.addresses import Address
from sagespec.state.launches import Launch
from sagespec.state.observed import Container, ContainerState
from sagespec.state.programs import Builtin

T = TypeVar("T")


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


JOB = Address("job", "churn", 1, instance=0)


PROGRAM = """\
import os, pathlib
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
exec((base / "script.py").read_text(), {"base": base})
"""


SLEEP = "import time; (base / 'ready').write_text('1'); time.sleep(600)"


def a_launch(name: str = "job", **fields: object) -> Launch:
    given = {"address": JOB, "hash": "1-abc", "program": Builtin("probe"), "command": "train"}
    return Launch(name=name, **(given | fields))  # type: ignore[arg-type]


def run(runtime: ProcessRuntime, script: str, name: str = "job", **fields: object) -> str:
    """The name of a container that was started with `script`."""
    runtime.create([a_launch(name, **fields)])
    runtime.write(name, {"script.py": script.encode()})
    runtime.start(name)
    return name


def ended(runtime: ProcessRuntime, name: str) -> Container:
    def look() -> Container | None:
        container = runtime.inspect(name)
        return container if container and container.state is ContainerState.EXITED else None

    return wait_for(look)


def file(runtime: ProcessRuntime, name: str, path: str) -> str:
    """Content of a file, once the program has written something to it."""
    return wait_for(lambda: runtime.read(name, path) or None).decode()


def wait_for(look: Callable[[], T | None]) -> T:
    give_up_at = time.monotonic() + 60
    while (found := look()) is None:
        assert time.monotonic() < give_up_at, "it did not come"
        time.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def shim_pid(tmp_path: Path, name: str) -> int:
    return int((tmp_path / "run" / name / "process").read_bytes().split()[0])


def environment(runtime: ProcessRuntime, name: str = "job", **fields: object) -> dict[str, str]:
    run(runtime, "import json, os; (base / 'seen').write_text(json.dumps(dict(os.environ)))", name, **fields)
    seen: dict[str, str] = json.loads(file(runtime, name, "seen"))
    return seen
