"""A request to stop, while another run follows the job."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from sagespec.events import silent
from sagespec.parts import Parts
from sagespec.records.lease import LEASE_SECONDS
from sagespec.records.leases import Leases
from sagespec.state.addresses import job_address
from sagespec.verbs.stop import STOP_SEEN_EVERY_SECONDS, stop
from tests.fakes import START, SettableClock

JOB = job_address("churn", 1)
PROJECT = "apiVersion: sagespec/v1\nkind: Project\nname: acme\nruntime: process\n"
SPEC = """
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 1
image: churn-trainer
"""


class Reached(Exception):
    """It goes on to end the job itself."""


def test_a_follower_that_died_on_a_machine_whose_clock_is_ahead_is_waited_for_as_long_as_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sagespec.yaml").write_text(PROJECT)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "churn.yaml").write_text(SPEC)
    parts, clock = Parts(tmp_path), SettableClock(START)
    Leases(parts.store, "acme", clock=lambda: START + timedelta(days=1)).follow(JOB)  # and renewed no more

    class Waits(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert clock.now() - START < timedelta(seconds=2 * LEASE_SECONDS)
            clock.sleep(STOP_SEEN_EVERY_SECONDS if timeout is None else timeout)
            return False

    def reached(_run: object) -> None:
        raise Reached

    monkeypatch.setattr(parts, "leases", lambda command: Leases(parts.store, "acme", command=command, clock=clock.now))
    monkeypatch.setattr("sagespec.verbs.stop.converge", reached)
    with pytest.raises(Reached):
        stop(parts, JOB, reason="", report=silent, cancelled=Waits())
    assert timedelta(0) < clock.now() - START - timedelta(seconds=LEASE_SECONDS) < timedelta(seconds=1)
    parts.close()
