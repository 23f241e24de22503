"""What containers can be shown of this machine.

`DockerRuntime` asks before folders are mounted: an engine behind a Unix socket may still live in a virtual machine
or in a container, and see other files under the same names. So the engine is asked for a file that we know.
"""

from __future__ import annotations

import base64
import json
import posixpath
import threading
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from docker.errors import APIError

from sagespec.runtimes.docker.engine import engine_address

LABEL_PROBE = "sagespec.probe"
_SEEN_AT = "/probe"
_NEAR = 20  # microseconds by which the times of the same file may differ: engine, Python and disk round differently


class Mounts:
    """The mounts of one project on one engine."""

    def __init__(self, engine: Any, project_name: str) -> None:
        self._engine = engine
        self._project_name = project_name
        self._has_selinux: bool | None = None
        self._seen: dict[Path, bool] = {}
        self._probing = threading.Lock()

    def can_show(self, folder: Path, witness: str, image: str) -> bool:
        """Whether the engine sees the same file `witness` in `folder`. image: any that is on the engine.

        Under SELinux containers may read only what is labelled for them, and a user's folder is not relabelled.
        """
        if not engine_address().startswith(("unix://", "the default")) or not image:
            return False
        with self._probing:
            if self._has_selinux is None:
                self._has_selinux = any("selinux" in option for option in self._engine.info()["SecurityOptions"] or ())
            if self._has_selinux:
                return False
            if folder not in self._seen:
                self._seen[folder] = self._is_same(folder, witness, image)
            return self._seen[folder]

    def _is_same(self, folder: Path, witness: str, image: str) -> bool:
        mount = {"Target": _SEEN_AT, "Source": str(folder), "Type": "bind", "ReadOnly": True}
        try:
            probe = self._engine.create_container(
                image,
                "train",  # never run; some images name no command, and without one there is no container
                name=f"sagespec_{self._project_name}_probe_{token_hex(4)}",
                labels={LABEL_PROBE: self._project_name},
                host_config=self._engine.create_host_config(mounts=[mount], network_mode="none"),
            )
        except APIError:  # there is no such folder on its side
            return False
        try:
            known = self._facts(probe["Id"], posixpath.join(_SEEN_AT, witness))
        finally:
            self._engine.remove_container(probe["Id"], force=True)
        ours = (folder / witness).stat()
        return known is not None and known[0] == ours.st_size and abs(known[1] - ours.st_mtime_ns // 1000) <= _NEAR

    def _facts(self, container_id: str, path: str) -> tuple[int, int] | None:
        """Size and time in microseconds of a file, as the container sees it; it need not run for that."""
        response = self._engine.head(
            f"{self._engine.base_url}/v{self._engine.api_version}/containers/{container_id}/archive",
            params={"path": path},
            timeout=self._engine.timeout,
        )
        if not response.ok:
            return None
        facts = json.loads(base64.b64decode(response.headers["X-Docker-Container-Path-Stat"]))
        return facts["size"], round(datetime.fromisoformat(facts["mtime"]).timestamp() * 1e6)
