"""A wire between network namespaces: a namespace of its own with a bridge, to which each machine's is plugged in.

This machine is on it too, so that tests reach what listens there. Addresses are of 198.18.0.0/15, which is set aside
for such nets and is routed nowhere.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"
    return done.stdout


@dataclass(frozen=True)
class Wire:
    """number: of this cluster among those of this machine. Names begin with `prefix`."""

    number: int
    prefix: str

    @property
    def subnet(self) -> str:
        return f"198.18.{self.number}.0/24"

    @property
    def address(self) -> str:
        return self.at(1)

    @property
    def namespace(self) -> str:
        return f"{self.prefix}wire"

    def at(self, number: int) -> str:
        return f"198.18.{self.number}.{number}"

    def up(self) -> None:
        run("ip", "netns", "add", self.namespace)
        self._ip("link", "add", "wire", "type", "bridge")
        self._ip("addr", "add", f"{self.address}/24", "dev", "wire")
        for link in ("lo", "wire"):
            self._ip("link", "set", link, "up")
        here = f"{self.prefix}here"  # goes with the namespace that its other end is in
        run("ip", "link", "add", here, "type", "veth", "peer", "name", "here", "netns", self.namespace)
        self._ip("link", "set", "here", "master", "wire", "up")
        run("ip", "addr", "add", f"{self.at(2)}/24", "dev", here)
        run("ip", "link", "set", here, "up")

    def plug_in(self, namespace: str, name: str, address: str) -> None:
        """Make a namespace with this address, at the end of a wire called `name`."""
        run("ip", "netns", "add", namespace)
        self._ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        self._ip("link", "set", name, "master", "wire", "up")
        for link in ("lo", "eth0"):
            run("ip", "-n", namespace, "link", "set", link, "up")
        run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", namespace, "route", "add", "default", "via", self.address)

    def cut(self, name: str) -> None:
        self._ip("link", "set", name, "down")

    def join(self, name: str) -> None:
        self._ip("link", "set", name, "up")

    def _ip(self, *words: str) -> None:
        run("ip", "-n", self.namespace, *words)
