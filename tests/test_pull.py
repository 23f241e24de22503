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
from sagespec.state.source import Acceptance, AttemptResult, Held, HeldReason
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


@pytest.mark.parametrize("seed", range(4))
def test_a_walk_ends_at_the_head_or_says_why_not(seed: int) -> None:
    """A thousand steps and more in all: pushes, rewritten histories, deletions, outages, kills before or after any
    effect."""
    with new_place() as place:
        walk = Walk(prepared(place), seed)
        for _ in range(300):
            walk.step()
            walk.check()
        walk.finish()
        held, record = walk.record.held, walk.record
        assert held is None or held.text
        ends = SourceRecords(FakeStore(place.objects), PROJECT).ends(1000)
        applied = [end.commit for end in ends if end.result is AttemptResult.APPLIED]
        assert record.applied is None or applied[0] == record.applied.commit
        assert all(walk.branch.commits[commit].is_signed for commit in applied)
        assert walk.begun > 10, "it was killed often"


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


def accept(followed: Followed) -> None:
    """Somebody wants what the branch has."""
    assert followed.branch.head
    acceptance = Acceptance(commit=followed.branch.head.id, by="ada", at=time_of(followed.place).now())
    followed.records.change(lambda record: record.model_copy(update={"accepted": acceptance}))


def rewrite(followed: Followed) -> None:
    followed.branch.head = followed.branch.commit(None)


def rewrite_and_accept(followed: Followed) -> None:
    rewrite(followed)
    accept(followed)


def delete(followed: Followed) -> None:
    followed.branch.head = None


def leave_out(followed: Followed) -> None:
    followed.push(has_extra=True)
    followed.settle()
    followed.push()


HAPPENINGS: dict[str, tuple[Callable[[Followed], object], int]] = {  # each with how many effects follow, at least
    "a push": (lambda followed: followed.push(has_extra=True), 30),
    "an endpoint that is left out": (leave_out, 20),
    "wrong specs": (lambda followed: followed.push(is_wrong=True), 4),
    "a commit that nobody signed": (lambda followed: followed.push(is_signed=False), 2),
    "a rewritten history": (rewrite, 2),
    "a rewritten history that is accepted": (rewrite_and_accept, 8),
    "a branch that is gone": (delete, 1),
}


def outcome_of(followed: Followed) -> tuple[Any, ...]:
    """What a person would see: of the branch, of its history, and of what serves."""
    record = followed.records.read()
    held, attempted, applied = record.held, record.attempted, record.applied
    launches = (container.launch for container in followed.place.engine.all.values())
    return (
        record.working,
        applied and applied.commit,
        held and (held.reason, held.commit),
        attempted and (attempted.commit, attempted.result),
        [(end.commit, end.result) for end in followed.records.ends()],
        sorted(launch.address.name for launch in launches if launch.address.kind == "endpoint"),
        followed.weight,
    )


def come_to_rest(place: Place, follower: Follower) -> None:
    """Until nothing is changed any more, or it is killed."""
    quiet = 0
    for _ in range(40):
        count = len(follower.faults.calls)
        follower.step()
        if not follower.is_alive:
            return
        quiet = quiet + 1 if len(follower.faults.calls) <= count + 1 else 0  # each look asks to fetch
        if quiet == 2:
            return
        time_of(place).advance(5)
    raise AssertionError(f"it does not come to rest: {follower.faults.calls[-20:]}")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", HAPPENINGS)
def test_killed_at_any_effect_the_next_process_comes_to_the_same(what: str, when: str) -> None:
    """Before each effect and after each, so that what is written between two of them is in both states."""
    happen, fewest = HAPPENINGS[what]
    with new_place() as place:
        followed = Followed(place)
        happen(followed)
        come_to_rest(place, followed.follower)
        expected = outcome_of(followed)
    number, is_killed = 0, True
    while is_killed:
        number += 1
        with new_place() as place:
            followed = Followed(place)
            happen(followed)
            faults = followed.follower.faults
            setattr(faults, f"kill_{when}", len(faults.calls) + number)
            come_to_rest(place, followed.follower)
            if is_killed := not followed.follower.is_alive:
                followed.follower = Follower(place, followed.branch, "second")
                come_to_rest(place, followed.follower)
            assert outcome_of(followed) == expected, f"killed {when} effect {number}: {faults.calls[-1]}"
    assert number > fewest


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
