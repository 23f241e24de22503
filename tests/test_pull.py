"""A branch that is followed, whatever happens to it and to whoever follows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.reconcile.approval import why_it_waits
from sagespec.records.sources import SourceRecords
from sagespec.spec.approve import ChangeClass
from sagespec.state.source import AttemptResult, Held, HeldReason
from sagespec.stores.protocol import StoreAway
from sagespec.verbs.approving import approve
from tests.branches import Branch, Commit, Follower, Walk
from tests.fakes import SERVES, TRAINS, FakeStore
from tests.fakes.specs import PROJECT
from tests.place import Place
from tests.processes import ask_for_rollback, stepped_place, time_of
from tests.test_histories import new_place


def prepared(place: Place) -> Place:
    stepped_place(place)
    place.engine.behave("job/model@1", replace(TRAINS, lasts=10.0))
    place.engine.behave("endpoint/answers", replace(SERVES, healthy_after=3.0))
    place.engine.behave("endpoint/extra", replace(SERVES, healthy_after=3.0))
    return place


@pytest.mark.parametrize("seed", range(10))
def test_a_walk_ends_at_the_head_or_says_why_not(seed: int) -> None:
    """A hundred steps each: pushes, rewritten histories, deletions, outages, kills at any effect."""
    with new_place() as place:
        walk = Walk(prepared(place), seed)
        for _ in range(100):
            walk.step()
            walk.check()
        walk.finish()
        held, record = walk.record.held, walk.record
        assert held is None or held.text
        ends = SourceRecords(FakeStore(place.objects), PROJECT).ends(1000)
        applied = [end.commit for end in ends if end.result is AttemptResult.APPLIED]
        assert record.applied is None or applied[0] == record.applied.commit
        assert all(walk.branch.commits[commit].is_signed for commit in applied)


def settle(place: Place, follower: Follower, is_done: Callable[[], bool]) -> None:
    for _ in range(60):
        follower.step()
        if not follower.is_alive or is_done():
            return
        time_of(place).advance(5)
    raise AssertionError(f"{follower.pull.record}\n{follower.process.run.plan.text()}")


class Followed:
    """A branch with a commit that is applied, and whoever follows it."""

    def __init__(self, place: Place) -> None:
        self.place, self.branch = prepared(place), Branch()
        self.branch.head = self.first = self.branch.commit(None)
        self.follower = Follower(place, self.branch, "watch")
        self.records = SourceRecords(FakeStore(place.objects), PROJECT)
        self.settle()

    @property
    def is_applied(self) -> bool:
        applied, head = self.records.read().applied, self.branch.head
        return applied is not None and head is not None and applied.commit == head.id

    def settle(self) -> None:
        settle(self.place, self.follower, lambda: self.is_applied)

    def push(self, **more: Any) -> Commit:
        self.branch.head = made = self.branch.commit(self.branch.head, **more)
        return made

    @property
    def weight(self) -> float:
        """What the gateway sends to."""
        world = self.follower.process.world
        (target,) = world.gateway.observe(world.runtime.containers()).routes["answers"].targets
        return target.weight


@pytest.fixture
def followed() -> Iterator[Followed]:
    with new_place() as place:
        yield Followed(place)


def test_a_newer_commit_does_not_wait_for_what_the_one_before_has_begun(followed: Followed) -> None:
    """R10: a job of hours, and a weight that is live in the next pass."""
    followed.place.engine.behave("job/model@2", replace(TRAINS, lasts=5 * 3600.0))
    second = followed.push(trains=True)
    for _ in range(6):
        followed.follower.step()
        time_of(followed.place).advance(5)
    assert followed.records.read().working == second.id
    assert not followed.is_applied, "it is not, before its job has ended"
    third = followed.push(trains=True)
    followed.follower.step()
    assert followed.weight == third.weight
    assert followed.place.engine.starts["job/model@2#0"] == 1, "the job goes on"
    time_of(followed.place).advance(5 * 3600)
    followed.settle()
    ends = [(end.commit, end.result) for end in reversed(followed.records.ends())]
    assert ends[1:] == [(second.id, AttemptResult.SUPERSEDED), (third.id, AttemptResult.APPLIED)]
    assert followed.place.engine.starts["job/model@2#0"] == 1


def test_what_was_approved_is_so_once(followed: Followed) -> None:
    """The same plan may come of a later commit: a weight that goes back, and comes again."""

    def gate(commit: str, _root: Path) -> Held | None:
        record, now = followed.records.read(), time_of(followed.place).now()
        changes = {ChangeClass.ROUTE: ("endpoint/answers",)}
        asks = changes if followed.branch.commits[commit].weight == 30 else {}
        return why_it_waits(
            changes, asks, "d" * 64, commit=commit, approved=record.approved, before=record.held, now=now
        )

    followed.follower.pull.gate = gate
    for weight in (30.0, 60.0, 30.0):
        pushed = followed.push(weight=weight)
        followed.follower.step()
        held = followed.records.read().held
        assert (held.commit if held else "") == (pushed.id if weight == 30 else ""), "nobody has approved this one"
        if held:
            approve(followed.records, held.digest[:12])
        followed.settle()
        assert followed.weight == weight


def test_a_roll_back_holds_whatever_commit_comes_until_its_endpoint_changes(followed: Followed) -> None:
    """R9."""
    second = followed.push()
    followed.settle()
    assert ask_for_rollback(followed.place, second.documents(followed.place))
    for _ in range(4):
        followed.follower.step()
        time_of(followed.place).advance(5)
    assert followed.weight == followed.first.weight
    followed.push(weight=second.weight, has_extra=True)
    for _ in range(10):
        followed.follower.step()
        time_of(followed.place).advance(5)
    assert followed.weight == followed.first.weight, "the commit says nothing new of that endpoint"
    fourth = followed.push(has_extra=True)
    followed.settle()
    assert followed.weight == fourth.weight


def test_a_signer_who_leaves_tears_nothing_down(followed: Followed) -> None:
    """R7: the file of signers is another one, and the applied commit is not by one of them."""
    before = set(followed.place.engine.all)
    followed.branch.signers, followed.branch.revoked = "sha256:2", {followed.first.id}
    followed.follower.step()
    held = followed.records.read().held
    assert held is not None
    assert (held.reason, held.commit) == (HeldReason.UNVERIFIED, followed.first.id)
    assert set(followed.place.engine.all) == before
    (victim,) = (name for name in before if "answers" in name)
    followed.place.world().runtime.remove(victim)
    followed.follower.step()
    assert victim in followed.place.engine.all, "what serves is repaired all the same"
    followed.branch.revoked = set()
    followed.branch.signers = "sha256:3"
    followed.follower.step()
    applied = followed.records.read().applied
    assert followed.records.read().held is None
    assert applied is not None
    assert applied.signers == "sha256:3"


def test_an_outage_is_told_once_and_repairs_go_on(followed: Followed) -> None:
    """R2."""
    followed.branch.is_away = True
    pauses = [followed.follower.pull.look() for _ in range(8)]
    assert pauses == [60, 120, 240, 480, 600, 600, 600, 600]
    told = [event.text for event in followed.follower.events if "does not answer" in event.text]
    assert len(told) == 1
    (victim,) = (name for name in followed.place.engine.all if "answers" in name)
    followed.place.world().runtime.remove(victim)
    followed.follower.step()
    assert victim in followed.place.engine.all
    restarted = Follower(followed.place, followed.branch, "another")
    restarted.step()
    assert restarted.pull.target is not None, "a process that starts now finds what was in force"


def test_what_is_in_force_is_kept_up_by_a_process_that_starts_where_signers_cannot_be_read(followed: Followed) -> None:
    restarted = Follower(followed.place, followed.branch, "another")

    def unreadable() -> str:
        raise WorldError("the signers cannot be read")

    assert restarted.pull.verifier is not None
    followed.place.engine.all.clear()
    restarted.pull.verifier.fingerprint = unreadable  # type: ignore[method-assign]
    restarted.step()
    assert str(restarted.pull.problem) == "the signers cannot be read"
    assert any("answers" in name for name in followed.place.engine.all), "what serves is repaired"
    followed.push()
    restarted.step()
    assert not followed.is_applied, "and nothing new is taken"


def test_a_store_that_is_away_changes_nothing_and_the_next_look_goes_on(followed: Followed) -> None:
    second = followed.push()
    followed.follower.faults.fail = lambda text: StoreAway("away") if text.startswith("store ") else None
    followed.follower.pull.look()
    assert followed.follower.pull.target is not None
    assert followed.follower.pull.target.commit == followed.first.id
    followed.follower.faults.fail = lambda _text: None
    followed.settle()
    assert followed.records.read().working == second.id


def test_a_kill_before_any_effect_of_a_new_commit_loses_nothing() -> None:
    """From the look at it to the line of history: the next process ends what the first has begun, once."""
    number = 1
    while True:
        with new_place() as place:
            prepared(place)
            branch = Branch()
            branch.head = first = branch.commit(None)
            follower = Follower(place, branch, "first")
            records = SourceRecords(FakeStore(place.objects), PROJECT)

            def applied() -> str:
                found = records.read().applied  # noqa: B023
                return found.commit if found else ""

            settle(place, follower, lambda: applied() == first.id)  # noqa: B023
            branch.head = second = branch.commit(first, has_extra=True)
            follower.faults.kill_before = len(follower.faults.calls) + number
            settle(place, follower, lambda: applied() == second.id)  # noqa: B023
            is_killed = not follower.is_alive
            if is_killed:
                settle(place, Follower(place, branch, "second"), lambda: applied() == second.id)  # noqa: B023
            assert [(end.commit, end.result) for end in records.ends()] == [
                (second.id, AttemptResult.APPLIED),
                (first.id, AttemptResult.APPLIED),
            ], f"killed before effect {number}"
            assert records.read().working == second.id
        if not is_killed:
            break
        number += 1
    assert number > 15, "so many effects there are: a fetch, a tree, three records, and all that is applied"


def test_the_end_of_a_commit_does_not_undo_what_a_look_has_taken_meanwhile(followed: Followed) -> None:
    """Passes and looks have a thread each."""
    pull, second = followed.follower.pull, followed.push(weight=2.0)
    pull.look()
    third, add_end = followed.push(weight=3.0), pull._add_end

    def look_first(*given: Any) -> None:
        pull._add_end = add_end  # type: ignore[method-assign]
        pull.look()
        add_end(*given)

    pull._add_end = look_first  # type: ignore[method-assign, assignment]
    pull.ended(second.id, AttemptResult.APPLIED)
    record = followed.records.read()
    assert record.attempted is not None
    assert (record.working, record.attempted.commit) == (third.id, third.id)
    followed.settle()
    assert followed.is_applied
