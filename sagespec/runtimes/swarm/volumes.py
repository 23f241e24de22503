"""Volumes of our own engine, whose content other nodes get as a layer of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sagespec.runtimes.docker.engine import refusals
from sagespec.runtimes.docker.volumes import DockerVolumes
from sagespec.runtimes.protocol import Tell
from sagespec.runtimes.swarm.bake import Bakery, marks_of
from sagespec.runtimes.swarm.images import SwarmImages
from sagespec.runtimes.swarm.names import part_of, service_name
from sagespec.runtimes.swarm.staging import Staging
from sagespec.state.launches import Launch


class SwarmVolumes(DockerVolumes):
    def __init__(
        self,
        project_name: str,
        upload: Callable[[str, Iterable[Any]], None],
        staging: Staging,
        images: SwarmImages,
        bakery: Bakery,
    ) -> None:
        super().__init__(staging.engine, project_name, upload, staging.an_image)
        self._images, self._staging, self._bakery = images, staging, bakery

    def send(self, launch: Launch, tell: Tell) -> None:
        """Bake it. `start` bakes, too, and finds that this is done: it looks at what is there then."""
        volumes = {mount.path: mount.volume for mount in launch.mounts if mount.volume and self.has(mount.volume)}
        if part_of(launch) != "serving" or not volumes:
            return
        at = f"{service_name(self._project_name, launch.name)}-sent"
        with refusals(f"bake the model of {launch.name}"):
            program = self._images.for_nodes(launch.image or self._images.reference(launch.program))
            self._staging.remove(at)  # of a run that was killed
            self._staging.make(at, volumes)
            try:
                marks = marks_of(self._project_name, launch.model)
                self._bakery.bake(program, lambda: self._staging.members(at), tell, labels=marks)
            finally:
                self._staging.remove(at)
