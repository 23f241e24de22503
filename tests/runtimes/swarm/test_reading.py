"""What a service and its tasks mean, as a manager tells them: made up here, as lists have them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from sagespec.runtimes.swarm.names import part_of
from sagespec.runtimes.swarm.reading import Service, has_watched, is_in_doubt
from sagespec.runtimes.swarm.services import Place, service_of, started, stopped
from sagespec.state.addresses import Address
from sagespec.state.launches import Launch
from sagespec.state.observed import Container, ContainerState, Exit
from sagespec.state.programs import Builtin

CREATED, RUNNING = ContainerState.CREATED, ContainerState.RUNNING
RESTARTING, EXITED = ContainerState.RESTARTING, ContainerState.EXITED
AT = datetime(2026, 12, 1, 12, 0, 9, tzinfo=UTC)


def spec_of(*, starts: int = 1, is_stopped: bool = False, **fields: Any) -> dict[str, Any]:
    launch = Launch(
        name="sagespec_acme_job_churn_v1_0_abc",
        address=Address("job", "churn", 1, instance=0),
        hash="1-abc",
        program=Builtin("echo"),
        command="train",
        **fields,
    )
    spec = service_of(
        launch,
        Place(node="n1" if part_of(launch) == "job" else ""),
        project_name="acme",
        name="ss-acme-0123456789abcdef",
        image="registry:5000/echo@sha256:1",
        made_from="registry:5000/echo:1",
        marks={},
        variables={},
    )
    if starts:
        started(spec, starts)
    if is_stopped:
        stopped(spec)
    return spec


def task(
    state: str,
    code: int | None = None,
    *,
    second: int = 1,
    start: int = 1,
    node: str = "n1",
    wanted: str = "",
    ran: bool = True,
) -> dict[str, Any]:
    """Made in that second of a minute, and so as it is eight seconds later."""
    container = {"ContainerID": "c1", **({} if code is None else {"ExitCode": code})} if ran else {}
    return {
        "ID": f"t{second}",
        "ServiceID": "s1",
        "CreatedAt": f"2026-12-01T12:00:{second:02}.000000000Z",
        "NodeID": node,
        "Spec": {"ForceUpdate": start},
        "DesiredState": wanted or ("running" if state == "running" else "shutdown"),
        "Status": {
            "State": state,
            "Timestamp": f"2026-12-01T12:00:{second + 8:02}.000000000Z",
            "ContainerStatus": container,
        },
    }


def read(spec: Mapping[str, Any], *tasks: dict[str, Any], lost: str = "", watched: bool = True) -> Container:
    found = Service({"ID": "s1", "Spec": spec}, tasks, frozenset({lost} - {""}), watched).container()
    assert found
    return found


@pytest.mark.parametrize(
    ("tasks", "state", "code"),
    [
        ([], RUNNING, None),  # started, and no node has it yet
        ([task("pending", node="", ran=False)], RUNNING, None),
        ([task("running")], RUNNING, None),
        ([task("complete", 0)], EXITED, 0),
        ([task("failed", 3)], EXITED, 3),
        ([task("shutdown", 143)], EXITED, 143),
        ([task("rejected", ran=False)], EXITED, None),
        ([task("complete", 0), task("pending", second=2, node="", ran=False)], EXITED, 0),
    ],
)
def test_a_job_ends_with_its_task(tasks: list[dict[str, Any]], state: ContainerState, code: int | None) -> None:
    found = read(spec_of(), *tasks)
    assert (found.state, found.exit_code) == (state, code)


@pytest.mark.parametrize(
    ("tasks", "state", "restarts"),
    [
        ([task("running")], RUNNING, 0),
        ([task("failed", 1)], RESTARTING, 0),
        ([task("failed", 1), task("ready", second=2, wanted="ready", ran=False)], RESTARTING, 1),
        ([task("failed", 1), task("running", second=2)], RUNNING, 1),
        ([task("failed", 1, start=1), task("running", second=2, start=2)], RUNNING, 0),  # by us
    ],
)
def test_what_is_to_keep_running_is_started_again(
    tasks: list[dict[str, Any]], state: ContainerState, restarts: int
) -> None:
    found = read(spec_of(starts=tasks[-1]["Spec"]["ForceUpdate"], keep_running=True), *tasks)
    assert (found.state, found.restarts, found.exit_code) == (state, restarts, None)


def test_what_was_not_started_has_no_end() -> None:
    found = read(spec_of(starts=0))
    assert (found.state, found.exit_code, found.started_at, found.last_exit) == (CREATED, None, None, None)


def test_what_was_stopped_keeps_its_end_beside_a_task_that_waits_for_ever() -> None:
    waits = task("pending", second=9, node="", wanted="running", ran=False)
    found = read(spec_of(is_stopped=True, keep_running=True), task("shutdown", 5), waits)
    assert (found.state, found.exit_code, found.signals) == (EXITED, 5, (15,))
    assert found.last_exit == Exit(5, AT)
    assert read(spec_of(is_stopped=True), task("shutdown", 137), waits).signals == (15, 9)


@pytest.mark.parametrize("keep_running", [False, True])
def test_what_was_stopped_before_a_node_took_it_has_ended(keep_running: bool) -> None:
    waits = task("pending", node="", wanted="running", ran=False)
    waits["Status"]["Err"] = "no suitable node (scheduling constraints not satisfied on 3 nodes)"
    for tasks in ([waits], []):
        found = read(spec_of(is_stopped=True, keep_running=keep_running), *tasks)
        assert (found.state, found.exit_code) == (EXITED, None)


def test_a_job_that_waits_too_long_for_its_node_is_lost() -> None:
    waits = task("pending", node="", wanted="running", ran=False)
    waits["Status"]["Err"] = "no suitable node (1 node not available for new tasks)"
    raw = {"ID": "s1", "Spec": spec_of()}
    found = Service(raw, [waits], waits_in_vain=True).container()
    assert found
    assert found.is_lost
    assert found.last_exit == Exit(None, None, f"no node took it: {waits['Status']['Err']}")
    placed = Service(raw, [waits, task("running", second=2)], waits_in_vain=True).container()
    assert placed
    assert placed.state is RUNNING


def test_of_what_was_stopped_between_two_runs_the_one_that_ran_counts() -> None:
    never_ran = task("shutdown", second=2, ran=False)
    assert read(spec_of(is_stopped=True, keep_running=True), task("failed", 7), never_ran).exit_code == 7


def test_what_may_end_has_ended_when_it_ends_well() -> None:
    spec = spec_of(keep_running=True, may_end=True)
    assert read(spec, task("complete", 0)).state is EXITED
    assert read(spec, task("failed", 1)).state is RESTARTING


def test_a_job_on_a_lost_node_has_ended_and_nobody_knows_how() -> None:
    runs = task("running", wanted="shutdown")
    assert is_in_doubt(runs)
    assert read(spec_of(), runs).state is RUNNING  # it is being stopped
    found = read(spec_of(), runs, lost="n1")
    assert (found.state, found.exit_code) == (EXITED, None)
    assert read(spec_of(keep_running=True), runs, lost="n1").state is RESTARTING
    named = Service({"ID": "s1", "Spec": spec_of()}, [runs], frozenset({"n1"}), hostnames={"n1": "second"}).container()
    assert named
    assert named.last_exit == Exit(None, None, "its node second does not answer")


def test_a_gateway_on_a_lost_node_has_ended_as_the_swarm_starts_it_nowhere_else() -> None:
    spec, runs = spec_of(keep_running=True, publish=("10.0.0.1", 8080)), task("running", wanted="shutdown")
    waits = task("pending", second=2, node="", wanted="running", ran=False)
    assert read(spec, runs, waits).state is RUNNING
    found = read(spec, runs, waits, lost="n1")
    assert (found.state, found.exit_code, found.last_exit) == (
        EXITED,
        None,
        Exit(None, None, "its node does not answer"),
    )
    assert read(spec, task("failed", 1), lost="n1").state is RESTARTING
    gone = Service({"ID": "s1", "Spec": spec}, [waits], waits_in_vain=True).container()
    assert gone
    assert gone.state is EXITED


def test_an_end_that_the_courier_has_not_seen_has_no_code() -> None:
    """An engine that is killed, and started again, ends its programs by SIGTERM: some leave with 0 then."""
    found = read(spec_of(), task("complete", 0), watched=False)
    assert (found.state, found.exit_code) == (EXITED, None)


def test_a_courier_has_watched_if_it_has_run_since_before_on_the_same_node() -> None:
    main = task("complete", 0, second=5)
    assert has_watched(main, [task("running", second=1)])
    assert not has_watched(main, [task("running", second=6)]), "it was started again"
    assert not has_watched(main, [task("failed", 1, second=1)])
    assert not has_watched(main, [task("running", second=1, node="n2")])
    assert not has_watched(main, [task("running", second=1, wanted="shutdown")]), "its node is given up"
    assert not has_watched(main, [])


def test_damaged_labels_are_no_container() -> None:
    spec = spec_of()
    spec["Labels"]["sagespec.kind"] = "nothing"
    assert Service({"ID": "s1", "Spec": spec}, ()).container() is None


def test_a_job_that_was_not_started_yet_is_on_the_node_that_its_courier_has_found() -> None:
    service = Service({"ID": "s1", "Spec": spec_of(starts=0)}, (), hostnames={"n1": "left"})
    container = service.container()
    assert container
    assert (container.state, container.node) == (CREATED, "left")
