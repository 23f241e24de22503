"""What a later run has decided is left alone, and what was removed is not put back."""

from __future__ import annotations

from typing import Any

import pytest

from sagespec.apply.newest import By, Newest
from sagespec.events import Caller
from sagespec.plan import Plan
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.state.desired import Desired
from tests.fakes.clock import START
from tests.fakes.specs import desired_from
from tests.place import Place

PRUNE = Options(prune=True, allow_empty=True)


class Runs:
    """Several runs on one store; each registers specs as a pass does."""

    def __init__(self, place: Place) -> None:
        self.place, self.world = place, place.world()

    def registered(self, newest: Newest, *documents: dict[str, Any], options: Options | None = None) -> Desired:
        desired, observed = self.place.look(self.world, *documents)
        caller, by = Caller(self.place.events.append), By("another", START)
        kept, _ = newest.register(desired, observed, self.world.records, caller, options or Options(), by=by)
        return kept

    def pruned(self, *documents: dict[str, Any], options: Options = PRUNE) -> Plan:
        newest = Newest(yields=True)
        self.registered(newest, *documents, options=options)
        desired, observed = self.place.look(self.world, *documents)
        plan = reconcile(desired, observed, START, options)
        newest.remove(plan, desired, self.world.records, options, by=By("a prune", START))
        return plan


@pytest.fixture
def runs(place: Place) -> Runs:
    return Runs(place)


@pytest.mark.parametrize("yields", [True, False])
def test_what_was_removed_is_left_alone_until_somebody_wants_it_anew(runs: Runs, place: Place, yields: bool) -> None:
    specs = [place.job(1), place.job(2), place.endpoint(only="model@1")]
    waiting = Newest(yields=yields)
    assert runs.registered(waiting, *specs) == desired_from(*specs)
    runs.pruned(place.job(2))
    assert runs.registered(waiting, *specs) == desired_from(place.job(2))
    told = sorted(f"{event.about} {event.text}" for event in place.events)
    assert told == [
        "endpoint/answers was removed by a prune meanwhile; this run leaves it alone",
        "job/model@1 was removed by a prune meanwhile; this run leaves it alone",
    ]
    runs.registered(Newest(yields=True), *specs)
    assert runs.registered(waiting, *specs) == desired_from(*specs)


def test_what_another_run_had_applied_already_is_not_put_back_either(runs: Runs, place: Place) -> None:
    specs, edited = ([place.job(1), place.endpoint(**{name: "model@1"})] for name in ("only", "other"))
    watching, waiting = Newest(yields=False), Newest(yields=True)
    runs.registered(watching, *specs)
    runs.registered(Newest(yields=True), *edited)
    waiting.begin(runs.world.records.applied())
    watching.kept(desired_from(*edited), runs.world.records.applied(), Options())  # it looks, and nothing is due
    runs.pruned()
    watching.begin(runs.world.records.applied())  # its first pass comes after many looks
    for newest in (watching, waiting):
        assert runs.registered(newest, *edited).endpoints == ()


def test_an_edited_spec_is_wanted_anew(runs: Runs, place: Place) -> None:
    waiting = Newest(yields=True)
    runs.registered(waiting, place.job(1), place.endpoint(only="model@1"))
    runs.pruned(place.job(1))
    edited = [place.job(1), place.endpoint(other="model@1")]
    assert runs.registered(waiting, *edited) == desired_from(*edited)


def test_a_prune_that_is_refused_removes_nothing(runs: Runs, place: Place) -> None:
    place.converge(place.job(1), place.endpoint(only="model@1"))
    specs = [place.job(1), place.endpoint(only="model@1")]
    waiting = Newest(yields=True)
    runs.registered(waiting, *specs)
    assert runs.pruned(options=Options(prune=True)).refused
    assert [e.name for e in runs.registered(waiting, *specs).endpoints] == ["answers"]


def test_a_prune_leaves_alone_what_was_applied_after_it_but_for_who_never_yields(runs: Runs, place: Place) -> None:
    pruning, watching = Newest(yields=True), Newest(yields=False)
    for newest in (pruning, watching):
        desired = runs.registered(newest, place.job(1), options=PRUNE)
        newest.remove(Plan(), desired, runs.world.records, PRUNE, by=By("a prune", START))
    runs.registered(Newest(yields=True), place.job(1), place.job(2), place.endpoint(only="model@1"))
    applied = runs.world.records.applied()
    assert pruning.kept(desired, applied, PRUNE)[1].spared == {"endpoint/answers", "job/model@2"}
    assert pruning.kept(desired, applied, Options())[1] == Options()
    assert watching.kept(desired, applied, PRUNE)[1] == PRUNE


def test_a_spec_that_comes_back_is_wanted_by_who_pruned_it(runs: Runs, place: Place) -> None:
    watching, both = Newest(yields=False), [place.job(1), place.endpoint(only="model@1")]
    for documents in (both, both[:1]):
        desired = runs.registered(watching, *documents, options=PRUNE)
        watching.remove(Plan(), desired, runs.world.records, PRUNE, by=By("a watch", START))
    assert runs.registered(watching, *both, options=PRUNE) == desired_from(*both)


def test_that_nothing_is_pruned_for_now_is_told_once(runs: Runs, place: Place) -> None:
    waiting, specs = Newest(yields=True), [place.job(1), place.endpoint(only="model@1")]
    runs.registered(waiting, *specs, options=PRUNE)
    runs.pruned(place.job(1))
    for _ in range(2):
        runs.registered(waiting, *specs, options=PRUNE)
    told = [event.text for event in place.events if "prunes nothing" in event.text]
    assert told == ["this run prunes nothing while it leaves something alone that its specs name"]


def test_a_later_spec_counts_but_for_who_never_yields(runs: Runs, place: Place) -> None:
    earlier, later = ([place.job(1), place.endpoint(**{name: "model@1"})] for name in ("only", "other"))
    waiting, watching = Newest(yields=True), Newest(yields=False)
    for newest in (waiting, watching):
        runs.registered(newest, *earlier)
    runs.registered(Newest(yields=True), *later)
    assert runs.registered(waiting, *earlier).endpoints == ()
    assert runs.registered(watching, *earlier) == desired_from(*earlier)


def test_a_job_that_trains_is_followed_whatever_spec_of_it_is_newer(runs: Runs, place: Place) -> None:
    waiting = Newest(yields=True)
    runs.registered(waiting, place.job(1))
    runs.registered(Newest(yields=True), place.job(1, hyperparameters={"depth": 3}))
    assert runs.registered(waiting, place.job(1)) == desired_from(place.job(1))


def test_trained_jobs_are_not_recorded(runs: Runs, place: Place) -> None:
    place.converge(place.job(1))
    runs.registered(Newest(yields=True), place.job(1))
    assert runs.world.records.applied().jobs == {}
