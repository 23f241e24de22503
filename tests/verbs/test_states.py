"""The rows of status: the word of each job and endpoint, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sagespec.reconcile.options import Options
from sagespec.state.addresses import Address, endpoint_address, job_address
from sagespec.state.observed import ContainerState
from sagespec.verbs.endpoint_states import endpoint_states
from sagespec.verbs.states import (
    EndpointState,
    EndpointWord,
    JobState,
    JobWord,
    RunState,
    hyperparameters_of,
    job_state,
)
from tests.fakes import others
from tests.fakes.clock import START
from tests.fakes.specs import PROJECT, desired_from
from tests.fakes.world import SimulatedWorld
from tests.reconcile.happenings import begin, gone, manifest_lost, rolled_back

JOB = {"kind": "TrainingJob", "name": "churn", "version": 1}
NEXT = JOB | {"version": 2}
ADDRESS = job_address("churn", 1)


def serving(model: str = "churn@1", instances: int = 1, weight: int = 1) -> dict[str, Any]:
    variants = [{"name": "stable", "model": model, "instances": instances, "weight": weight}]
    return {"kind": "Endpoint", "name": "churn", "variants": variants}


def settled(*documents: dict[str, Any]) -> SimulatedWorld:
    world = SimulatedWorld()
    world.settle(desired_from(*documents))
    return world


def followed(world: SimulatedWorld, version: int = 1) -> None:
    others.follow(world.records.store, job_address("churn", version), others.ada(world.clock.now()))


def job_of(world: SimulatedWorld, *documents: dict[str, Any]) -> JobState:
    desired = desired_from(*documents, manifests=world.manifests)
    return job_state(desired.jobs[-1].address, world.observed(), world.plan(desired))


def endpoint_of(world: SimulatedWorld, *documents: dict[str, Any]) -> EndpointState:
    desired = desired_from(*documents, manifests=world.manifests)
    (state,) = endpoint_states(desired, world.observed(), world.plan(desired), {}, "http://g")
    return state


def begun(*documents: dict[str, Any]) -> SimulatedWorld:
    world = SimulatedWorld()
    begin(world, desired_from(*documents))
    return world


def end(world: SimulatedWorld) -> None:
    for container in world.engine.all.values():
        world.engine.end(container, 0)


# -- jobs


def test_a_job_that_nobody_has_begun_waits() -> None:
    assert (job_of(SimulatedWorld(), JOB).state, job_of(SimulatedWorld(), JOB).detail) == ("waiting", "not trained yet")


def test_a_job_whose_image_or_data_are_fetched_is_being_prepared() -> None:
    world = SimulatedWorld()
    followed(world)
    row = job_of(world, JOB)
    assert row.state is JobWord.PREPARING
    assert row.detail == "no container of it is running yet"
    assert row.as_json()["followed_by"].startswith("sagespec watch of ada on build-7 (pid 4711")
    assert row.as_json()["since"] == START.isoformat()


def test_a_running_job_names_its_follower_or_that_it_has_none() -> None:
    world = begun(JOB)
    assert job_of(world, JOB).state is JobWord.RUNNING
    assert job_of(world, JOB).detail == "followed by nobody: `sagespec apply` picks it up"
    followed(world)
    row = job_of(world, JOB)
    assert (row.state, row.detail, row.follower and row.follower.who) == (
        "running",
        "",
        "sagespec watch of ada on build-7",
    )
    assert row.started_at is not None
    assert row.ended_at is None


def test_a_job_whose_containers_have_ended_says_so_until_its_results_are_stored() -> None:
    world = begun(JOB)
    end(world)
    assert job_of(world, JOB).state is JobWord.ENDED
    assert job_of(world, JOB).detail == "its results are not stored yet: `sagespec apply` stores them"
    followed(world)
    assert (job_of(world, JOB).state, job_of(world, JOB).detail) == (JobWord.ENDED, "its results are being stored")


def test_a_job_that_was_edited_while_it_ran_says_so() -> None:
    world, edited = begun(JOB), JOB | {"hyperparameters": {"num_round": 9}}
    row = job_of(world, edited)
    assert row.state is JobWord.RUNNING
    assert row.detail == "followed by nobody: its spec has changed since it was started"
    end(world)
    assert job_of(world, edited).state is JobWord.REFUSED


def test_containers_that_were_never_started_run_nowhere() -> None:
    world = begun(JOB)
    for container in world.engine.all.values():
        container.state = ContainerState.CREATED
    followed(world)
    assert job_of(world, JOB).state is JobWord.PREPARING


def test_a_job_that_is_tried_again_in_another_run_has_not_failed_yet() -> None:
    world = SimulatedWorld()
    world.fail_job(ADDRESS)
    world.settle(desired_from(JOB))
    assert job_of(world, JOB).state is JobWord.FAILED
    others.follow(
        world.records.store,
        ADDRESS,
        others.ada(world.clock.now()).model_copy(update={"taken_at": world.clock.now() + timedelta(seconds=1)}),
    )
    assert job_of(world, JOB).state is JobWord.PREPARING


def test_a_trained_job_shows_the_hyperparameters_that_it_was_trained_with_and_no_secrets() -> None:
    first, edited = (JOB | {"hyperparameters": {"eta": eta, "hub_token": "hf_x"}} for eta in (0.1, 0.2))
    world, desired = settled(first), desired_from(edited)
    assert hyperparameters_of(desired.jobs[0], None) == {"eta": "0.2"}
    assert hyperparameters_of(desired.jobs[0], world.manifests[ADDRESS]) == {"eta": "0.1"}


def test_an_endpoint_that_was_removed_names_its_newest_revision() -> None:
    world = settled(JOB, serving())
    world.settle(desired_from(JOB, manifests=world.manifests), Options(prune=True))
    state = endpoint_of(world, JOB, serving())
    assert (state.state, state.revision, state.newest_revision) == (EndpointWord.WAITING, None, 2)


def test_a_follower_that_clears_up_after_the_end_is_not_told() -> None:
    world = settled(JOB)
    followed(world)  # since the START, so before the end
    row = job_of(world, JOB)
    assert (row.state, row.follower) == (JobWord.TRAINED, None)


def test_a_job_that_was_asked_to_stop_says_so_while_it_runs() -> None:
    world = begun(JOB)
    followed(world)
    world.records.store.write("acme/active/stops/churn/1.json", b"{}")
    assert job_of(world, JOB).detail == "asked to stop"


# -- endpoints


def test_an_edited_spec_is_pending_and_misses_nothing() -> None:
    world = settled(JOB, serving(instances=2))
    assert endpoint_of(world, JOB, serving(instances=2)).state is EndpointWord.SERVING
    assert endpoint_of(world, JOB, serving(instances=5)).state is EndpointWord.PENDING
    assert endpoint_of(world, JOB, serving(instances=1)).state is EndpointWord.PENDING
    other = serving() | {"variants": [{"name": "other", "model": "churn@1"}]}
    assert endpoint_of(world, JOB, other).state is EndpointWord.PENDING


def test_an_instance_that_is_gone_degrades_an_endpoint_whose_spec_was_edited_or_not() -> None:
    world = settled(JOB, serving(instances=2))
    gone(world, "endpoint/churn/stable#0")
    assert endpoint_of(world, JOB, serving(instances=2)).state is EndpointWord.DEGRADED
    assert endpoint_of(world, JOB, serving(instances=5)).state is EndpointWord.DEGRADED
    assert endpoint_of(world, JOB, serving(instances=1)).state is EndpointWord.PENDING


def rows_of(world: SimulatedWorld, *documents: dict[str, Any]) -> list[tuple[str, str, str, float, str]]:
    """Each variant: its name, what serves, what is asked for, its share, and its healthy, live and asked instances."""
    return [
        (v.name, v.model, v.model_asked, v.share_live, f"{v.instances_healthy}/{v.instances_live}/{v.instances_asked}")
        for v in endpoint_of(world, *documents).variants
    ]


def test_an_edit_that_is_not_applied_stands_beside_what_serves() -> None:
    world = settled(JOB, serving())
    edited = serving("churn@2", instances=3)
    assert rows_of(world, JOB, NEXT, edited) == [("stable", "churn@1", "churn@2", 1.0, "1/1/3")]
    renamed = serving() | {"variants": [{"name": "other", "model": "churn@1"}]}
    assert rows_of(world, JOB, renamed) == [
        ("other", "", "churn@1", 0.0, "0/0/1"),
        ("stable", "churn@1", "", 1.0, "1/1/0"),
    ]


def test_a_spec_that_was_rolled_back_or_has_failed_stands_beside_what_serves() -> None:
    world = settled(JOB, NEXT, serving())
    world.settle(desired_from(JOB, NEXT, serving("churn@2")))
    rolled_back(world, "churn")
    world.settle(desired_from(JOB, NEXT, serving("churn@2")))
    serves = [("stable", "churn@1", "churn@2", 1.0, "1/1/1")]
    assert rows_of(world, JOB, NEXT, serving("churn@2")) == serves
    failing = serving("churn@2") | {"protect": True}  # another spec, which is tried
    world.turn_unhealthy("churn@2")
    world.settle(desired_from(JOB, NEXT, failing))
    row = endpoint_of(world, JOB, NEXT, failing)
    assert (row.state, rows_of(world, JOB, NEXT, failing)) == (EndpointWord.BLOCKED, serves)


def test_what_serves_is_known_though_no_record_of_it_is_left() -> None:
    world = settled(JOB, serving())
    world.records.store.delete(f"{PROJECT}/endpoints/churn/revisions/1.json")
    assert rows_of(world, JOB, serving()) == [("stable", "churn@1", "churn@1", 1.0, "1/0/1")]
    assert rows_of(world, JOB, NEXT, serving("churn@2")) == [("stable", "?", "churn@2", 1.0, "1/0/1")]


def test_a_model_that_was_trained_again_is_told() -> None:
    world = settled(JOB, serving())
    manifest_lost(world, str(ADDRESS))
    assert endpoint_of(world, JOB, serving()).detail == "model churn@1 is trained again"
    world.settle(desired_from(JOB))
    row = endpoint_of(world, JOB, serving())
    assert row.state is EndpointWord.PENDING
    assert row.detail.startswith("model churn@1 was trained again: ")


def test_an_endpoint_that_waits_for_a_job_of_another_run_says_so() -> None:
    world = settled(JOB, serving())
    followed(world, version=2)
    row = endpoint_of(world, JOB, NEXT, serving("churn@2"))
    assert row.state is EndpointWord.PENDING
    assert row.detail == "waits for job/churn@2, followed by sagespec watch of ada on build-7"


def test_an_endpoint_that_has_nothing_live_and_waits_says_so() -> None:
    world = SimulatedWorld()
    followed(world)
    row = endpoint_of(world, JOB, serving())
    assert (row.address, row.state) == (endpoint_address("churn"), EndpointWord.WAITING)
    assert row.detail == "waits for job/churn@1, followed by sagespec watch of ada on build-7"


# -- runs


def test_a_run_that_says_itself_that_it_should_have_looked_is_late() -> None:
    def run(seconds: float) -> RunState:
        looks_again_at = START + timedelta(seconds=seconds)
        return RunState("a", "a", 1, "watch", START, renewed_at=START, looks_again_at=looks_again_at)

    assert not run(30).is_late
    assert not run(-2).is_late
    assert run(-60).is_late


def test_an_instance_that_died_a_moment_ago_is_not_healthy_though_the_gateway_has_not_noticed() -> None:
    world = settled(JOB, serving(instances=2))
    probes = world.observed().gateway
    world.engine.end(world.container_at(Address.parse("endpoint/churn/stable#0")), 137)
    desired = desired_from(JOB, serving(instances=2), manifests=world.manifests)
    seen = replace(world.observed(), gateway=probes)
    assert all(probe.healthy for probe in probes.probes.values())
    (state,) = endpoint_states(desired, seen, world.plan(desired), {}, "http://g")
    assert state.variants[0].instances_healthy == 1
    assert (state.state, state.detail) == (EndpointWord.DEGRADED, "stable: 1 of 2 healthy")


def test_limits_and_what_waits_are_told() -> None:
    world = SimulatedWorld()
    limited = {**serving(), "limits": {"concurrency": 4, "queue": 100}}
    world.settle(desired_from(JOB, limited))
    state = endpoint_of(world, JOB, limited)
    assert state.detail == "each instance at most 4 at once, 100 more wait: 0 now"
    assert state.as_json()["limits"] == {"concurrency": 4, "queue": 100}
    assert state.as_json()["variants"][0]["waiting"] == 0
    unlimited = endpoint_of(world, JOB, serving())
    assert unlimited.as_json()["limits"] == {"concurrency": 4, "queue": 100}, "as the gateway has them"
