"""Training over the hosts of a job, in a training script.

The hosts meet where the platform says, SM_MASTER_ADDR and SM_MASTER_PORT, or at a port that the script names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import sagespec_toolkit  # noqa: F401
import xgboost
from sagemaker_containers.entry_point import wait_for
from toolkit.hosts import DEFAULT_PORT, Hosts


def wait_hostname_resolution(sm_hosts: list[str]) -> None:
    wait_for(sm_hosts)


def rabit_run(
    exec_fun: Callable[..., Any],
    args: dict[str, Any],
    include_in_training: bool,
    hosts: Sequence[str],
    current_host: str,
    *,
    first_port: int | None = None,
    second_port: int | None = None,
    max_connect_attempts: int | None = None,  # noqa: ARG001 (our hosts wait as long as one may take to start)
    connect_retry_timeout: int = 3,  # noqa: ARG001
    update_rabit_args: bool = False,
) -> None:
    """Call `exec_fun(**args)` on all hosts that are to be included, connected with one another.

    A host that has no data ends with 0. update_rabit_args: args get `is_master`, which is so for the first of them.
    """

    def run(trainers: Hosts) -> None:
        exec_fun(**args | ({"is_master": trainers.is_master} if update_rabit_args else {}))

    with _connected(hosts, current_host, first_port) as everyone:
        own = np.array([name == current_host and bool(include_in_training) for name in everyone.names], np.int64)
        included = [name for name, flag in zip(everyone.names, everyone.sum(own), strict=True) if flag]
        if len(included) == len(everyone.names):
            run(everyone)
            return
    if not included:
        raise RuntimeError("no host has data to train on")
    if not include_in_training:
        print(f"host {current_host} has no data and is not used in training", flush=True)
        sys.exit(0)
    with _connected(included, current_host, second_port or _port(first_port) + 1) as trainers:
        run(trainers)


def _port(port: int | None) -> int:
    return int(port or os.environ.get("SM_MASTER_PORT") or DEFAULT_PORT)


@contextmanager
def _connected(hosts: Sequence[str], current_host: str, port: int | None) -> Iterator[Hosts]:
    """The first of `hosts` is where they meet, unless they are local processes, which all have one address."""
    names = tuple(sorted(hosts))
    before = dict(os.environ)
    if os.environ.get("SM_MASTER_ADDR", "").startswith("algo-"):
        os.environ["SM_MASTER_ADDR"] = names[0]
    os.environ["SM_MASTER_PORT"] = str(_port(port))
    try:
        together = Hosts(names, current_host)
        with together.connected():
            yield together
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True)
class Connection:
    """What a script may ask while the hosts are connected."""

    is_master: bool
    rank: int
    current_host: str
    master_port: int
    hosts: Hosts

    def synchronize(self, data: Any) -> list[Any]:
        """What each host has given, in the order of their names."""
        if len(self.hosts.names) == 1:
            return [data]
        return [xgboost.collective.broadcast(data, rank) for rank in range(len(self.hosts.names))]


class Rabit:
    """`with Rabit(hosts, current_host) as rabit:` connects the hosts."""

    def __init__(
        self,
        hosts: Sequence[str],
        current_host: str | None = None,
        master_host: str | None = None,  # noqa: ARG002 (the first of the hosts, as in all jobs here)
        port: int | None = None,
        *,
        max_connect_attempts: int | None = None,  # noqa: ARG002
        connect_retry_timeout: int = 3,  # noqa: ARG002
    ) -> None:
        self.hosts = hosts
        self.current_host = current_host or os.environ.get("SM_CURRENT_HOST") or sorted(hosts)[0]
        self.port = port
        self._connection = _connected(hosts, self.current_host, port)

    def start(self) -> Connection:
        together = self._connection.__enter__()
        return Connection(together.is_master, together.rank, self.current_host, _port(self.port), together)

    def stop(self) -> None:
        self._connection.__exit__(None, None, None)

    def __enter__(self) -> Connection:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._connection.__exit__(kind, error, trace)
