"""SDK 3: trainers, builders, resources."""

from __future__ import annotations

import pytest

from tests.sdk.desk import Desk, accuracy

pytestmark = [pytest.mark.sdk3, pytest.mark.slow(60)]


def test_trainers_builders_and_resources(desk: Desk) -> None:
    with desk.api():
        found = desk.run("sdk3", "trainer.py", kernel=True)

    assert found["role"] == "arn:aws:iam::000000000000:role/sagespec"
    assert len(found["jobs"]) == 2
    assert "learned by a script" in found["said"]
    assert accuracy(found["built"], desk.folder) > 0.9
    assert found["by_hand"] == found["built"]
    assert found["served_by"] == "AllTraffic"
    desk.assert_only("specs/notebook/tumours.yaml", "specs/notebook/scripted.yaml", "code/scripted-1/learn.py")
