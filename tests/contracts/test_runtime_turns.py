"""Several runs create containers at once: none is given what another has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import pytest

from sagespec.runtimes.protocol import Runtime
from sagespec.state.observed import Capacity
from tests.contracts.bench import HAS_ITS_GPUS, RUNS, Bench, able_to

TOGETHER = 8
GPUS = tuple(f"GPU-{number}" for number in range(TOGETHER))


@able_to(RUNS, HAS_ITS_GPUS)
def test_runs_that_create_at_once_choose_different_gpus(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.create(name="first")  # what makes the network
    together = Barrier(TOGETHER)

    def create(number: int, runtime: Runtime) -> None:
        together.wait()
        runtime.create([bench.launch(name=f"churn{number}", gpus=1)])

    with ExitStack() as opened, ThreadPoolExecutor(TOGETHER) as pool:
        runtimes = [opened.enter_context(bench.open(bench.project_name)) for _ in range(TOGETHER)]
        for runtime in runtimes:  # the machine has none
            monkeypatch.setattr(runtime, "_capacity", Capacity(1, 2**30, GPUS))
            runtime.containers()  # connected
        list(pool.map(create, range(TOGETHER), runtimes))
    there = bench.runtime.containers()
    assert sorted(gpu for container in there for gpu in container.gpus) == sorted(GPUS)
    assert len({(container.host, container.port) for container in there}) == TOGETHER + 1
