"""Rollouts of every strategy while gateway, watch and apply are killed: no request is lost but by a dead gateway."""

from __future__ import annotations

import pytest

from tests.scenarios.rollout.upheaval import STEPS, run
from tests.scenarios.workspace import Workspace


@pytest.mark.slow
def test_no_request_fails_that_its_model_did_not_fail(process_workspace: Workspace) -> None:
    seen = run(process_workspace, of_each=2, seed=1)
    assert seen.lost == {}, seen
    assert sum(seen.ended.values()) == 2 * len(STEPS)
    assert seen.by_models > 0
    assert sum(seen.killed.values()) > 2, seen
