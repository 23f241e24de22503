"""The volumes of one project: folders that containers share, or have as their own, beside those of the containers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sagespec.errors import disk_problems
from sagespec.private import make_folder
from sagespec.runtimes.process.containers import Containers
from sagespec.runtimes.process.files import delete_folder
from sagespec.runtimes.protocol import UNUSED_VOLUME_DAYS, Tell
from sagespec.state.launches import Launch

_PREFIX = ".volume-"  # the dot keeps it from looking like a container


class ProcessVolumes:
    def __init__(self, containers: Containers, project_name: str) -> None:
        self._containers, self._project_name = containers, project_name

    def place(self, name: str) -> Path:
        return self._containers.folder / f"{_PREFIX}{name}"

    def fill(self, name: str, source: Path) -> None:
        with disk_problems(f"cannot move {source} to {self._containers.folder}"):
            make_folder(self._containers.folder)
            self._sweep()
            shutil.move(source, self.place(name))

    def send(self, launch: Launch, tell: Tell) -> None:
        """All run where they are."""

    def has(self, name: str) -> bool:
        return self.place(name).is_dir()

    def remove(self, names: Iterable[str], *, leaving: str = "") -> None:
        """leaving: a container that does not count."""
        others = (record.launch for record in self._containers.records() if record.launch.name != leaving)
        used = {mount.volume for launch in others for mount in launch.mounts}
        for name in set(names) - used:
            delete_folder(self.place(name))

    def remove_all(self) -> None:
        self.remove(self._names())

    def _names(self) -> list[str]:
        found = self._containers.folder.glob(f"{_PREFIX}sagespec_{self._project_name}_*")
        return [path.name.removeprefix(_PREFIX) for path in found]

    def _sweep(self) -> None:
        """Those that killed runs have filled for nothing."""
        newest = time.time() - UNUSED_VOLUME_DAYS * 86400
        for name in self._names():
            with suppress(FileNotFoundError):
                if self.place(name).stat().st_ctime < newest:
                    self.remove([name])
