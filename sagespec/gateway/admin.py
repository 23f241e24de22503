"""Envoy's admin port: where it is, and what it answers. It may be another one after each start of Envoy."""

from __future__ import annotations

from collections.abc import Callable

from sagespec.errors import WorldError
from sagespec.runtimes.protocol import Runtime

ADMIN_ADDRESS = "gateway/admin.address"


class Admin:
    """Of one gateway's container. on_lost: called when Envoy is no longer the one that was asked before."""

    def __init__(self, runtime: Runtime, name: str, on_lost: Callable[[], None]) -> None:
        self._runtime, self._name, self._on_lost = runtime, name, on_lost
        self._port = 0  # 0: not known

    def fetch(self, *paths: str, post: bool = False) -> list[bytes]:
        """WorldError when it does not answer."""
        if self._port:
            try:
                return self._runtime.fetch(self._name, self._port, paths, post=post)
            except WorldError:
                self.forget()
        self._port = self._read_port()
        return self._runtime.fetch(self._name, self._port, paths, post=post)

    def forget(self) -> None:
        self._port = 0
        self._on_lost()

    def _read_port(self) -> int:
        address = self._runtime.read(self._name, ADMIN_ADDRESS) or b""
        try:
            return int(address.rpartition(b":")[2])
        except ValueError:
            raise WorldError("the gateway does not answer", why="it has not started yet, or has ended") from None
