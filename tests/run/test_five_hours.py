"""A job of five hours, beside which people edit, processes die and endpoints are rolled back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from sagespec.state.manifest import JobStatus
from tests.fakes import SERVES, TRAINS
from tests.place import Place, manifest_of
from tests.processes import Documents, Process, ask_for_rollback, check_nothing_is_left, finish, stepped_place

KILLS, ROLLBACKS, MINUTES = 20, 3, 300  # an edit each


def edited(place: Place, edit: int, chance: Random) -> Mapping[str, Any]:
    """No two edits are alike: a weight, which touches the routes alone, and at times instances or their environment."""
    variants = [
        {"name": "a", "model": "model@1", "weight": edit + 1, "instances": chance.choice([1, 1, 2])},
        {"name": "b", "model": "model@1", "weight": 1000, "environment": {"MODE": chance.choice("xxxxy")}},
    ]
    return place.endpoint() | {"variants": variants}


@pytest.mark.slow
def test_five_hours_of_edits_kills_and_rollbacks_train_a_job_once(place: Place) -> None:
    clock = stepped_place(place, at_least_seconds=15)
    chance = Random(5)
    place.engine.behave("job/model@2", replace(TRAINS, lasts=5 * 3600.0))
    place.engine.behave("endpoint/answers", replace(SERVES, healthy_after=5.0))
    documents: Documents = [place.job(1), place.job(2), edited(place, 0, chance)]
    kills = dict.fromkeys(chance.sample(range(5, MINUTES), KILLS))
    rollbacks = dict.fromkeys(chance.sample(range(20, MINUTES - 10), ROLLBACKS))
    started = 0

    def begin(command: str) -> Process:
        nonlocal started
        started += 1
        return Process(place, f"{command}-{started}", documents, yields=command == "apply")

    running, all_of_them, killed, rolled, live_at = {c: begin(c) for c in ("apply", "watch")}, [], 0, 0, 0
    for minute in range(MINUTES):
        documents[2] = edited(place, minute + 1, chance)
        if minute in kills:
            victim = running[("apply", "watch")[killed % 2]]
            killed += 1
            if killed % 3:  # on this machine, now or after a few effects; or elsewhere, where its lease is waited for
                victim.faults.kill_before = len(victim.faults.calls) + chance.choice([1, 2, 5])
            else:
                victim.kill(elsewhere=True)
        for half in range(2):
            if half and minute in rollbacks:
                rolled += ask_for_rollback(place, documents)
            for command, process in running.items():
                process.step()
                if not process.is_alive:
                    all_of_them.append(process)
                    running[command] = begin(command)
            clock.advance(30)
        live_at += place.world().gateway.answers("answers")  # type: ignore[attr-defined]  # the fake's own
    assert (killed, rolled) == (KILLS, ROLLBACKS)
    assert live_at > MINUTES * 0.9
    assert place.engine.starts["job/model@2#0"] == 1
    documents[2] = place.endpoint(a="model@2", b="model@1")
    finish(place, list(running.values()), documents, within_seconds=2000)

    assert place.engine.starts["job/model@1#0"] == place.engine.starts["job/model@2#0"] == 1
    assert manifest_of(place, 2).status is JobStatus.COMPLETED
    assert manifest_of(place, 2).seconds["training"] == pytest.approx(5 * 3600, abs=60)
    world = place.world()
    route = world.gateway.observe(world.runtime.containers()).routes["answers"]
    assert {(t.variant, t.weight) for t in route.targets} == {("a", 1), ("b", 1)}
    assert world.gateway.answers("answers")  # type: ignore[attr-defined]  # the fake's own
    check_nothing_is_left(place, [*running.values(), *all_of_them], endpoints=2)
