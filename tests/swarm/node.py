"""A node: a Docker engine in a network namespace, with a host name, folders and a cgroup of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException

from tests.swarm.within import within

ANSWERS_SECONDS = 60.0
SLOW_SECONDS = 120.0  # between two bytes of an engine's answer


class Node:
    """It is started by `start`. name: also its host name, and that of its end of the wire."""

    def __init__(self, name: str, address: str, folder: Path, prefix: str, settings: dict[str, object]) -> None:
        self.name, self.address, self.folder = name, address, folder
        self.namespace = f"{prefix}{name}"
        self.docker_host = f"unix://{folder}/docker.sock"
        self.gpus = tuple(f"GPU-{name}-{number}" for number in range(2))
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = settings | {
            "hosts": [self.docker_host],
            "data-root": f"{folder}/data",
            "exec-root": f"{folder}/exec",
            "pidfile": f"{folder}/docker.pid",
            "cgroup-parent": f"/{self.namespace}",
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "node-generic-resources": [f"gpu={gpu}" for gpu in self.gpus],
        }

    def __repr__(self) -> str:
        return f"Node({self.name})"

    @cached_property
    def engine(self) -> Any:
        """The low-level client."""
        return docker.DockerClient(self.docker_host, version="1.41", timeout=SLOW_SECONDS).api

    @cached_property
    def id(self) -> str:
        """By which the swarm knows it; asked once, while its engine is there."""
        return str(self.engine.info()["Swarm"]["NodeID"])

    @property
    def is_started(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the engine, and return; `wait_until_it_answers` is for afterwards."""
        for left in ("docker.pid", "exec/containerd/containerd.pid"):  # by one that was killed: nobody may reap it
            (self.folder / left).unlink(missing_ok=True)
        config = self.folder / "daemon.json"
        config.write_text(json.dumps(self._settings))
        # Not `ip netns exec`, which mounts /sys once more, without its cgroups.
        enter = ["nsenter", f"--net=/run/netns/{self.namespace}", "unshare", "--uts"]
        script = 'hostname "$0"; exec dockerd --config-file "$1"'
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*enter, "sh", "-c", script, self.name, str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # what interrupts the tests must not reach it
                env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            )

    def wait_until_it_answers(self) -> None:
        end = "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-5:])
        assert self.is_started, f"the engine of {self.name} has ended:\n{end}"
        within(ANSWERS_SECONDS, self.answers, f"the engine of {self.name} does not answer")

    def answers(self) -> bool:
        with suppress(DockerException, requests.RequestException, OSError):
            with socket.socket(socket.AF_UNIX) as first:  # the SDK would leave it open if nothing answers
                first.connect(self.docker_host.removeprefix("unix://"))
            return bool(self.engine.ping())
        return False

    def kill(self) -> None:
        """SIGKILL to the engine alone: its containers run on, as they do where an engine crashes."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        if self.is_started:
            self.kill()
        self.engine.close()

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """A program of this machine, as if it ran on that of the node."""
        return subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.namespace}", *words], capture_output=True, text=True, check=False
        )
