"""What is written: for terminals, pipes, programs and pull requests, from values made by hand."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from sagespec.converge import Converged
from sagespec.errors import Origin, Problem
from sagespec.events import Event, EventKind, Outcome, Report, Result
from sagespec.plan import Action, Cause, Change, Plan, Reason, RemoveInstance, RunJob, SetRoutes, StartGateway
from sagespec.runtimes.protocol import Check
from sagespec.show.ending import write_converged
from sagespec.show.history import write_history
from sagespec.show.lists import write_checks
from sagespec.show.markdown import MARKDOWN_LIMIT
from sagespec.show.plan import write_plan
from sagespec.show.problems import write_bug, write_problems
from sagespec.show.progress import reporting
from sagespec.show.screen import Screen, clean, hanging
from sagespec.show.status import ENDPOINT_TONES, JOB_TONES, write_status
from sagespec.show.verbs import VERBS
from sagespec.state.addresses import GATEWAY, Address, endpoint_address, job_address
from sagespec.state.manifest import Attempt, Git, JobStatus, Manifest
from sagespec.state.revision import EndpointRecord, Revision, RevisionStatus
from sagespec.verbs.history import Recorded
from sagespec.verbs.states import EndpointState, EndpointWord, JobState, JobWord, Status, VariantState

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHURN = endpoint_address("churn")


def a_screen(**settings: Any) -> Screen:
    return replace(Screen(out=io.StringIO(), err=io.StringIO()), **settings)


def out(screen: Screen) -> str:
    assert isinstance(screen.out, io.StringIO)
    return screen.out.getvalue()


def err(screen: Screen) -> str:
    assert isinstance(screen.err, io.StringIO)
    return screen.err.getvalue()


def routes(*changes: Change, about: Address = CHURN, note: str = "") -> SetRoutes:
    return SetRoutes(about=about, cause=Cause(Reason.CHANGED, changes, note), route=None)


WEIGHT = Change("weight of candidate", "10", "30")
REFUSED = Problem(
    "hyperparameters.num_round is 200, but version 3 was trained with 100",
    about="job/churn@3",
    why="a version is immutable",
    fix="set version: 4",
    where=Origin("specs/churn.yaml", 7, 29),
)
PLAN = Plan(
    actions=(
        StartGateway(about=GATEWAY, cause=Cause(Reason.NEW)),
        routes(WEIGHT),
        RemoveInstance(
            about=Address.parse("endpoint/churn/stable#0"), container="c", cause=Cause(Reason.FOLLOWS, note="left")
        ),
    ),
    unchanged=(job_address("churn", 2),),
    refused=(REFUSED,),
    notes=("endpoint/old is live but in no spec: --prune removes it",),
)


# -- plans -----------------------------------------------------------------------------------------


def test_every_action_has_a_tone_and_a_word() -> None:
    assert {kind.verb for kind in get_args(Action)} == VERBS.keys()


def test_a_plan_lists_actions_with_causes_then_refusals_then_counts() -> None:
    screen = a_screen()
    write_plan(screen, PLAN, runtime="runtime process: as requested")
    assert (
        out(screen)
        == """\
runtime process: as requested

  start-gateway    gateway                  new
  set-routes       endpoint/churn           weight of candidate 10 -> 30
  remove-instance  endpoint/churn/stable#0  left

refused  specs/churn.yaml:7:29  job/churn@3: hyperparameters.num_round is 200, but version 3 was trained with 100
  why  a version is immutable
  fix  set version: 4

note  endpoint/old is live but in no spec: --prune removes it

