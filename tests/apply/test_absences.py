"""`watch --prune` removes what it finds absent twice, some seconds apart, and nothing while git is running."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sagespec.apply.absences import Absences
from sagespec.reconcile.options import Options
from sagespec.state.revision import RemovalRequest
from tests.place import Place
from tests.processes import Process, stepped_place

PRUNE = Options(prune=True, allow_empty=True)
WAITS = "endpoint/answers is in no spec now; --prune waits 5 s, in case it comes back"
BACK = "endpoint/answers is in a spec again, and stays"


class Watch(Process):
    """`watch --prune` of a project that serves. git: why it would wait."""

    def __init__(self, place: Place) -> None:
        self.git = ""
        self.spec = place.endpoint(only="model@1")
        absences = Absences(5, lambda: self.git, lambda event: self.events.append(event))
        super().__init__(place, "watch", [place.job(1), self.spec], options=PRUNE, absences=absences)
        for _ in range(5):
            self.step()
            self.time.advance(2)
        self.step()
        self.all = self.addresses()
        assert self.all == ["endpoint/answers/only#0", "gateway"]

    def addresses(self) -> list[str]:
        return [address for address in self.place.addresses() if not address.startswith("job/")]

    def wakes(self, *, after: float = 0.0) -> list[str]:
        """By the timer, with a glance where nothing has changed; what is there then."""
        self.time.advance(after)
        if self.run.is_due(unless_same_for=600):
            self.step()
        for _ in range(3):  # requests drain
            self.time.advance(0.1)
            self.step()
        return self.addresses()

    @property
    def told(self) -> list[str]:
        found = [f"{event.about} {event.text}" for event in self.events]
        return [text for text in found if " spec now; " in text or " spec again" in text]


@pytest.fixture
def watch(place: Place) -> Any:
    stepped_place(place)
    watch = Watch(place)
    yield watch
    watch.leave()


def test_a_spec_that_is_away_for_a_moment_keeps_its_endpoint_and_the_gateway(watch: Watch) -> None:
    for other in ([], [watch.place.job(1)]):  # a file that a slow save has emptied; a spec on its way to another one
        watch.documents[:] = other
        watch.step()
        assert watch.wakes(after=1.5) == watch.all
        watch.documents[:] = [watch.place.job(1), watch.spec]
        watch.step()
        assert watch.wakes(after=60) == watch.all
    assert watch.told == [WAITS, BACK, WAITS, BACK]


def test_an_endpoint_whose_removal_was_asked_for_is_removed_at_once(watch: Watch) -> None:
    world = watch.place.world()
    world.records.write_removal(RemovalRequest(endpoint="answers", after=1, by="ada", at=datetime.now(UTC)))
    watch.documents[:] = [watch.place.job(1)]
    watch.git = "it stays while git is running"
    assert watch.wakes() == ["gateway"], "which nobody has asked to go"
    assert watch.told == []
    assert not world.leases.look().removals, "it is over"


def test_what_stays_away_is_removed_after_two_looks(watch: Watch) -> None:
    watch.documents[:] = [watch.place.job(1)]
    watch.step()
    assert watch.run.waits_for_others, "so that the next look comes soon"
    assert watch.wakes(after=4) == watch.all
    assert watch.wakes(after=2) == []
    assert watch.told == [WAITS]
    assert not watch.run.waits_for_others


def test_nothing_is_found_absent_while_git_runs(watch: Watch) -> None:
    watch.documents[:] = [watch.place.job(1)]
    watch.git = "it stays while git is running"
    watch.step()
    assert watch.wakes(after=60) == watch.all
    watch.git = ""
    assert watch.wakes() == watch.all, "git may have written it after we looked"
    assert watch.told == ["endpoint/answers is in no spec now; it stays while git is running", WAITS]
    assert watch.wakes(after=6) == []


def test_a_variant_that_is_away_for_a_moment_stays(watch: Watch) -> None:
    both = watch.place.endpoint(only="model@1", other="model@1")
    watch.documents[:] = [watch.place.job(1), both]
    for _ in range(5):
        watch.step()
        watch.time.advance(2)
    assert watch.wakes() == ["endpoint/answers/only#0", "endpoint/answers/other#0", "gateway"]
    revisions = len(watch.world.records.history("answers"))
    watch.documents[:] = [watch.place.job(1), watch.spec]
    watch.step()
    assert watch.run.waits_for_others, "so that the next look comes soon"
    assert "endpoint/answers/other#0" in watch.wakes(after=3)
    watch.documents[:] = [watch.place.job(1), both]
    watch.step()
    assert "endpoint/answers/other#0" in watch.wakes(after=60)
    assert len(watch.world.records.history("answers")) == revisions
    lost = "endpoint/answers/other is in no spec now; watch waits 5 s, in case it comes back"
    assert watch.told == [lost, "endpoint/answers/other is in a spec again, and stays"]
    watch.documents[:] = [watch.place.job(1), watch.spec]
    watch.step()
    assert "endpoint/answers/other#0" in watch.wakes(after=3)
    assert watch.wakes(after=3) == ["endpoint/answers/only#0", "gateway"]
