"""The containers of one training job, and sums over all of them.

SageMaker names them algo-1 to algo-N; the first of the sorted names is the master. Sums and
broadcasts run over XGBoost's collective, whose tracker runs on the master. A job on one host
does not need or import it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ClientError

T = TypeVar("T")
Number = TypeVar("Number", np.float64, np.int64)

DEFAULT_PORT = 7777
MEETING_SECONDS = 900  # a host may start late, and its name be unknown until then
COLLECTIVE_TIMEOUT_SECONDS = 3600  # a host may be reading its data while the others already wait


@dataclass(frozen=True)
class Hosts:
    """All hosts of the job by name, and which of them we are."""

    names: tuple[str, ...]
    current: str

    @property
    def is_master(self) -> bool:
        return self.current == self.names[0]

    @property
    def rank(self) -> int:
        """Our place among the sorted names, the master's being 0."""
        return self.names.index(self.current)

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Inside, sums and broadcasts work. Waits until every host has connected."""
        if len(self.names) == 1:
            yield
            return
        from toolkit.lean_xgboost import xgboost

        address = address_of(os.environ.get("SM_MASTER_ADDR") or self.names[0])
        port = int(os.environ.get("SM_MASTER_PORT") or DEFAULT_PORT)
        if self.is_master:
            tracker = xgboost.tracker.RabitTracker(n_workers=len(self.names), host_ip=address, port=port, sortby="task")
            tracker.start()
        print(f"{self.current}: waiting for {len(self.names)} hosts at {address}:{port}", flush=True)
        self._connect(address, port)
        try:
            yield
        except xgboost.core.XGBoostError as error:
            if "/collective/" not in str(error):
                raise
            raise ConnectionError("another host of this job ended or cannot be reached") from error
        # Only after success: with a host gone, an orderly end would wait for it.
        xgboost.collective.finalize()
        if self.is_master:
            tracker.wait_for()

    def _connect(self, address: str, port: int) -> None:
        """Join the tracker, which may not be there yet; XGBoost waits longer after each of its own retries."""
        from toolkit.lean_xgboost import xgboost

        give_up_at = time.monotonic() + MEETING_SECONDS
        while True:
            try:
                with xgboost.config_context(verbosity=0):
                    xgboost.collective.init(
                        dmlc_communicator="rabit",
                        dmlc_tracker_uri=address,
                        dmlc_tracker_port=port,
                        dmlc_task_id=f"{self.rank:06}",  # gives the master rank 0
                        dmlc_retry=1,
                        dmlc_timeout=COLLECTIVE_TIMEOUT_SECONDS,
                    )
                    return
            except xgboost.core.XGBoostError as error:
                if "connect to the tracker" not in str(error) or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.2)

    def sum(self, values: NDArray[Number]) -> NDArray[Number]:
        """The element-wise sum over all hosts, the same on each."""
        if len(self.names) == 1:
            return values
        from xgboost.collective import Op, allreduce

        return allreduce(values, Op.SUM).reshape(values.shape)

    def largest(self, value: int) -> int:
        """The largest of the hosts' values."""
        if len(self.names) == 1:
            return value
        from xgboost.collective import Op, allreduce

        return int(allreduce(np.array([value], np.int64), Op.MAX)[0])

    def any(self, claim: bool) -> bool:
        """Whether it is true on at least one host."""
        return self.largest(int(claim)) > 0

    def first(self, value: T | None) -> T | None:
        """The value of the first host that has one, on every host; None if none has."""
        last = len(self.names) - 1
        found = self.largest(-1 if value is None else last - self.rank)
        return None if found < 0 else self._from(last - found, value)

    def from_master(self, value: T) -> T:
        """The master's value, on every host."""
        return self._from(0, value)

    def each(self, value: T) -> list[T]:
        """The hosts' values in the order of their names, on every host."""
        return [self._from(rank, value) for rank in range(len(self.names))]

    def gathered(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The hosts' arrays, which differ only in length, one after the other."""
        if len(self.names) == 1:
            return values
        before, total = self.numbered(len(values))
        together = np.zeros((total, *values.shape[1:]))
        together[before : before + len(values)] = values
        return self.sum(together)

    def numbered(self, count: int) -> tuple[int, int]:
        """How many rows the hosts before this one have, and how many all hosts have. This one has `count`.

        So all hosts' rows have numbers, host after host, and this host's begin at the first result.
        """
        counts = np.zeros(len(self.names), np.int64)
        counts[self.rank] = count
        counts = self.sum(counts)
        return int(counts[: self.rank].sum()), int(counts.sum())

    def endpoints(self) -> list[tuple[str, int]]:
        """An IPv4 address of each host and a port free there, for a library that makes its own connections."""
        master = address_of(os.environ.get("SM_MASTER_ADDR") or self.names[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, socket.socket() as listener:
            probe.connect((master, 1))  # sends nothing, but chooses the address the others see
            listener.bind(("", 0))
            own = [*socket.inet_aton(probe.getsockname()[0]), listener.getsockname()[1]]
            numbers = np.zeros((len(self.names), 5), np.int64)
            numbers[self.rank] = own
            all_numbers = self.sum(numbers).tolist()
        return [(".".join(map(str, address)), port) for *address, port in all_numbers]

    def fail_together(self, problem: str | None) -> None:
        """ClientError on every host if one of them has a problem, so that no host waits for it."""
        failed = self.largest(-1 if problem is None else self.rank)
        if failed < 0:
            return
        message = self._from(failed, problem or "")
        raise ClientError(message if len(self.names) == 1 else f"{self.names[failed]}: {message}")

    def _from(self, rank: int, value: T) -> T:
        if len(self.names) == 1:
            return value
        from xgboost.collective import broadcast

        return broadcast(value, rank)


def address_of(name: str) -> str:
    """The IP address of `name`; asks again for a while, since names may appear late."""
    give_up_at = time.monotonic() + MEETING_SECONDS
    while True:
        try:
            return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
        except OSError as error:
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"host name {name} is still unknown after {MEETING_SECONDS} s: {error}") from error
            time.sleep(0.5)