1 to start, 1 to route, 1 to remove; 1 unchanged; 1 refused
"""
    )


def test_an_empty_plan_says_so() -> None:
    screen = a_screen()
    write_plan(screen, Plan(unchanged=(CHURN,)), runtime="runtime process")
    assert out(screen).endswith("nothing to do; 1 unchanged\n")


def test_a_plan_as_json_is_one_document_with_counts() -> None:
    screen = a_screen(format="json")
    write_plan(screen, PLAN, runtime="runtime process")
    document = json.loads(out(screen))
    assert document["counts"] == {
        "train": 0, "start": 1, "route": 1, "record": 0, "remove": 1, "unchanged": 1, "refused": 1,
    }  # fmt: skip
    assert [action["action"] for action in document["actions"]] == ["start-gateway", "set-routes", "remove-instance"]
    assert document["refused"][0]["line"] == 7


def test_colours_are_there_only_when_wanted() -> None:
    plain, coloured = a_screen(), a_screen(colour=True)
    for screen in (plain, coloured):
        write_plan(screen, PLAN, runtime="runtime process")
    assert "\x1b" not in out(plain)
    assert "\x1b[33mset-routes" in out(coloured)
    assert re.sub(r"\x1b\[\d*m", "", out(coloured)) == out(plain)


def test_a_narrow_terminal_wraps_causes_under_themselves() -> None:
    screen = a_screen(width=60)
    plan = Plan(actions=(routes(Change("model of stable", "churn@1", "churn@2"), WEIGHT),))
    write_plan(screen, plan, runtime="runtime process")
    rows = out(screen).splitlines()[2:5]
    assert rows[0].startswith("  set-routes  endpoint/churn  model of stable")
    assert rows[1].startswith(" " * 30)
    assert max(map(len, rows)) <= 60


def test_markdown_begins_with_counts_and_folds_the_actions() -> None:
    screen = a_screen(format="markdown")
    write_plan(screen, PLAN, runtime="runtime process")
    text = out(screen)
    assert text.startswith("### sagespec plan: 1 to start, 1 to route, 1 to remove; 1 unchanged; 1 refused\n")
    assert "| `endpoint/churn` | 1 to route, 1 to remove | `weight of candidate 10 -> 30` |" in text
    assert "<details><summary>every action, in order</summary>" in text


def test_markdown_of_a_huge_plan_is_shortened_and_says_so() -> None:
    note = "x" * 200
    actions = tuple(routes(WEIGHT, about=endpoint_address(f"e{number}"), note=note) for number in range(3000))
    refused = tuple(replace(REFUSED, about=f"job/churn@{number}", why=note) for number in range(1, 3000))
    screen = a_screen(format="markdown")
    write_plan(
        screen,
        Plan(actions, tuple(job_address("j", n) for n in range(1, 3000)), refused, (note,) * 3000),
        runtime="",
    )
    assert len(out(screen)) < MARKDOWN_LIMIT
    assert out(screen).count(" more ") == 5


def test_words_of_a_spec_do_nothing_in_markdown() -> None:
    screen = a_screen(format="markdown")
    change = Change("environment.NAME", "", "a|b</details>@here `x`\n~~~~")
    write_plan(screen, Plan(actions=(routes(change),)), runtime="")
    rows = [line for line in out(screen).splitlines() if line.startswith("| `endpoint/churn`")]
    assert rows == [r"| `endpoint/churn` | 1 to route | `environment.NAME a\|b</details>@here 'x'`<br>`~~~~` |"]
    assert [line for line in out(screen).splitlines() if line.startswith("~~~~")] == ["~~~~text", "~~~~"]


# -- what containers print -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        (" 10 %\r 50 %\r100 %\r", "100 %"),
        ("tab\tstays", "tab\tstays"),
        ("bell\x07 and \x9b31m", "bell and 31m"),
    ],
)
def test_control_characters_are_taken_out(printed: str, shown: str) -> None:
    assert clean(printed) == shown


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


# -- problems --------------------------------------------------------------------------------------


def test_problems_name_place_thing_reason_and_way_out_on_standard_error() -> None:
    screen = a_screen()
    write_problems(screen, [REFUSED, Problem("the disk is full", fix="make room")])
    assert out(screen) == ""
    assert (
        err(screen)
        == """\
specs/churn.yaml:7:29  job/churn@3: hyperparameters.num_round is 200, but version 3 was trained with 100
  why  a version is immutable
  fix  set version: 4
the disk is full
  fix  make room

