"""Which tests one worker has alone: those of the cluster, of which there is one.

pytest-xdist has marks for that, which it puts into the tests' ids, where pytest 9.2 lets nobody put anything.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

from tests.swarm.belonging import CLUSTER, is_of_cluster


class OneWorkerEach(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Tests in their order, one by one to whoever is free; and those of the cluster as if they were one."""

    def _split_scope(self, nodeid: str) -> str:
        return CLUSTER if is_of_cluster(nodeid) else nodeid
