"""Which changes a commit makes, and which of them wait for somebody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sagespec.reconcile.approval import changes_of, why_it_waits
from sagespec.reconcile.options import Options
from sagespec.spec.approve import Approve, ChangeClass
from sagespec.state.source import Approval, Held, HeldReason
from sagespec.verbs.approving import digest_of
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld
from tests.reconcile.happenings import begin, followed, gone

NOW = datetime(2026, 12, 1, tzinfo=UTC)
COMMIT = "c" * 40


def job(version: int) -> dict[str, Any]:
    return {"kind": "TrainingJob", "name": "churn", "version": version}


def variant(name: str, model: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "model": model, **more}


def endpoint(*variants: dict[str, Any], name: str = "churn", **more: Any) -> dict[str, Any]:
    return {"kind": "Endpoint", "name": name, "variants": list(variants), **more}


ONE = variant("one", "churn@1", weight=90)
TWO = variant("two", "churn@2", weight=10)
BEFORE = [job(1), job(2), endpoint(ONE, TWO)]


@pytest.fixture(scope="module")
def world() -> SimulatedWorld:
    found = SimulatedWorld()
    found.settle(desired_from(*BEFORE))
    return found


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        (BEFORE, {}),
        ([job(1), job(2), endpoint({**ONE, "weight": 40}, TWO)], {"route": ["endpoint/churn"]}),
        ([job(1), job(2), endpoint(ONE, TWO, split={"key": "header x-user"})], {"route": ["endpoint/churn"]}),
        ([job(1), job(2), endpoint(ONE, TWO, limits={"concurrency": 4})], {"route": ["endpoint/churn"]}),
        ([job(1), job(2), endpoint({**ONE, "instances": 2}, TWO)], {"scale": ["endpoint/churn"]}),
        ([job(1), job(2), endpoint({**ONE, "model": "churn@2"}, TWO)], {"replace": ["endpoint/churn"]}),
        ([job(1), job(2), endpoint({**ONE, "environment": {"A": "1"}}, TWO)], {"replace": ["endpoint/churn"]}),
        ([job(1), job(2), endpoint(ONE, TWO, variant("three", "churn@1"))], {"replace": ["endpoint/churn"]}),
        ([job(1), job(2), endpoint(ONE)], {"remove": ["endpoint/churn"]}),
        ([job(1), job(2)], {"remove": ["endpoint/churn"]}),
        ([*BEFORE, job(3)], {"train": ["job/churn@3"]}),
        ([*BEFORE, {**job(3), "imported_from": "model.tar.gz"}], {"train": ["job/churn@3"]}),
        ([*BEFORE, endpoint(ONE, name="other")], {"replace": ["endpoint/other"]}),
        (
            [job(1), job(2), job(3), endpoint({**ONE, "model": "churn@3", "weight": 50}, TWO)],
            {"route": ["endpoint/churn"], "replace": ["endpoint/churn"], "train": ["job/churn@3"]},
        ),
        ([job(1), job(2), endpoint(ONE, TWO, rollout={"drain_within": "5s"})], {}),  # nothing live changes
    ],
)
def test_what_changes_is_of_its_kind(world: SimulatedWorld, documents: list[Any], expected: dict[str, Any]) -> None:
    after = desired_from(*documents, manifests=world.manifests)
    observed, options = world.observed(), Options(prune=True, allow_empty=True)
    found = changes_of(world.plan(after, options), after, observed)
    assert {kind.value: list(abouts) for kind, abouts in found.items()} == dict(sorted(expected.items()))


def test_a_repair_is_no_change() -> None:
    world = SimulatedWorld()
    world.settle(desired_from(*BEFORE))
    gone(world, "endpoint/churn/one#0")
    after = desired_from(*BEFORE, manifests=world.manifests)
    plan = world.plan(after)
    assert plan.actions
    assert changes_of(plan, after, world.observed()) == {}


def test_what_changes_once_a_job_has_ended_elsewhere_asks_now() -> None:
    """Once the commit is in force, nobody is asked again."""

    def asked(model: str, **more: Any) -> tuple[dict[str, list[str]], str]:
        world = SimulatedWorld()
        world.settle(desired_from(*BEFORE))
        begin(world, desired_from(job(3)))
        followed(world, "job/churn@3")
        documents = [*BEFORE[:2], job(3), endpoint({**ONE, "model": model, **more}, TWO)]
        after = desired_from(*documents, manifests=world.manifests)
        plan, observed = world.plan(after), world.observed()
        assert not plan.of_specs().actions
        found = changes_of(plan, after, observed)
        kinds = {kind.value: list(abouts) for kind, abouts in found.items()}
        return kinds, digest_of(plan, after, observed)

    assert asked("churn@1") == ({}, asked("churn@1")[1])
    kinds, digest = asked("churn@3")
    assert kinds == {"replace": ["endpoint/churn"]}
    assert asked("churn@3") == (kinds, digest)
    assert asked("churn@3", environment={"A": "1"})[1] != digest, "another plan comes of it"


def test_what_a_gate_holds_up_asks_now() -> None:
    world, jobs, gate = SimulatedWorld(), [job(1), job(2)], {"gate": {"metric": "auc", "min": 0.9}}
    world.settle(desired_from(*jobs, endpoint(ONE)))
    documents = [*jobs, endpoint({**ONE, "model": "churn@2"}, rollout=gate)]
    after = desired_from(*documents, manifests=world.manifests)
    plan, observed = world.plan(after), world.observed()
    assert plan.refused
    assert not plan.of_specs().actions
    assert {kind.value for kind in changes_of(plan, after, observed)} == {"replace"}


@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        ({}, ""),
        ({"ask": ["train"]}, "train"),
        ({"auto": ["route", "scale"]}, "remove replace train"),
        ({"auto": ["route", "scale", "replace"], "ask": ["train"]}, "remove train"),
        ({"auto": []}, "remove replace route scale train"),
    ],
)
def test_what_is_in_neither_list_asks_only_where_auto_is_given(settings: dict[str, Any], asks: str) -> None:
    assert " ".join(sorted(Approve.model_validate(settings).asks)) == asks


CHANGES = {ChangeClass.ROUTE: ("endpoint/churn",), ChangeClass.TRAIN: ("job/churn@3", "job/churn@4")}


def waits(asks: set[ChangeClass], approved: str = "", before: Held | None = None) -> Held | None:
    approval = Approval(digest=approved, by="ada", at=NOW) if approved else None
    return why_it_waits(CHANGES, asks, "d" * 64, commit=COMMIT, approved=approval, before=before, now=NOW)


def test_a_commit_waits_as_a_whole_and_says_for_what() -> None:
    held = waits({ChangeClass.TRAIN, ChangeClass.REMOVE})
    assert held
    assert (held.reason, held.commit, held.digest) == (HeldReason.APPROVAL, COMMIT, "d" * 64)
    assert held.text == "cccccccccccc waits for approval: train job/churn@3, job/churn@4"
    assert held.fix.endswith("sagespec source approve dddddddddddd")
    earlier = held.model_copy(update={"since": datetime(2026, 11, 1, tzinfo=UTC)})
    again = waits({ChangeClass.TRAIN}, before=earlier)
    assert again
    assert again.since == earlier.since


def test_what_asks_nobody_and_what_was_approved_does_not_wait() -> None:
    assert waits({ChangeClass.REMOVE}) is None
    assert waits({ChangeClass.TRAIN}, approved="d" * 64) is None
    assert waits({ChangeClass.TRAIN}, approved="e" * 64), "another plan was approved"
