"""Rollouts that are judged while the store is away: what fails loses its traffic at once, and is recorded later."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sagespec.events import Event
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.serve.take_back import TakeBack
from sagespec.state.observed import Observed
from sagespec.state.progress import AbortRequest
from sagespec.state.revision import RevisionStatus
from tests.fakes.specs import PROJECT, with_models
from tests.reconcile.test_rollouts import CANARY, Place


class Scene:
    """A canary in its first step, last seen by a pass; from here on the store is not asked."""

    def __init__(self) -> None:
        self.place = Place(CANARY)
        self.place.settle()
        self.events: list[Event] = []
        self.counted: list[str] = []
        world = self.place.world
        self.take_back = TakeBack(
            PROJECT,
            lambda: world.runtime,
            lambda: world.gateway,
            self.events.append,
            count=self.counted.append,
            now=world.clock.now,
        )
        self.note()
        self.before = dict(world.objects)

    def note(self) -> Observed:
        return self.take_back.note(self.place.world.observed())

    def ask(self, requests: int, **failing: int) -> None:
        models = {f"churn@{name[-1]}": every for name, every in failing.items()}
        self.place.world.ask("churn", requests, models)

    def look(self, seconds: float = 1.0) -> None:
        self.place.world.clock.sleep(seconds)
        self.take_back.look()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_fails_loses_its_traffic_and_the_next_pass_records_why(scene: Scene) -> None:
    scene.ask(100, model2=1)
    scene.look()
    assert scene.place.shares == {"churn@1": 1.0}
    assert scene.place.world.objects == scene.before, "the store is not needed"
    (event,) = scene.events
    assert event.text.startswith("taken back: errors 100.00 %")
    assert event.text.endswith("it is recorded when the store answers")
    scene.look()
    assert len(scene.events) == 1, "told once"

    plan = scene.place.settle()
    assert scene.place.revisions[-1].status is RevisionStatus.FAILED
    assert "errors 100.00 % (10 of 10) against 0.00 % (0 of 90)" in scene.place.revisions[-1].reason
    assert plan.refused
    assert scene.place.names == scene.place.old
    scene.take_back.catch_up()
    scene.take_back.catch_up()
    assert scene.counted == ["churn"]


def test_a_candidate_as_good_keeps_its_share_and_takes_no_step(scene: Scene) -> None:
    for _ in range(5):
        scene.ask(100, model1=20, model2=20)
        scene.look(3600)
    assert scene.place.shares == {"churn@1": 0.9, "churn@2": 0.1}
    assert scene.events == []


def test_what_was_seen_meanwhile_is_what_the_next_pass_starts_from(scene: Scene) -> None:
    """One that has died was seen to be dead for as long as it takes."""
    scene.place.world.turn_unhealthy("churn@2")
    scene.look()
    scene.look(4)
    stored, recalled = scene.place.world.observed(), scene.note()
    assert stored.rollouts["churn"].down_since is None
    assert recalled.rollouts["churn"].down_since
    scene.look(5)
    assert scene.place.shares == {"churn@1": 1.0}
    observed = scene.note()
    wanted = with_models(scene.place.wanted, observed.manifests)
    plan = reconcile(wanted, observed, scene.place.world.clock.now(), Options())
    assert "none of its instances was healthy" in plan.text()


def test_what_others_have_written_since_counts_more_than_what_was_seen(scene: Scene) -> None:
    scene.place.world.turn_unhealthy("churn@2")
    scene.look()
    progress = scene.place.world.observed().rollouts["churn"]
    scene.place.world.records.write_progress(progress.model_copy(update={"step": 2}))
    assert scene.note().rollouts["churn"].down_since is None


def test_an_abort_that_a_pass_has_seen_is_carried_out(scene: Scene) -> None:
    at = scene.place.world.clock.now()
    scene.place.world.records.write_abort(AbortRequest(endpoint="churn", number=2, by="me", at=at))
    scene.note()
    scene.look()
    assert scene.place.shares == {"churn@1": 1.0}


def test_a_route_that_somebody_has_changed_meanwhile_is_left_alone(scene: Scene) -> None:
    scene.ask(100, model2=1)
    route = scene.place.world.routes["churn"]
    old = tuple(replace(target, weight=5.0) for target in route.targets if target.weight > 0.5)
    scene.place.world.gateway.set_route(
        "churn", replace(route, targets=old), {c.name: (c.host, c.port) for c in scene.place.world.containers}
    )
    scene.look()
    assert scene.events == []
