"""What actions act on: the engine, the gateway, the store's records and the project's folders.

Made by `parts`, handed to every effect by `apply`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sagespec.clock import Clock, RealClock
from sagespec.gateway.gateway import Gateway
from sagespec.records.leases import Leases
from sagespec.records.records import Records
from sagespec.run.jobs import Jobs
from sagespec.runtimes.protocol import Runtime
from sagespec.state.manifest import Git


@dataclass(frozen=True)
class World:
    """What actions act on. `root` is the project's folder, `scratch` a folder for temporary files."""

    runtime: Runtime
    gateway: Gateway
    records: Records
    leases: Leases
    jobs: Jobs
    root: Path
    scratch: Path
    git: Callable[[], Git | None] = lambda: None
    clock: Clock = field(default_factory=RealClock)
    models_from: Callable[[], Records | None] = lambda: None  # the records of the project whose models are copied
    environment: str = ""  # '' for none
