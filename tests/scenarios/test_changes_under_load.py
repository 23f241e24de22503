"""Each kind of change while quick and slow requests keep coming: none is lost, and none is cut short."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace

SLOW_SECONDS = 3.0
JOBS = job(1) + job(2)
TWO = "instances: 2"
SHAPES = {
    "another model": endpoint("only model@2 1"),
    "environment": endpoint('only model@2 1 environment: {A: "1"}'),
    "a second variant": endpoint('only model@2 90 environment: {A: "1"}', f"more model@1 10 {TWO}"),
    "weights and instances": endpoint(f'only model@2 10 {TWO}, environment: {{A: "1"}}', "more model@1 90"),
    "resources, and one variant less": endpoint("only model@2 1 resources: {cpus: 1}"),
    "another name": endpoint("renamed model@2 1"),
}
NEVER_HEALTHY = endpoint('renamed model@2 1 environment: {ECHO_CRASH: "0", ECHO_START_DELAY: "9"}')


@contextmanager
def load_on(port: int, host: str = "127.0.0.1") -> Iterator[Counter[str]]:
    """Statuses (or failures) of callers that ask again and again: three with a pause, one that is answered late."""
    over, found = threading.Event(), Counter[str]()

    def call(attributes: str) -> None:
        connection = http.client.HTTPConnection(host, port, timeout=30)
        headers = {"X-Amzn-SageMaker-Custom-Attributes": attributes}
        while not over.wait(0.01):
            try:
                connection.request("POST", "/endpoints/answers/invocations", b"1,2", headers)
                response = connection.getresponse()
                response.read()
                found[str(response.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                found[repr(error)] += 1
        connection.close()

    orders = ("delay=0", "delay=0", "delay=0", f"delay={SLOW_SECONDS}")
    threads = [threading.Thread(target=call, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow(190)
def test_no_kind_of_change_loses_a_request(workspace: Workspace) -> None:
    workspace.write(JOBS + endpoint("only model@1 1"))
    with workspace.project() as project:
        assert project.apply().ok
        with load_on(workspace.port) as found:
            for change, shape in SHAPES.items():
                workspace.write(JOBS + shape)
                assert project.apply().ok, change
                assert found.keys() == {"200"}, (change, found)
            workspace.write(JOBS + NEVER_HEALTHY)
            assert not project.apply(check=False).ok
            assert project.rollback("answers").ok
            assert found.keys() == {"200"}, ("an update that fails, and a roll-back", found)
            workspace.write(JOBS + endpoint("only model@1 1"))
            with workspace.running("apply") as one, workspace.running("apply") as other:
                said = [run.communicate(timeout=60)[0] for run in (one, other)]
            assert "is up to date" in said[0] + said[1], said
            assert project.plan().actions == ()
    assert found.keys() == {"200"}, ("two applies at once", found)
    assert found["200"] > 1000
