"""SDK 2 sees a canary to its end, unmodified."""

from __future__ import annotations

import pytest

from tests.sdk.desk import Desk

pytestmark = [pytest.mark.sdk2, pytest.mark.slow(80)]


def test_wait_for_endpoint_sees_a_canary_to_its_end(process_desk: Desk) -> None:
    with process_desk.api():
        found = process_desk.run("sdk2", "rollout.py")
    assert found["meanwhile"] == "Updating"
    assert found["after"] == ["InService", "second", False]
