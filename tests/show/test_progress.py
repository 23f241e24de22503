"""Progress: on a terminal, in a pipe, as JSON, inside GitHub Actions."""

from __future__ import annotations

import io
import json
import re

from sagespec.causes import Cause, Reason
from sagespec.events import Event, EventKind, Report
from sagespec.plan import Plan, RunJob, SetRoutes
from sagespec.show.progress import reporting
from sagespec.state.addresses import endpoint_address, job_address
from tests.show.screens import RUNNING, a_screen, out


def test_in_github_a_log_gives_no_commands() -> None:
    screen = a_screen(github=True)
    with reporting(screen) as report:
        report(Event(EventKind.LOG, "job/a@1", "::error::x"))
        report(Event(EventKind.LOG, "job/a@1", "##[add-path]x"))
        report(Event(EventKind.FAILED, "job/a@1", "its last lines:\n    ::add-mask::x", action="run-job"))
    lines = out(screen).splitlines()
    assert lines[0] == "::group::logs of jobs"
    assert lines[3] == "::endgroup::"
    others = [line for line in lines if line not in ("::group::logs of jobs", "::endgroup::")]
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in others)


def a_run(report: Report) -> None:
    report(Event(EventKind.RUNTIME, text="runtime process"))
    train = RunJob(about=job_address("a", 1), cause=Cause(Reason.NEW), job=None)  # type: ignore[arg-type]
    route = SetRoutes(about=endpoint_address("a"), cause=Cause(Reason.FOLLOWS), route=None)
    report(Event(EventKind.PLANNED, plan=Plan((train, route))))
    report(Event(EventKind.STARTED, "job/a@1", "not trained yet", action="run-job"))
    for done in range(0, 1001, 10):
        report(Event(EventKind.PROGRESS, "job/a@1", "reading", "run-job", None, done, 1000, "bytes"))
    report(Event(EventKind.LOG, "job/a@1", "epoch 1", action="run-job"))
    report(Event(EventKind.FINISHED, "job/a@1", action="run-job", done=1.5))
    report(Event(EventKind.FAILED, "endpoint/a", "no\n  fix  yes", action="set-routes", done=0.1))


def test_plain_progress_is_one_line_an_event_and_seldom() -> None:
    screen = a_screen()
    with reporting(screen) as report:
        a_run(report)
    lines = out(screen).splitlines()
    assert lines[:2] == ["runtime process", "plan     1 to train, 1 to route"]
    assert lines[2] == "start    run-job     job/a@1     not trained yet"
    assert 9 <= sum("reading" in line for line in lines) <= 12
    assert lines[-5:] == [
        "job/a@1 | epoch 1",
        "done     run-job     job/a@1     1.5 s",
        "failed   set-routes  endpoint/a",
        "         no",
        "           fix  yes",
    ]
    assert "\x1b" not in out(screen)


def test_a_plan_counts_the_jobs_that_other_runs_follow() -> None:
    screen = a_screen()
    with reporting(screen) as report:
        route = SetRoutes(about=endpoint_address("a"), cause=Cause(Reason.FOLLOWS), route=None)
        report(Event(EventKind.PLANNED, plan=Plan((route,), running=(RUNNING,))))
    assert out(screen) == "plan     1 to route; 1 running elsewhere\n"


def test_json_progress_is_one_object_a_line_with_its_time() -> None:
    screen = a_screen(format="json")
    with reporting(screen) as report:
        a_run(report)
    events = [json.loads(line) for line in out(screen).splitlines()]
    assert {event["event"] for event in events} >= {"runtime", "planned", "started", "progress", "log", "finished"}
    assert all("at" in event for event in events)


def test_live_progress_leaves_what_ended_and_clears_what_moved() -> None:
    screen = a_screen(live=True, width=80)
    with reporting(screen) as report:
        a_run(report)
        report(Event(EventKind.STARTED, "endpoint/a", "first traffic", action="set-routes"))
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out(screen))
    assert "✓ run-job     job/a@1        1.5 s  not trained yet" in text
    assert "job/a@1 | epoch 1" in text
    assert "\x1b[?25h" in out(screen)  # the cursor is back


def test_what_is_skipped_takes_one_line() -> None:
    screen = a_screen()
    with reporting(screen) as report:
        reason = "it waits for start-instance endpoint/a/x#0 sagespec_p_endpoint_a_x_0_abc"
        waits_for = "start-instance endpoint/a/x#0"
        report(Event(EventKind.SKIPPED, "endpoint/a", reason, action="set-routes", waits_for=waits_for))
    assert out(screen) == "skipped  set-routes  endpoint/a  it waits for start-instance endpoint/a/x#0\n"


class _Gone(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_goes_away_does_not_end_the_work() -> None:
    done = []
    with reporting(a_screen(out=_Gone())) as report:
        a_run(report)
        done.append(True)
    assert done


def test_a_run_that_lasts_tells_the_time_of_each_line() -> None:
    screen = a_screen()
    with reporting(screen, timed=True) as report:
        a_run(report)
    first, *_, last_but_one, last = out(screen).splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  runtime process", first)
    assert last_but_one.endswith(" no")
    assert last == " " * 34 + "  fix  yes"
