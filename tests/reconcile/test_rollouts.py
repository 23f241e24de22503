"""A rollout step by step in a simulated world: its shares, what takes it back, and what may happen in the middle."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from sagespec.plan import Plan, RecordRevision
from sagespec.reconcile.options import Options
from sagespec.state.desired import Desired
from sagespec.state.progress import AbortRequest, Progress, PromoteRequest
from sagespec.state.revision import Revision, RevisionStatus
from sagespec.state.rollout import Ending
from sagespec.verbs.rollback import rollback_targets
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld
from tests.reconcile.happenings import rollback_asked

JOBS = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2, 3)]
CANARY = {"strategy": "canary", "size": "10%", "wait": "1h", "bake": "2h"}


def specs(model: str, rollout: dict[str, Any] | None = None, *, instances: int = 2, **variant: Any) -> Desired:
    one = {"name": "main", "model": model, "instances": instances, **variant}
    endpoint = {"kind": "Endpoint", "name": "churn", "variants": [one], "rollout": rollout or {}}
    return desired_from(*JOBS, endpoint)


class Place:
    """A world in which churn@1 is live, and what is asked for next."""

    def __init__(self, rollout: dict[str, Any], *, model: str = "churn@2", instances: int = 2) -> None:
        self.world = SimulatedWorld()
        self.world.settle(specs("churn@1", rollout, instances=instances))
        self.old = self.names
        self.wanted = specs(model, rollout, instances=instances)

    def settle(self, options: Options | None = None) -> Plan:
        return self.world.settle(self.wanted, options, passes=30)

    def ask(self, requests: int = 100, **failing: int) -> Plan:
        """Requests, then passes. failing: model2=3: each third of churn@2 fails."""
        self.world.ask("churn", requests, {f"churn@{name[-1]}": every for name, every in failing.items()})
        return self.settle()

    def after(self, **time: float) -> Plan:
        self.world.clock.sleep(timedelta(**time).total_seconds())
        return self.settle()

    @property
    def names(self) -> set[str]:
        return {c.name for c in self.world.containers if c.address.kind == "endpoint"}

    @property
    def progress(self) -> Progress | None:
        return self.world.observed().rollout_of("churn")

    @property
    def revisions(self) -> tuple[Revision, ...]:
        return self.world.records.history("churn")

    @property
    def shares(self) -> dict[str, float]:
        """By model: its part of the traffic."""
        targets = [t for t in self.world.routes["churn"].targets if t.instances]
        total = sum(target.weight for target in targets)
        return {self.world.models[t.instances[0]]: round(t.weight / total, 6) for t in targets}


def test_a_canary_gets_its_share_then_everything_and_then_the_old_containers_go() -> None:
    place = Place(CANARY)
    plan = place.settle()
    assert place.shares == {"churn@1": 0.9, "churn@2": 0.1}
    assert place.names > place.old
    (rolling,) = plan.rolling
    assert (rolling.step, rolling.steps, rolling.share, rolling.number) == (1, 2, 0.1, 2)

    plan = place.ask(100)
    assert "100 % since" not in plan.rolling[0].text
    assert "10 requests, errors 0 % against 0 %" in plan.rolling[0].text
    assert place.shares == {"churn@1": 0.9, "churn@2": 0.1}

    plan = place.after(hours=1)
    assert place.shares == {"churn@1": 0.0, "churn@2": 1.0}
    assert place.names > place.old
    assert plan.rolling[0].step == 2

    plan = place.after(hours=2)
    assert place.shares == {"churn@2": 1.0}
    assert not place.names & place.old
    assert not plan.rolling
    assert not plan.actions
    assert [r.status for r in place.revisions] == [RevisionStatus.LIVE, RevisionStatus.LIVE]
    end = place.revisions[-1].rollout
    assert end
    assert end.ending is Ending.LIVE
    assert (end.step, end.steps, end.candidate.requests, end.live.requests) == (2, 2, 10, 90)
    assert not place.world.observed().rollouts


def test_a_linear_one_takes_equal_steps() -> None:
    place = Place({"strategy": "linear", "size": "30%", "wait": "1h", "bake": "1h"})
    place.settle()
    seen = []
    for _ in range(4):
        seen.append(place.shares["churn@2"])
        place.after(hours=1)
    assert seen == [0.3, 0.6, 0.9, 1.0]
    assert place.shares == {"churn@2": 1.0}


def test_a_first_deployment_goes_live_at_once() -> None:
    world = SimulatedWorld()
    plan = world.settle(specs("churn@1", CANARY))
    assert not plan.rolling
    assert [r.status for r in world.records.history("churn")] == [RevisionStatus.LIVE]


def test_a_scale_or_weight_goes_at_once() -> None:
    place = Place(CANARY)
    place.wanted = specs("churn@1", CANARY, instances=3)
    assert not place.settle().rolling
    assert len(place.names) == 3


def test_a_worse_candidate_is_taken_back_and_not_tried_again() -> None:
    place = Place(CANARY)
    place.settle()
    plan = place.ask(100, model2=1)
    assert place.shares == {"churn@1": 1.0}
    assert place.names == place.old
    (problem,) = plan.refused
    assert "taken back: errors 100.00 % (10 of 10) against 0.00 % (0 of 90): worse" in problem.what
    assert "step 1 of 2 (10 %)" in problem.what
    failed = place.revisions[-1]
    assert failed.status is RevisionStatus.FAILED
    assert failed.rollout
    assert failed.rollout.ending is Ending.TAKEN_BACK
    assert not place.after(days=1).rolling
    assert len(place.revisions) == 2
    place.world.settle(place.wanted, Options(retry=True), passes=30)
    assert place.shares == {"churn@1": 0.9, "churn@2": 0.1}


def test_equal_errors_take_nothing_back() -> None:
    place = Place(CANARY)
    place.settle()
    for _ in range(20):
        place.ask(200, model1=20, model2=20)
    assert place.shares == {"churn@1": 0.9, "churn@2": 0.1}


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"errors": "> 5%", "requests": 10}, "errors 10.00 % (1 of 10), more than 5 %"),
        ({"p99": "> 5ms", "requests": 10}, "p99 10 ms, more than 5 ms"),
        ({"p50": "> 5ms", "requests": 10}, "p50 10 ms, more than 5 ms"),
    ],
)
def test_a_bound_takes_it_back(rule: dict[str, Any], why: str) -> None:
    place = Place(CANARY | {"abort_when": [rule]})
    place.settle()
    place.world.clock.sleep(30)
    plan = place.ask(90, model2=10)
    assert place.shares == {"churn@1": 0.9, "churn@2": 0.1}  # 9 requests do not count yet
    place.world.clock.sleep(30)
    plan = place.ask(10, model2=10)
    assert why in plan.refused[0].what
    assert place.shares == {"churn@1": 1.0}


def test_a_slower_candidate_is_taken_back() -> None:
    place = Place(CANARY | {"abort_when": [{"p99": "worse"}]})
    place.settle()
    place.world.clock.sleep(30)
    place.ask(200)
    place.world.clock.sleep(30)
    targets = {place.world.models[t.instances[0]]: t for t in place.world.routes["churn"].targets}
    old, new = targets["churn@1"], targets["churn@2"]
    place.world.gateway.ask("churn", 200, lambda _t, _n: False)
    from sagespec.gateway.table import TargetKey

    totals = place.world.engine.totals
    slow = totals[TargetKey("churn", "main", new.hash)]
    slow.latencies[500.0] = slow.latencies.pop(10.0)  # type: ignore[attr-defined, index]
    assert old.weight > new.weight
    plan = place.settle()
    assert "worse" in plan.refused[0].what


def test_no_rules_take_nothing_back() -> None:
    place = Place(CANARY | {"abort_when": []})
    place.settle()
    place.ask(100, model2=1)
    assert place.shares == {"churn@1": 0.9, "churn@2": 0.1}


def test_no_requests_advance_and_are_said() -> None:
    place = Place(CANARY)
    assert "no requests seen" in place.settle().rolling[0].text
    place.after(hours=1)
    place.after(hours=2)
    end = place.revisions[-1].rollout
    assert end
    assert (end.ending, end.why) == (Ending.LIVE, "no requests seen")


def test_no_requests_hold_until_there_are_some() -> None:
    place = Place(CANARY | {"no_requests": "hold", "timeout": "1d"})
    place.settle()
    place.after(hours=2)
    assert place.shares == {"churn@1": 0.9, "churn@2": 0.1}
    place.ask(100)
    assert place.shares == {"churn@1": 0.0, "churn@2": 1.0}


def test_a_timeout_takes_it_back() -> None:
    place = Place(CANARY | {"no_requests": "hold", "timeout": "5h"})
    place.settle()
    plan = place.after(hours=6)
    assert "it took more than its timeout" in plan.refused[0].what
    assert place.shares == {"churn@1": 1.0}


def test_a_candidate_without_a_healthy_instance_is_taken_back() -> None:
    place = Place(CANARY)
    place.settle()
    place.world.turn_unhealthy("churn@2")
    place.settle()
    plan = place.after(minutes=1)
    assert "none of its instances was healthy" in plan.refused[0].what
    assert place.shares == {"churn@1": 1.0}


def test_a_candidate_is_not_to_blame_for_a_machine_that_was_started_again() -> None:
    place = Place(CANARY)
    place.settle()
    for model in ("churn@1", "churn@2"):
        place.world.turn_unhealthy(model)
    place.settle()
    plan = place.after(seconds=20)
    assert "did not answer /ping" in plan.refused[0].what, "in all the time that it has to start"


def test_a_candidate_that_never_gets_healthy_gets_nothing() -> None:
    place = Place(CANARY)
    place.world.unhealthy.add("churn@2")
    plan = place.settle()
    assert place.shares == {"churn@1": 1.0}
    assert "did not answer" in plan.refused[0].what
    assert place.names == place.old


def test_a_newer_commit_begins_at_the_first_step() -> None:
    place = Place(CANARY)
    place.settle()
    place.after(hours=1)
    place.wanted = specs("churn@3", CANARY)
    plan = place.settle()
    assert place.shares == {"churn@1": 0.9, "churn@3": 0.1}
    assert (plan.rolling[0].step, plan.rolling[0].number) == (1, 3)
    cancelled = place.revisions[-1]
    assert (cancelled.number, cancelled.status) == (2, RevisionStatus.ROLLED_BACK)
    assert cancelled.rollout
    assert cancelled.rollout.ending is Ending.CANCELLED
    assert "churn@2" not in {place.world.models[name] for name in place.names}


def test_a_revert_cancels_it() -> None:
    place = Place(CANARY)
    place.settle()
    place.wanted = specs("churn@1", CANARY)
    plan = place.settle()
    assert place.shares == {"churn@1": 1.0}
    assert place.names == place.old
    assert not plan.refused
    assert place.revisions[-1].rollout.ending is Ending.CANCELLED  # type: ignore[union-attr]
    place.wanted = specs("churn@2", CANARY)  # and may be tried again
    place.settle()
    assert place.shares == {"churn@1": 0.9, "churn@2": 0.1}


def test_a_removed_spec_is_pruned_with_both() -> None:
    place = Place(CANARY)
    place.settle()
    place.wanted = desired_from(*JOBS)
    place.settle(Options(prune=True))
    assert not place.names
    assert "churn" not in place.world.routes


def test_a_removed_spec_is_seen_to_its_end_where_nothing_is_pruned() -> None:
    place = Place(CANARY)
    place.settle()
    place.wanted = desired_from(*JOBS)
    (rolling,) = place.settle().rolling
    assert (rolling.step, rolling.has_spec) == (1, False)
    place.after(hours=1)
    assert place.shares == {"churn@1": 0.0, "churn@2": 1.0}
    place.after(hours=2)
    assert place.shares == {"churn@2": 1.0}
    assert not place.names & place.old


def test_a_removed_spec_takes_a_worse_candidate_back() -> None:
    place = Place(CANARY)
    place.settle()
    place.wanted = desired_from(*JOBS)
    place.ask(100, model2=1)
    assert place.shares == {"churn@1": 1.0}
    assert place.names == place.old
    assert place.revisions[-1].status is RevisionStatus.FAILED


def start_counting_again(place: Place) -> None:
    """As a gateway does that is killed and started again."""
    place.world.engine.totals.clear()
    place.world.engine.gateway_starts += 1


def test_a_gateway_that_is_killed_at_the_end_of_the_bake_leaves_no_step_unjudged() -> None:
    """What it had counted since the last look is lost: the next one is to see some of the step, too."""
    place = Place(CANARY)
    place.settle()
    place.ask(200)
    place.after(hours=1)
    place.world.ask("churn", 50, {"churn@2": 1})
    start_counting_again(place)
    place.world.clock.sleep(timedelta(hours=2).total_seconds())
    plan = place.world.plan(place.wanted)
    assert [action.verb for action in plan] == ["record-progress"], "not live yet"
    assert plan.rolling[0].ends_at == place.world.clock.now() + timedelta(seconds=10)
    place.world.carry_out(plan, set())
    place.ask(50, model2=1)
    assert place.shares == {"churn@1": 1.0}
    assert place.revisions[-1].status is RevisionStatus.FAILED


def test_once_the_new_gateway_has_seen_some_of_it_a_step_is_over_and_none_is_had_again() -> None:
    place = Place(CANARY)
    place.settle()
    start_counting_again(place)
    assert place.after(hours=1).rolling[0].step == 2
    assert not place.after(hours=2).rolling


def test_a_new_gateway_counts_from_zero_and_nothing_is_lost() -> None:
    place = Place(CANARY)
    place.settle()
    place.world.clock.sleep(30)
    place.ask(100)
    start_counting_again(place)
    place.world.clock.sleep(30)
    plan = place.ask(50)
    assert (plan.rolling[0].candidate.requests, plan.rolling[0].live.requests) == (15, 135)


def test_another_run_without_retry_leaves_a_retried_rollout_alone() -> None:
    place = Place(CANARY)
    place.settle()
    place.ask(100, model2=1)
    place.world.settle(place.wanted, Options(retry=True), passes=30)
    assert place.progress
    place.settle()
    assert place.progress
    assert place.shares == {"churn@1": 0.9, "churn@2": 0.1}


def test_nothing_is_rolled_back_to_what_was_cancelled() -> None:
    place = Place(CANARY)
    place.settle()
    place.wanted = specs("churn@3", {"strategy": "all_at_once"})
    place.settle()
    history = place.revisions
    assert [r.status for r in history] == [RevisionStatus.LIVE, RevisionStatus.ROLLED_BACK, RevisionStatus.LIVE]
    assert [r.number for r in rollback_targets(history, history[-1])] == [1]


def test_a_roll_back_in_the_middle_ends_it_first() -> None:
    place = Place({"strategy": "all_at_once"})
    place.settle()
    place.wanted = specs("churn@3", CANARY)
    place.settle()
    progress = place.progress
    assert progress
    rollback_asked(place.world, "churn")
    request = place.world.observed().rollbacks["churn"]
    place.world.records.write_rollback(request.model_copy(update={"instead_of": progress.hash}))
    plan = place.settle()
    assert place.shares == {"churn@1": 1.0}
    assert [r.status for r in place.revisions[1:]] == [
        RevisionStatus.ROLLED_BACK,  # taken back by the roll-back
        RevisionStatus.ROLLED_BACK,  # cancelled
        RevisionStatus.LIVE,
    ]
    assert plan.held


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ({"strategy": "canary", "size": "60%"}, "60% is out of range for canary"),
        ({"strategy": "linear", "size": "5%"}, "5% is out of range for linear"),
        ({"strategy": "canary", "size": {"instances": 2}}, "2 of 2 instances is more than half"),
        ({"strategy": "linear", "size": "50%", "wait": "10m", "bake": "5m", "timeout": "15m"}, "900 s together"),
        ({"wait": "1m"}, "does not go with all_at_once"),
        ({"strategy": "canary", "no_requests": "hold"}, "hold needs a timeout"),
        ({"strategy": "canary", "abort_when": [{"errors": "worse", "p99": "worse"}]}, "names errors and p99"),
        ({"strategy": "canary", "abort_when": [{"errors": "2%"}]}, "is no bound"),
        ({"strategy": "canary", "abort_when": [{"p99": "> 5"}]}, "is no bound"),
    ],
)
def test_what_does_not_fit_is_refused(text: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        specs("churn@1", text)


def test_a_spec_without_steps_keeps_its_record_and_its_hash() -> None:
    (plain,) = specs("churn@1").endpoints
    (written,) = specs("churn@1", {"strategy": "all_at_once"}).endpoints
    assert plain.record.as_json()["rollout"].keys() == {"healthy_within", "min_healthy", "drain_within", "replace"}
    assert plain.hash == written.hash


def test_somebody_promotes_it() -> None:
    place = Place(CANARY)
    place.settle()
    place.world.records.write_promotion(
        PromoteRequest(endpoint="churn", number=2, by="ada", at=place.world.clock.now(), reason="demo")
    )
    place.settle()
    assert place.shares == {"churn@2": 1.0}
    end = place.revisions[-1].rollout
    assert end
    assert (end.ending, end.why) == (Ending.PROMOTED, "promoted by ada: demo")
    assert not place.world.observed().promotions


def test_somebody_aborts_it() -> None:
    place = Place(CANARY)
    place.settle()
    place.world.records.write_abort(AbortRequest(endpoint="churn", number=2, by="ada", at=place.world.clock.now()))
    plan = place.settle()
    assert place.shares == {"churn@1": 1.0}
    assert "aborted by ada" in plan.refused[0].what
    assert place.revisions[-1].rollout.ending is Ending.ABORTED  # type: ignore[union-attr]
    assert not place.world.observed().aborts


@pytest.mark.parametrize(("instances", "size", "batch"), [(4, "25%", 1), (5, "50%", 2), (3, "5%", 1)])
def test_a_rolling_one_never_has_more_than_a_batch_too_many(instances: int, size: str, batch: int) -> None:
    place = Place({"strategy": "rolling", "size": size, "wait": "1h", "bake": "1h"}, instances=instances)
    most, least = 0, instances

    def look(_action: object) -> None:
        nonlocal most, least
        serving = [name for target in place.world.routes["churn"].targets for name in target.instances]
        most = max(most, len(place.names))
        least = min(least, sum(place.world.is_healthy(name) for name in serving))

    place.world.check = look
    place.settle()
    shares = []
    while place.progress:
        shares.append(place.shares["churn@2"])
        place.after(hours=1)
    assert (most, least) == (instances + batch, instances)
    assert shares == sorted(shares)
    assert place.shares == {"churn@2": 1.0}


def test_an_old_container_that_is_lost_is_replaced_in_the_middle() -> None:
    place = Place(CANARY)
    place.settle()
    place.world.runtime.remove(sorted(place.old)[0])
    place.settle()
    assert place.names > place.old
    assert place.shares == {"churn@1": 0.9, "churn@2": 0.1}


def test_a_take_back_begins_with_the_route() -> None:
    place = Place(CANARY)
    place.settle()
    place.world.ask("churn", 100, {"churn@2": 1})
    first, second = place.world.plan(place.wanted).actions
    assert (first.verb, first.after) == ("set-routes", ())
    assert isinstance(second, RecordRevision)


def test_all_at_once_with_a_bake_is_held_against_what_was_before() -> None:
    place = Place({"strategy": "all_at_once", "bake": "1h"})
    place.world.ask("churn", 1000, {})
    place.settle()
    assert place.shares["churn@2"] == 1.0
    place.ask(20, model2=2)
    assert place.shares["churn@1"] == 1.0
    assert "against 0.00 % (0 of 1,000) before: worse" in place.revisions[-1].reason


def test_all_at_once_with_equal_errors_is_not_taken_back() -> None:
    place = Place({"strategy": "all_at_once", "bake": "1h"})
    place.world.ask("churn", 2000, {"churn@1": 20})
    place.settle()
    for _ in range(50):
        place.ask(200, model2=20)
    assert place.shares["churn@2"] == 1.0


def test_many_steps_are_told_shortly() -> None:
    place = Place({"strategy": "linear", "size": "10%", "wait": "90s", "bake": "1h"})
    (note,) = place.world.plan(place.wanted).notes
    assert "gets 10 %, 20 %, 30 %, …, 90 % for 1m 30s each, then 100 % for 1h before" in note
    assert "1h 13m 30s in all" in note