2 problems
"""
    )


def test_problems_as_json_go_to_standard_output() -> None:
    screen = a_screen(format="json")
    write_problems(screen, [REFUSED])
    assert json.loads(out(screen)) == {"error": [REFUSED.as_json()]}
    assert err(screen) == ""


def test_places_are_told_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "specs").mkdir()
    monkeypatch.chdir(tmp_path / "specs")
    screen = a_screen(root=tmp_path)
    write_problems(screen, [REFUSED])
    assert err(screen).startswith("churn.yaml:7:29 ")


def test_github_gets_annotations_with_its_characters_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    screen = a_screen(github=True, format="json", root=tmp_path / "demo")
    write_problems(screen, [Problem("100 % wrong:\n, really", about="job/a@1", where=Origin("specs/a,b.yaml", 2, 3))])
    assert err(screen) == ("::error file=demo/specs/a%2Cb.yaml,line=2,col=3,title=job/a@1::100 %25 wrong:%0A, really\n")


def test_a_bug_says_where_to_report_it() -> None:
    screen = a_screen()
    try:
        raise KeyError("x")
    except KeyError as error:
        write_bug(screen, error, debug=False)
    assert re.match(r"a bug in sagespec: KeyError: 'x' at test_show\.py:\d+\n", err(screen))
    assert "/issues" in err(screen)
    assert "Traceback" not in err(screen)


# -- progress --------------------------------------------------------------------------------------


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


def test_an_ascii_terminal_gets_plainer_signs() -> None:
    screen = a_screen(unicode=False)
    write_checks(screen, [Check("a", True, "b…"), Check("c", False, "d", "e")])
    assert out(screen).isascii()
    assert out(screen).startswith("+  a  b...\nx  c  d\n      fix  e\n")


# -- ends ------------------------------------------------------------------------------------------

RUN = Outcome("run-job job/a@1", "job/a@1", "run-job", Result.DONE, seconds=1.0)
URLS = {"churn": "http://127.0.0.1:8080/endpoints/churn/invocations"}


def ending(converged: Converged, **settings: Any) -> str:
    screen = a_screen(**settings)
    write_converged(screen, converged, 1.5, urls=URLS)
    return out(screen)


def test_a_good_end_says_what_was_done_and_where_the_endpoints_are() -> None:
    assert (
        ending(Converged(Plan(), (RUN,)))
        == f"\neverything is up to date (1 done in 1.5 s)\n\nendpoint/churn  {URLS['churn']}\n"
    )
    assert "nothing to do: everything is up to date" in ending(Converged(Plan()))
    assert "sagespec invoke churn" in ending(Converged(Plan(), (RUN,)), live=True)


def test_a_bad_end_says_what_failed_once() -> None:
    failed = replace(RUN, result=Result.FAILED, reason="it broke\n  fix  mend it")
    text = ending(Converged(Plan(), (failed,)))
    assert "failed  job/a@1: it broke\n" in text
    assert "not up to date: 1 failed (1 failed in 1.5 s)" in text
    refused = Plan(refused=(Problem("failed: it broke", about="job/a@1"),))
    assert ending(Converged(refused, (failed,))).count("it broke") == 1


def test_a_bad_end_names_the_addresses_of_those_endpoints_alone_that_are_as_specified() -> None:
    skipped = replace(RUN, about="endpoint/churn/stable#0", result=Result.SKIPPED, reason="it waits")
    assert URLS["churn"] not in ending(Converged(Plan(), (replace(RUN, result=Result.FAILED), skipped)))
    assert URLS["churn"] not in ending(Converged(Plan(), (replace(RUN, about="gateway", result=Result.FAILED),)))
    assert URLS["churn"] not in ending(Converged(Plan(refused=(Problem("it waits", about="endpoint/churn"),))))
    other = replace(RUN, about="endpoint/churn-2/stable", result=Result.FAILED)
    assert URLS["churn"] in ending(Converged(Plan(), (other,)))


def test_a_stopped_run_says_how_to_go_on() -> None:
    plan = Plan(actions=(routes(WEIGHT),))
    said = ending(Converged(plan, (RUN,), True))
    assert "stopped (1 done in 1.5 s); 1 left to do: `sagespec apply` continues" in said


def test_the_last_json_line_is_the_result() -> None:
    result = json.loads(ending(Converged(Plan(), (RUN,)), format="json"))
    assert result["event"] == "result"
    assert result["ok"] is True
    assert result["endpoints"] == [{"address": "endpoint/churn", "url": URLS["churn"]}]


# -- status and history ----------------------------------------------------------------------------

STATUS = Status(
    jobs=(JobState(job_address("churn", 3), JobWord.TRAINED, "", {"auc": 0.94028, "b": 1, "c": 2, "d": 3}, 83.0, NOW),),
    endpoints=(
        EndpointState(
            CHURN,
            EndpointWord.PENDING,
            URLS["churn"],
            4,
            (
                VariantState("stable", "churn@2", 0.9, 0.9, 2, 2, 1790, 0, 0.97, 4.81),
                VariantState("candidate", "churn@3", 0.1, 0.0, 1, 0),
            ),
        ),
    ),
    gateway="http://127.0.0.1:8080",
    runtime="docker",
    store="file:///s",
)


def test_status_shows_asked_beside_live() -> None:
    screen = a_screen()
    write_status(screen, STATUS)
    assert (
        out(screen)
        == """\
runtime docker; store file:///s; gateway http://127.0.0.1:8080

JOB          STATE    TOOK        METRICS
job/churn@3  trained  1 min 23 s  auc 0.94028, b 1, c 2, … 1 more

endpoint/churn  pending  revision 4  http://127.0.0.1:8080/endpoints/churn/invocations
  VARIANT    MODEL    WEIGHT            HEALTHY  REQUESTS  ERRORS  P50      P99
  stable     churn@2  90 %              2/2      1,790     0       0.97 ms  4.81 ms
  candidate  churn@3  0 % (asked 10 %)  0/1      0         0       -        -
