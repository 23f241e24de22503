"""One message a change of state, at most one an hour of one thing, and none twice because a loop was started again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from sagespec.causes import Cause, Reason
from sagespec.errors import Problem
from sagespec.notify.conditions import Condition, Key, conditions, repairs
from sagespec.notify.notices import Notice, Notices
from sagespec.ongoing import Suspended
from sagespec.plan import Plan, SetRoutes
from sagespec.spec.notify import Notify, Topic
from sagespec.state.addresses import endpoint_address
from sagespec.state.source import Attempt, AttemptResult, Held, HeldReason, SourceRecord
from sagespec.state.suspension import Suspension

AT = datetime(2026, 12, 1, 12, tzinfo=UTC)
KEY = Key(Topic.FAILED, "job/churn@3", "exit code 1")
FAILED = {KEY: Condition("exit code 1", "see its log")}
DRIFT = Key(Topic.DRIFT, "endpoint/churn")


class Told:
    """A day, by minutes."""

    def __init__(self) -> None:
        self.notices = Notices()

    def at(self, minutes: float, found: dict[Key, Condition]) -> list[tuple[str, int]]:
        return said(self.notices.see(found, AT + timedelta(minutes=minutes)))

    def repaired(self, minutes: float) -> list[tuple[str, int]]:
        found = self.notices.happened(DRIFT, Condition("is repaired"), AT + timedelta(minutes=minutes))
        return said(found)

    def started_again(self) -> None:
        self.notices = Notices.from_json(json.loads(json.dumps(self.notices.as_json())))


def said(notices: list[Notice]) -> list[tuple[str, int]]:
    return [(notice.topic.value, notice.times) for notice in notices]


def test_it_is_told_when_it_begins_and_when_it_is_over_with_how_long_it_lasted() -> None:
    told = Told()
    assert told.at(0, FAILED) == [("failed", 1)]
    assert told.at(1, FAILED) == []
    (over,) = told.notices.see({}, AT + timedelta(minutes=43))
    assert (over.topic, over.was, over.about) == (Topic.RECOVERED, Topic.FAILED, "job/churn@3")
    assert over.lasted == timedelta(minutes=43)
    assert told.at(44, {}) == []


def test_what_lasts_for_days_is_told_once() -> None:
    told = Told()
    assert sum(len(told.at(minutes, FAILED)) for minutes in range(0, 5 * 24 * 60, 7)) == 1


def test_what_flaps_is_told_once_an_hour_with_how_often() -> None:
    told = Told()
    found = [one for minutes in range(180) for one in told.at(minutes, FAILED if minutes % 2 == 0 else {})]
    begun = [times for topic, times in found if topic == "failed"]
    assert begun == [1, 30, 30], "30 times in an hour"
    assert [topic for topic, _ in found].count("recovered") == 3


def test_another_reason_is_another_message() -> None:
    told = Told()
    told.at(0, FAILED)
    other = {KEY._replace(what="exit code 2"): Condition("exit code 2")}
    assert told.at(1, other) == [("failed", 1), ("recovered", 1)]


def test_a_loop_that_is_started_again_says_nothing_twice_and_still_tells_the_end() -> None:
    told = Told()
    told.at(0, FAILED)
    told.started_again()
    assert told.at(1, FAILED) == []
    told.started_again()
    assert told.at(2, {}) == [("recovered", 1)]


@pytest.mark.parametrize("damaged", [None, {}, [{}], [{"topic": "x", "about": "y", "what": "z"}], "text", [1]])
def test_a_damaged_file_is_no_reason_to_fall_silent(damaged: object) -> None:
    assert said(Notices.from_json(damaged).see(FAILED, AT)) == [("failed", 1)]


def test_repairs_are_counted_and_told_once_an_hour() -> None:
    told = Told()
    found = [told.repaired(minutes) for minutes in (0, 10, 20, 30, 61)]
    assert found == [[("drift", 1)], [], [], [], [("drift", 4)]]


def test_what_is_over_for_a_week_is_forgotten() -> None:
    told = Told()
    told.at(0, FAILED)
    told.at(1, {})
    told.at(8 * 24 * 60, {})
    assert told.notices.seen == {}


# -- what is so


def test_what_a_pass_leaves_is_sorted_by_what_people_want_to_hear() -> None:
    one = Suspension(about="project", reason="moving", by="ada", at=AT)
    plan = Plan(
        refused=(
            Problem("exit code 1\nlast line", about="job/churn@3", fix="see its log"),
            Problem("is held by its gate: variant one, rmse 0.4 is above 0.3", about="endpoint/churn"),
        ),
        held=(Problem("was rolled back", about="endpoint/other"),),
        suspended=(Suspended(one),),
    )
    held = Held(reason=HeldReason.UNVERIFIED, commit="c" * 40, since=AT, text="nobody signed it", fix="sign it")
    wrong = Attempt(commit="d" * 40, at=AT, result=AttemptResult.WRONG, reason="specs/a.yaml:1:1 bad")
    found = conditions(plan, SourceRecord(held=held, attempted=wrong))
    assert [(key.topic.value, key.about, condition.text) for key, condition in found.items()] == [
        ("failed", "job/churn@3", "exit code 1"),
        ("gate_failed", "endpoint/churn", "is held by its gate: variant one, rmse 0.4 is above 0.3"),
        ("rolled_back", "endpoint/other", "was rolled back"),
        ("suspended", "project", one.text),
        ("held", "source", "nobody signed it"),
        ("failed", "source", "the specs of dddddddddddd are wrong: specs/a.yaml:1:1 bad"),
    ]
    assert conditions(Plan()) == {}


def test_what_flaps_is_told_when_it_begins_and_when_it_is_over() -> None:
    notices = Notices()
    for minutes, text in ((0, "5 times"), (1, "5 times"), (9, "6 times"), (40, "")):
        found = conditions(Plan(), flapping={"endpoint/churn": text} if text else {})
        told = [(one.topic.value, one.about, one.text) for one in notices.see(found, AT + timedelta(minutes=minutes))]
        over = ("recovered", "endpoint/churn", "6 times: that is over")
        assert told == {0: [("flapping", "endpoint/churn", "5 times")], 40: [over]}.get(minutes, [])


def test_what_flaps_may_be_a_route_that_somebody_else_changes() -> None:
    (found,) = conditions(Plan(), flapping={"endpoint/churn": "5 times"}).values()
    assert found.fix.startswith("`sagespec drift` shows what is repaired")


def test_only_what_repairs_is_a_repair() -> None:
    about = endpoint_address("churn")
    for reason in Reason:
        plan = Plan((SetRoutes(about=about, cause=Cause(reason, note="the route was changed"), route=None),))
        expected = {"endpoint/churn": "endpoint/churn: the route was changed"} if reason is Reason.DRIFT else {}
        assert repairs(plan) == expected


def test_everything_is_told_where_nothing_is_chosen() -> None:
    assert set(Notify.model_validate({"url": {"secret": "slack"}}).on) == {topic.value for topic in Topic}
