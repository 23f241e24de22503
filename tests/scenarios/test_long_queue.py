"""What a hundred jobs that wait for their turn cost the engine and the store, look by look.

S3 takes money for each read, and a listing costs as much as a dozen.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from sagespec.parts import Parts
from sagespec.passes import Run
from sagespec.reconcile.options import Options
from sagespec.records.leases import Leases
from sagespec.run.stops import ask_to_stop
from sagespec.runtimes.protocol import Runtime
from sagespec.state.addresses import job_address
from sagespec.state.observed import ContainerState
from sagespec.state.revision import EndpointRecord, RollbackRequest
from sagespec.stores.protocol import Store
from sagespec.verbs.apply import look_again
from sagespec.verbs.locked import run_of
from tests.fakes import START, Behaviour, FakeEngine, FakeRuntime, FakeStore

JOBS = 100


class Counted:
    """Passes everything on, and counts what this thread asks for: a pass, not what goes on beside it."""

    def __init__(self, whole: object) -> None:
        self._whole, self._here, self.calls = whole, threading.current_thread(), Counter[str]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._whole, name)
        if not callable(found):
            return found

        def counted(*given: Any, **more: Any) -> Any:
            if threading.current_thread() is self._here:
                keys = list(given[0]) if name == "read_many" else []
                self.calls["read" if name == "read_many" else name] += len(keys) if name == "read_many" else 1
                given = (keys, *given[1:]) if name == "read_many" else given
            return found(*given, **more)

        return counted


@pytest.fixture
def queue_of() -> Iterator[Callable[..., tuple[Run, Counted, Counted]]]:
    runs: list[Run] = []

    def begin(root: Path, **stopping: str) -> tuple[Run, Counted, Counted]:
        """A run two of whose jobs train, and what it asks engine and store from here on."""
        engine = FakeEngine()
        engine.behave("job/churn", Behaviour(lasts=None))
        (root / "specs").mkdir()
        (root / "train.csv").write_text("1,2\n")
        (root / "sagespec.yaml").write_text("apiVersion: sagespec/v1\nkind: Project\nname: shop\n")
        limits = "".join(f", {name}: {value}" for name, value in stopping.items())
        for version in range(1, JOBS + 1):
            engine.behave(f"job/churn@{version}", Behaviour(lasts=None))
            (root / "specs" / f"{version}.yaml").write_text(
                f"apiVersion: sagespec/v1\nkind: TrainingJob\nname: churn\nversion: {version}\nalgorithm: echo\n"
                f"channels: {{train: ../train.csv}}\nstopping: {{max_runtime: 1h{limits}}}\n"
            )
        parts = Parts(root)
        runtime, store = Counted(FakeRuntime("shop", engine)), Counted(FakeStore())
        vars(parts).update(runtime=cast("Runtime", runtime), store=cast("Store", store))
        runtime._whole.name = "fake"  # type: ignore[attr-defined]
        run = run_of(parts, "apply", partial(look_again, parts), Options(), report=lambda _event: None)
        runs.append(run)
        run.make_pass()
        assert (len(run.tasks.all), len(run.queue.waiting)) == (2, JOBS - 2)
        while [c.state for c in engine.all.values()] != [ContainerState.RUNNING] * 2:  # no look is cheap until then
            time.sleep(0.01)
        runtime.calls.clear()
        store.calls.clear()
        return run, runtime, store

    yield begin
    for run in runs:
        run.leave()


Begin = Callable[..., tuple[Run, Counted, Counted]]


@pytest.mark.parametrize("stopping", [{}, {"max_wait": "2h"}], ids=["", "with max_wait"])
def test_a_hundred_jobs_in_the_queue_cost_one_list_call_a_look_and_few_reads(
    queue_of: Begin, tmp_path: Path, stopping: dict[str, str]
) -> None:
    run, runtime, store = queue_of(tmp_path, **stopping)
    assert not run.is_due()
    assert runtime.calls == {"containers": 1}
    # Each manifest, and those of the two with containers again; who follows these; the newest specs. The listings are
    # of the leases and of the revisions.
    assert store.calls == {"read": JOBS + 2 + 2 + 1, "entries": 2}
    for _ in range(5):
        runtime.calls.clear()
        store.calls.clear()
        assert not run.is_due(unless_same_for=30)
        assert runtime.calls == {"containers": 1}
        assert store.calls == {"read": 2, "entries": 1}, "what it looks at every two seconds"


def test_a_pass_that_finds_a_hundred_jobs_waiting_asks_the_engine_once(queue_of: Begin, tmp_path: Path) -> None:
    run, runtime, store = queue_of(tmp_path)
    assert run.make_pass() == ()
    assert runtime.calls == {"containers": 1}
    # as a look, and the lock: read, taken, given back
    assert store.calls == {"read": JOBS + 2 + 2 + 1 + 1, "entries": 2, "write": 2}


@pytest.mark.parametrize(
    "what", ["a task ends", "a request to stop", "a rollback", "a container ends", "another follows one", "time"]
)
def test_whatever_gives_a_turn_is_seen_at_a_glance(queue_of: Begin, tmp_path: Path, what: str) -> None:
    run, runtime, store = queue_of(tmp_path, max_wait="2h")
    assert not run.is_due(unless_same_for=30)
    store.calls.clear()
    world = run.around.open_world()
    waiting = job_address("churn", JOBS)
    match what:
        case "a task ends":
            run.woken.set()
        case "a request to stop":
            ask_to_stop(world.records, waiting, "ada", None)
        case "a rollback":
            request = RollbackRequest(
                endpoint="shop",
                number=1,
                hash="1-a",
                asked=EndpointRecord(),
                instead_of="",
                after=2,
                reason="",
                by="ada",
                at=START,
            )
            store.write("shop/active/rollbacks/shop.json", request.model_dump_json().encode())
        case "a container ends":
            engine = runtime.engine
            engine.end(next(iter(engine.all.values())), 1)
        case "another follows one":
            Leases(cast("Store", store._whole), "shop").follow(waiting)
        case "time":
            run.queue._give_up_at[waiting] = run.queue._give_up_at[waiting][0], world.clock.now()
    run.is_due(unless_same_for=30)
    assert store.calls["read"] >= JOBS, "it looks at everything"
