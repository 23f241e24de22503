"""What a notebook shows of a run while it lasts, and what `report=print` shows elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from sagespec import progress
from sagespec.causes import Cause, Reason
from sagespec.events import Event, EventKind
from sagespec.plan import Plan, RunJob
from sagespec.run.metrics import Patterns
from sagespec.show.following import Following
from sagespec.show.streams import Lines, Readings
from sagespec.verbs.metrics import Metrics
from tests.fakes.specs import desired_from
from tests.show.markup import HOSTILE, text_of, tree_of
from tests.show.screens import NOW, PLAN, WEIGHT, routes

AUC: Patterns = [("auc", re.compile(r"auc=([0-9.]+)").search)]


def line(text: str, seconds: float = 0.0, about: str = "job/a@1") -> Event:
    return Event(EventKind.LOG, about, text, action="run-job", at=NOW + timedelta(seconds=seconds))


def following(*events: Event) -> Following:
    run = Following(lambda _job: AUC)
    run.tell(Event(EventKind.PLANNED, plan=Plan()))
    for event in events:
        run.tell(event)
    return run


STARTED = Event(EventKind.STARTED, "job/a@1", "not trained yet", action="run-job")
ROUTED = Event(EventKind.FINISHED, "endpoint/b", action="set-routes", done=0.2)
FAILED = Event(EventKind.FAILED, "job/c@1", "failed: no labels\n  fix  add some", action="run-job", done=3.0)


def test_what_is_under_way_is_a_row() -> None:
    run = following(
        STARTED, Event(EventKind.PROGRESS, "job/a@1", "fetching", "run-job", done=5, total=10, unit="files")
    )
    read = text_of(run.as_html())
    assert read.startswith("running · ")
    assert "run-job" in read
    assert "50 % of 10 files fetching" in read
    assert "job/a@1" in run.as_text()
    assert run.jobs_begun == ["job/a@1"]
    run.tell(Event(EventKind.SKIPPED, "job/a@1", "stopped on request", action="run-job"))
    assert run.jobs_begun == ["job/a@1"]


def test_what_has_ended_is_counted_and_failures_are_told() -> None:
    read = text_of(following(STARTED, ROUTED, FAILED).as_html("failed"))
    assert read.startswith("failed · 1 done, 1 failed · ")
    assert "job/c@1 : failed: no labels" in read
    assert "job/c@1 : failed: no labels fix add some" in read


def test_the_last_lines_are_seen_and_metrics_are_drawn() -> None:
    (job,) = desired_from({"kind": "TrainingJob", "name": "a", "version": 1}).jobs
    run = following(STARTED)
    run.tell(Event(EventKind.PLANNED, plan=Plan((RunJob(about=job.address, cause=Cause(Reason.NEW), job=job),))))
    for second in range(100):
        run.tell(line(f"round {second} auc=0.{second:02}", second))
    html = run.as_html()
    (path,) = tree_of(html).iter("path")
    assert "0.99" in text_of(html)
    assert "round 99" in text_of(html)
    assert "round 80" not in text_of(html)
    assert path.get("d", "").count("L") == 99


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_lines_and_errors_stay_text(text: str) -> None:
    run = following(
        line(text, about=f"job/{text}"),
        Event(EventKind.STARTED, text, text, action=text),
        Event(EventKind.FAILED, text, text, action="run-job", done=1.0),
        Event(EventKind.NOTE, text, text),
        Event(EventKind.SKIPPED, text, text, action="set-routes"),
    )
    assert text_of(run.as_html())


def test_ten_thousand_things_stay_a_small_object() -> None:
    events: list[Event] = []
    for number in range(10_000):
        events.append(Event(EventKind.STARTED, f"job/{number}@1", "x" * 200, action="run-job"))
        events.append(Event(EventKind.FAILED, f"job/{number}@1", "y" * 2000, action="run-job", done=1.0))
    assert "9999 failed" in text_of(following(*events[:-1]).as_html())


def printed(events: Sequence[Event]) -> list[str]:
    return [str(event) for event in events]


def test_an_event_prints_as_a_line() -> None:
    plan = Event(EventKind.PLANNED, plan=Plan(actions=(routes(WEIGHT),)))
    assert printed([STARTED, ROUTED, FAILED, line("hello"), plan]) == [
        "started   run-job job/a@1: not trained yet",
        "finished  set-routes endpoint/b 0.2 s",
        "failed    run-job job/c@1 3 s: failed: no labels\n  fix  add some",
        "job/a@1 | hello",
        "planned   \nset-routes  endpoint/churn  weight of candidate 10 -> 30",
    ]
    assert str(Event(EventKind.PLANNED, plan=Plan())) == "planned   \nnothing to do"
    assert str(Event(EventKind.NOTE, text="x")) == "note      x"
    assert str(Event(EventKind.PROGRESS, "job/a@1", "x", "run-job", done=1, total=2, unit="files")) == (
        "progress  run-job job/a@1 1 of 2 files: x"
    )


def test_progress_prints_lines_as_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    report = progress()
    for event in (Event(EventKind.PLANNED, plan=PLAN), STARTED, line("hello"), ROUTED):
        report(event)
    assert capsys.readouterr().out.splitlines() == [
        "plan     1 to start, 1 to route, 1 to remove",
        "start    run-job          job/a@1                  not trained yet",
        "job/a@1 | hello",
        "done     set-routes       endpoint/b             ",
    ]


def test_lines_show_themselves_and_are_not_used_up() -> None:
    found = [(f"job/a@1#{number % 2}", f"line {number}\x1b[2J") for number in range(1002)]
    lines = Lines(lambda _follow: iter(found), follow=False)
    shown = repr(lines).split("\n")
    assert shown[:2] == ["… 2 earlier lines", "algo-1 | line 2"]
    assert shown[-1] == "algo-2 | line 1001"
    assert list(lines) == found
    assert repr(Lines(lambda _follow: iter(()), follow=False)) == "nothing was printed yet"


def test_a_notebook_prints_followed_lines_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[bool] = []

    def read(follow: bool) -> Iterator[tuple[str, str]]:
        asked.append(follow)
        yield "job/a@1", "one"
        raise KeyboardInterrupt

    Lines(read, follow=True)._ipython_display_()
    assert capsys.readouterr().out.splitlines() == ["algo-1 | one", "… no longer followed; what runs keeps running"]
    assert asked == [True]


def test_readings_show_the_latest() -> None:
    readings = Readings(lambda _follow: iter([Metrics({"auc": [(0.0, 0.5)]})]), follow=True)
    assert "auc" in repr(readings)
    assert next(readings) == {"auc": [(0.0, 0.5)]}
