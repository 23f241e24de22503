"""A request to roll back, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from sagespec.events import Caller
from sagespec.passes import Run, Surroundings
from sagespec.state.revision import EndpointRecord, RollbackRequest
from sagespec.verbs.rollback import forget
from tests.fakes import START
from tests.place import NoLock, Place

MINE = RollbackRequest(
    endpoint="answers",
    number=1,
    hash="1:a",
    asked=EndpointRecord.model_validate({"variants": [], "protect": True}),
    instead_of="1:b",
    after=2,
    reason="2 is bad",
    by="ada on build-7",
    at=START,
)
THEIRS = MINE.model_copy(update={"number": 2, "by": "bob on laptop", "at": START + timedelta(seconds=1)})


@pytest.mark.parametrize("theirs", [None, THEIRS], ids=["ours", "somebody else's, who had the lock before us"])
def test_only_ones_own_request_is_removed(tmp_path: Path, theirs: RollbackRequest | None) -> None:
    place = Place(tmp_path)
    world = place.world()
    world.records.write_rollback(MINE)

    @contextmanager
    def lock() -> Iterator[NoLock]:
        if theirs:
            world.records.write_rollback(theirs)
        yield NoLock()

    forget(Run(Surroundings(lambda _at_work: place.look(world), lambda: world, lock), Caller()), MINE)
    assert world.leases.look().rollbacks == ({"answers": theirs} if theirs else {})
