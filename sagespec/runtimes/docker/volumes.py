"""The volumes of one project on one engine: those that containers share, and those made beforehand with a content."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import Any

from docker.errors import APIError, NotFound

from sagespec.runtimes.docker.engine import refusals
from sagespec.runtimes.docker.files import inside, parents, tree
from sagespec.runtimes.docker.mounts import LABEL_PROBE
from sagespec.runtimes.protocol import UNUSED_VOLUME_DAYS, Tell
from sagespec.state.labels import LABEL_PROJECT
from sagespec.state.launches import Launch

_CONFLICT = 409
_AT = "volume"  # where the container that fills a volume has it


class DockerVolumes:
    """upload: the engine's way of putting members of a tar into a container. an_image: any that is on the engine."""

    def __init__(
        self, engine: Any, project_name: str, upload: Callable[[str, Iterable[Any]], None], an_image: Callable[[], str]
    ) -> None:
        self._engine, self._project_name = engine, project_name
        self._upload, self._an_image = upload, an_image

    def send(self, launch: Launch, tell: Tell) -> None:
        """All run where they are."""

    def fill(self, name: str, source: Path) -> None:
        with refusals(f"copy {source} into volume {name}"):
            self._sweep()
            self._engine.create_volume(name, labels={LABEL_PROJECT: self._project_name})
            try:
                self._fill(name, source)
            except BaseException:
                self.remove([name])
                raise

    def _fill(self, name: str, source: Path) -> None:
        """Through a container that never runs: there is no other way into a volume that a remote engine has, too."""
        at = inside(_AT)
        mount = {"Target": f"/{at}", "Source": name, "Type": "volume", "VolumeOptions": {"NoCopy": True}}
        helper = self._engine.create_container(
            self._an_image(),
            "train",  # never run; some images name no command, and without one there is no container
            name=f"sagespec_{self._project_name}_probe_{token_hex(4)}",
            labels={LABEL_PROBE: self._project_name},
            host_config=self._engine.create_host_config(mounts=[mount], network_mode="none"),
        )
        try:
            self._upload(helper["Id"], chain(parents(posixpath.join(at, "_")), tree(source, at)))
        finally:
            self._remove_filler(helper)

    def _sweep(self) -> None:
        """Those that killed runs have filled for nothing, or were filling: a helper of theirs holds the volume then."""
        now = datetime.now(UTC)
        for helper in self._fillers():
            if (now - datetime.fromtimestamp(helper["Created"], UTC)).days >= UNUSED_VOLUME_DAYS:
                self._remove_filler(helper)
        filters = {"label": f"{LABEL_PROJECT}={self._project_name}", "dangling": True}
        for volume in self._engine.volumes(filters=filters)["Volumes"] or ():
            if (now - datetime.fromisoformat(volume["CreatedAt"])).days >= UNUSED_VOLUME_DAYS:
                self.remove([volume["Name"]])

    def has(self, name: str) -> bool:
        with refusals(f"look at volume {name}"), suppress(NotFound):
            self._engine.inspect_volume(name)
            return True
        return False

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            with refusals(f"remove volume {name}"), suppress(NotFound):
                try:
                    self._engine.remove_volume(name)
                except APIError as error:
                    if error.status_code != _CONFLICT:  # a container uses it
                        raise

    def of(self, details: dict[str, Any]) -> list[str]:
        """Those that a container of ours names."""
        mounts = details["HostConfig"].get("Mounts") or ()
        return [mount["Source"] for mount in mounts if mount["Type"] == "volume"]

    def remove_all(self) -> None:
        """What is left, with the helpers of killed runs."""
        for helper in self._fillers():
            self._remove_filler(helper)
        left = self._engine.volumes(filters={"label": f"{LABEL_PROJECT}={self._project_name}"})["Volumes"] or ()
        self.remove(volume["Name"] for volume in left)

    def _fillers(self) -> list[dict[str, Any]]:
        filters = {"label": f"{LABEL_PROBE}={self._project_name}"}
        return list(self._engine.containers(all=True, filters=filters))

    def _remove_filler(self, helper: dict[str, Any]) -> None:
        with suppress(NotFound):
            self._engine.remove_container(helper["Id"], force=True)
