"""Folders of this machine in a container's tree, as links; and volumes, which are folders that containers share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sagespec.runtimes.process.containers import Containers
from sagespec.runtimes.process.files import delete_folder, files_below
from sagespec.state.launches import Mount

_VOLUME = ".volume-"  # the dot keeps it from looking like a container


def _leads_to(link: Path, target: Path) -> bool:
    try:
        return link.readlink() == target
    except OSError:
        return False


class Mounts:
    """The mounts and volumes of one project's containers."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def add(self, name: str, mount: Mount) -> None:
        """A folder becomes links to each of its files, so that what the program adds beside them is its own; a
        volume becomes one link."""
        target = self._containers.inside(name, mount.path)
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
        target.mkdir(parents=True, exist_ok=True)  # when the folder is empty

    def behind(self, name: str, path: Path) -> tuple[Path, Path]:
        """Where what the container sees at `path` is kept: a folder, and a path in it that needs no link."""
        for mount in self._containers.need(name).launch.mounts:
            if not path.is_relative_to(mount.path):
                continue
            inner = path.relative_to(mount.path)
            if mount.volume:
                return self._volume(mount.volume), inner
            shown = Path(mount.source).absolute() / inner
            if _leads_to(Path(self._containers.base_dir(name)) / path, shown):
                shown = shown.resolve()
                return shown.parent, Path(shown.name)
        return Path(self._containers.base_dir(name)), path

    def remove(self, volumes: Iterable[str], *, leaving: str = "") -> None:
        """Those of `volumes` that no container uses, not counting the one that is `leaving`."""
        others = (record.launch for record in self._containers.records() if record.launch.name != leaving)
        used = {mount.volume for launch in others for mount in launch.mounts}
        for volume in set(volumes) - used:
            delete_folder(self._volume(volume))

    def remove_all(self, project_name: str) -> None:
        left = self._containers.folder.glob(f"{_VOLUME}sagespec_{project_name}_*")
        self.remove(path.name.removeprefix(_VOLUME) for path in left)

    def _volume(self, name: str) -> Path:
        return self._containers.folder / f"{_VOLUME}{name}"