"""
    )


def test_status_as_json() -> None:
    screen = a_screen(format="json")
    write_status(screen, STATUS)
    document = json.loads(out(screen))
    assert document["jobs"][0]["address"] == "job/churn@3"
    assert document["endpoints"][0]["variants"][1]["share_asked"] == 0.1


def a_revision(number: int, status: RevisionStatus, weight: float, **fields: Any) -> Revision:
    variant = {
        "name": "stable",
        "model": {"text": "churn@1", "identity": "x", "job": "job/churn@1", "uri": ""},
        "program": {"builtin": "xgboost", "image": ""},
        "weight": weight,
        "instances": 1,
        "environment": {"TOKEN": "hunter2"},
        "cpus": None,
        "memory": None,
    }
    rollout = {"replace": "changed"}
    asked = EndpointRecord.model_validate({"variants": [variant], "rollout": rollout, "protect": False})
    return Revision(
        endpoint="churn", number=number, hash=str(number), status=status, asked=asked, started_at=NOW, **fields
    )


def test_history_derives_superseded_and_what_changed() -> None:
    git = Git(commit="5b2f01c99", dirty=True)
    revisions = (
        a_revision(1, RevisionStatus.LIVE, 100, git=git),
        a_revision(2, RevisionStatus.ROLLED_BACK, 50, reason="too many errors"),
        a_revision(3, RevisionStatus.LIVE, 100),
    )
    screen = a_screen(format="json")
    write_history(screen, Recorded({CHURN: revisions}, ()))
    rows = json.loads(out(screen))["endpoints"][0]["revisions"]
    assert [(row["status"], row["changes"]) for row in rows] == [
        ("superseded", ["first"]),
        ("rolled_back", ["weight of stable 100 -> 50"]),
        ("live", ["weight of stable 50 -> 100"]),
    ]
    text = a_screen()
    write_history(text, Recorded({CHURN: revisions}, ()))
    assert "5b2f01c+" in out(text)
    assert "weight of stable 100 -> 50; too many errors" in out(text)
    assert "hunter" not in out(text) + out(screen)


def test_a_removed_endpoint_has_nothing_live() -> None:
    screen = a_screen(format="json")
    revisions = (a_revision(1, RevisionStatus.LIVE, 1), a_revision(2, RevisionStatus.REMOVED, 1))
    write_history(screen, Recorded({CHURN: revisions}, ()))
    rows = json.loads(out(screen))["endpoints"][0]["revisions"]
    assert [row["status"] for row in rows] == ["superseded", "removed"]


def test_a_jobs_history_tells_how_its_earlier_attempts_ended() -> None:
    first = Attempt(number=1, started_at=NOW, ended_at=NOW, seconds=20.8, reason="InternalServerError: killed")
    last = Attempt(number=2, started_at=NOW, ended_at=NOW, seconds=3)
    screen = a_screen()
    manifest = Manifest(
        project="acme",
        name="churn",
        version=3,
        key="1-a",
        key_fields={},
        spec={},
        status=JobStatus.COMPLETED,
        started_at=NOW,
        ended_at=NOW,
        attempts=(first, last),
    )
    write_history(screen, Recorded({}, (manifest,)))
    assert "  attempt 1        21 s, InternalServerError: killed\n" in out(screen)
    assert "attempt 2" not in out(screen)


# -- the screen ------------------------------------------------------------------------------------


@contextmanager
def _a_terminal(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> Iterator[None]:
    class Stream(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return is_terminal

    monkeypatch.setattr("sys.stdout", Stream())
    monkeypatch.setattr("sys.stderr", Stream())
    yield


@pytest.mark.parametrize(
    ("environment", "is_terminal", "colour", "live"),
    [
        ({}, True, True, True),
        ({}, False, False, False),
        ({"CI": "true"}, True, False, False),
        ({"CI": "false"}, True, True, True),
        ({"TERM": "dumb"}, True, False, False),
        ({"NO_COLOR": "1"}, True, False, True),
        ({"FORCE_COLOR": "1"}, False, True, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False, False),
    ],
)
def test_colours_and_moving_lines_are_for_terminals(
    environment: dict[str, str], is_terminal: bool, colour: bool, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _a_terminal(monkeypatch, is_terminal=is_terminal):
        screen = Screen.here("text", environment)
    assert (screen.colour, screen.live) == (colour, live)


def test_long_texts_hang() -> None:
    assert hanging("one two three four five six seven", 4, 30, indent=2) == "one two three four five\n  six seven"
    assert hanging("as it is\nsecond", 4, None) == "as it is\n    second"


def test_every_state_has_a_tone() -> None:
    assert JOB_TONES.keys() == set(JobWord)
    assert ENDPOINT_TONES.keys() == set(EndpointWord)
