"""Where a notebook cannot be: what is said of it before anything is built."""

from __future__ import annotations

from sagespec.events import Result
from sagespec.state.observed import Capacity, NodeCapacity
from tests.place import Place


def test_a_notebook_is_refused_where_other_machines_would_not_see_its_folder(place: Place) -> None:
    place.engine.capacity = Capacity.of([NodeCapacity("n1", 4, 2**33, ())])
    outcomes = place.converge({"kind": "Notebook", "name": "work"}).outcomes
    (failed,) = [outcome for outcome in outcomes if outcome.result is Result.FAILED]
    assert failed.about == "notebook/work"
    assert failed.reason.startswith("a notebook does not run on a Swarm")
    assert "environment that runs on Docker" in failed.reason
    assert "notebook/work" not in place.addresses()
