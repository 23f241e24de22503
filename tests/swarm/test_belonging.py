"""Which tests need the cluster, as told from their ids alone."""

from __future__ import annotations

import pytest

from tests.swarm.belonging import is_of_cluster


@pytest.mark.parametrize(
    "nodeid",
    [
        "tests/swarm/test_loop.py::test_a_model",
        "tests/runtimes/swarm/test_losses.py::test_a_node[some-thing]",
        "tests/contracts/test_runtime_life.py::test_a_container[swarm]",
        "tests/contracts/test_runtime_life.py::test_a_container[swarm-serve]",
    ],
)
def test_the_cluster_is_needed(nodeid: str) -> None:
    assert is_of_cluster(nodeid)


@pytest.mark.parametrize(
    "nodeid",
    [
        "tests/runtimes/swarm/test_reading.py::test_a_task",
        "tests/runtimes/swarm/test_registry.py::test_a_name[some-thing]",
        "tests/contracts/test_runtime_life.py::test_a_container[docker]",
        "tests/runtimes/test_choose.py::test_a_swarm_has_a_registry",
    ],
)
def test_the_cluster_is_not_needed(nodeid: str) -> None:
    assert not is_of_cluster(nodeid)
