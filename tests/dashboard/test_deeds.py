"""What a button began: told to be done, or to have failed, or to have started where the rest is told elsewhere."""

from __future__ import annotations

import threading

from sagespec.dashboard.deeds import Deeds
from sagespec.dashboard.happenings import Happenings
from sagespec.errors import Problem
from sagespec.events import Event, EventKind, Report

STARTED = Event(EventKind.STARTED, action="run-job", about="job/churn@1")


def test_a_job_that_has_started_is_under_way_no_longer_as_far_as_its_button_goes() -> None:
    started, release, ended = threading.Event(), threading.Event(), threading.Event()
    happenings = Happenings()
    deeds = Deeds(happenings, ended.set)

    def work(report: Report) -> tuple[Problem, ...]:
        report(STARTED)
        started.set()
        assert release.wait(10)
        return (Problem("it failed, as its page says"),)

    deed = deeds.begin("retry job/churn@1", "ada", work, starts=lambda event: event.kind is EventKind.STARTED)
    assert started.wait(10)
    assert [one.word for one in deeds.shown()] == ["started"]
    release.set()
    assert ended.wait(10)
    assert (deed.word, deed.problems) == ("started", ())
    assert [(one.event.kind, one.by) for one in happenings] == [(EventKind.STARTED, "ada")]


def test_what_cannot_even_start_has_failed() -> None:
    ended = threading.Event()
    happenings = Happenings()
    deeds = Deeds(happenings, ended.set)
    refused = (Problem("there is no such job"),)
    deed = deeds.begin("retry job/churn@1", "", lambda _: refused, starts=lambda _: True)
    assert ended.wait(10)
    assert (deed.word, deed.problems) == ("failed", refused)
    assert [one.event.kind for one in happenings] == [EventKind.FAILED]
