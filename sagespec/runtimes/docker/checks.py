"""What `sagespec doctor` says of the engine: its version and speed, its limits, its disk, its base images."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from sagespec.runtimes.docker.engine import engine_address, refusals
from sagespec.runtimes.docker.images import Images
from sagespec.runtimes.protocol import Check
from sagespec.state.observed import Capacity


def checks_of(engine: Any, images: Images, capacity: Capacity) -> tuple[Check, ...]:
    with refusals("say how it is"):
        began = time.monotonic()
        info = engine.info()
        took = time.monotonic() - began
        version = engine.version()
    checks = [
        Check(
            "docker engine",
            True,
            f"{version['Version']} (API {version['ApiVersion']}) at {engine_address()}, "
            f"answers in {took * 1000:.0f} ms; {capacity}",
        )
    ]
    if not info["MemoryLimit"]:
        checks.append(
            Check(
                "memory limits",
                False,
                "the engine's kernel cannot limit memory: resources.memory is ignored",
                "boot that machine with the memory cgroup enabled",
            )
        )
    root = Path(info["DockerRootDir"])
    if engine_address().startswith("unix://") and root.is_dir():  # a local engine, not one in a virtual machine
        free = shutil.disk_usage(root).free / 2**30
        fix = "" if free > 5 else "`docker system df` shows what uses space; `docker image prune` frees some"
        checks.append(Check("docker disk", free > 5, f"{free:.1f} GiB free in {root}", fix))
    for base in sorted(base for base in images.bases() if not images.has(base)):
        checks.append(Check("base image", True, f"{base} is not on the engine yet; the first build pulls it"))
    return tuple(checks)
