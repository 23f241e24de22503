"""Containers on our own engine that never run: the way of files into what runs elsewhere later, or into a volume here.

What serves is filled in one of them, and baked from there when it is started. The gateway's has the gateway's volume,
and stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from docker.errors import APIError, NotFound

from sagespec.runtimes.docker.files import BASE, Entry, inside, rebased, tar
from sagespec.runtimes.docker.reading import read_anywhere, read_file
from sagespec.runtimes.first_line import HEAD_BYTES
from sagespec.runtimes.swarm.services import volume_mount

LABEL_STAGING = "sagespec.staging"
_CONFLICT = 409


class Staging:
    """image: any that is on our engine; it is not looked at."""

    def __init__(self, engine: Any, project_name: str, image: Callable[[], str]) -> None:
        self.engine, self._project_name, self.an_image = engine, project_name, image

    def make(self, service_name: str, volumes: Mapping[str, str]) -> None:
        """volumes: by path below /opt/ml."""
        mounts = [volume_mount(volume, path) for path, volume in volumes.items()]
        try:
            self.engine.create_container(
                self.an_image(),
                "train",  # never run; some images name no command, and without one there is no container
                name=_name(service_name),
                labels={LABEL_STAGING: self._project_name},
                host_config=self.engine.create_host_config(mounts=mounts, network_mode="none"),
            )
        except APIError as error:
            if error.status_code != _CONFLICT:  # it is there
                raise

    def has(self, service_name: str) -> bool:
        with suppress(NotFound):
            self.engine.inspect_container(_name(service_name))
            return True
        return False

    def put(self, service_name: str, members: Iterable[Entry]) -> None:
        self.engine.put_archive(_name(service_name), "/", tar(members))

    def read(self, service_name: str, path: str, limit: int) -> bytes | None:
        return read_file(self.engine, _name(service_name), path, limit)

    def members(self, service_name: str, path: str = "") -> Iterator[Entry]:
        """Of a folder, named relative to it."""
        yield from self._members(_name(service_name), f"/{inside(path)}" if path else BASE)

    def _members(self, container: str, folder: str) -> Iterator[Entry]:
        try:
            # The slash at the end has the engine follow a link to a folder.
            stream, _ = self.engine.get_archive(container, f"{folder}/", chunk_size=1 << 16)
        except NotFound:
            return
        yield from rebased(stream)

    def volumes(self, service_name: str) -> list[str]:
        with suppress(NotFound):
            mounts = self.engine.inspect_container(_name(service_name))["HostConfig"].get("Mounts") or ()
            return [str(mount["Source"]) for mount in mounts]
        return []

    def own_files(self, image: str) -> Iterator[Entry]:
        """What an image that our engine has brings below /opt/ml itself: files and folders."""
        with self._made_from(image) as container_id:
            for info, content in self._members(container_id, BASE):
                if info.isreg() or info.isdir():
                    yield info, content

    def head_of(self, image: str, path: str) -> bytes | None:
        """The beginning of a file of an image that our engine has."""
        with self._made_from(image) as container_id:
            return read_anywhere(self.engine, container_id, path, HEAD_BYTES)

    @contextmanager
    def _made_from(self, image: str) -> Iterator[str]:
        made = self.engine.create_container(
            image, "train", labels={LABEL_STAGING: self._project_name}, network_disabled=True
        )
        try:
            yield str(made["Id"])
        finally:
            self.engine.remove_container(made["Id"], v=True, force=True)

    def remove(self, service_name: str) -> None:
        with suppress(NotFound):
            self.engine.remove_container(_name(service_name), v=True, force=True)

    def made_before(self, moment: datetime) -> list[str]:
        """The names of their services."""
        names = {str(row["Names"][0]).lstrip("/"): float(row["Created"]) for row in self._rows()}
        ending = _name("")
        return [
            name.removesuffix(ending)
            for name, created in names.items()
            if name.endswith(ending) and created < moment.timestamp()
        ]

    def _rows(self) -> list[dict[str, Any]]:
        filters = {"label": f"{LABEL_STAGING}={self._project_name}"}
        return list(self.engine.containers(all=True, filters=filters))

    def remove_all(self) -> None:
        for row in self._rows():
            with suppress(NotFound):
                self.engine.remove_container(row["Id"], v=True, force=True)


def _name(service_name: str) -> str:
    return f"{service_name}-staging"
