"""Starting a job's containers."""

from __future__ import annotations

import threading

from sagespec.errors import WorldError
from sagespec.runtimes.protocol import CannotStart
from tests.place import Place


def test_an_image_without_the_program_is_not_tried_again(place: Place) -> None:
    place.faults.fail = lambda text: CannotStart("no executable train") if text.startswith("start ") else None
    (outcome,) = place.converge(place.job(1, retries=5)).outcomes
    assert outcome.reason == "AlgorithmError: no executable train"
    assert len([call for call in place.faults.calls if call.startswith("start ")]) == 1
    assert place.addresses() == []


def test_a_job_that_the_engine_does_not_start_is_let_go_of_between_two_tries(place: Place) -> None:
    place.faults.fail = lambda text: WorldError("no room") if text.startswith("start ") else None
    cancelled = threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    place.converge(place.job(1, retries=2), cancelled=cancelled)
    assert len([call for call in place.faults.calls if call.startswith("start ")]) == 1
    assert place.addresses() == []
