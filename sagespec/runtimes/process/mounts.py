"""Folders of this machine in a container's tree, as links."""

from __future__ import annotations

from pathlib import Path

from sagespec.runtimes.process.containers import Containers
from sagespec.runtimes.process.files import files_below
from sagespec.runtimes.process.volumes import ProcessVolumes
from sagespec.state.launches import Mount


def _leads_to(link: Path, target: Path) -> bool:
    try:
        return link.readlink() == target
    except OSError:
        return False


class Mounts:
    """The mounts of one project's containers."""

    def __init__(self, containers: Containers, volumes: ProcessVolumes) -> None:
        self._containers, self._volumes = containers, volumes

    def add(self, name: str, mount: Mount) -> None:
        """A folder becomes links to each of its files, so that what the program adds beside them is its own; a
        volume becomes one link."""
        target = self._containers.inside(name, mount.path)
        if mount.volume:
            volume = self._volumes.place(mount.volume)
            volume.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_symlink():
                target.symlink_to(volume, target_is_directory=True)
            return
        for file in files_below(Path(mount.source)):
            link = target / file.relative_to(mount.source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(file)
        target.mkdir(parents=True, exist_ok=True)  # when the folder is empty

    def behind(self, name: str, path: Path) -> tuple[Path, Path]:
        """Where what the container sees at `path` is kept: a folder, and a path in it that needs no link."""
        for mount in self._containers.need(name).launch.mounts:
            if not path.is_relative_to(mount.path):
                continue
            inner = path.relative_to(mount.path)
            if mount.volume:
                return self._volumes.place(mount.volume), inner
            shown = Path(mount.source).absolute() / inner
            if _leads_to(Path(self._containers.base_dir(name)) / path, shown):
                shown = shown.resolve()
                return shown.parent, Path(shown.name)
        return Path(self._containers.base_dir(name)), path
