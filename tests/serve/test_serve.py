"""Instances of endpoints: started, waited for, replaced, removed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sagespec.apply.effects import effect_of
from sagespec.causes import Cause, Reason
from sagespec.contract import SERVE_GRACE_SECONDS
from sagespec.converge import Converged
from sagespec.errors import WorldError
from sagespec.events import Caller, EventKind
from sagespec.plan import RemoveInstance
from sagespec.state.addresses import job_address
from sagespec.state.observed import ContainerState
from sagespec.state.programs import Image
from sagespec.state.revision import RevisionStatus
from tests.fakes import SERVES, Behaviour
from tests.fakes.runtime import FakeRuntime
from tests.place import Place, kill_at_every_effect


def test_killed_before_any_effect_of_a_rollout_it_goes_on_serving(tmp_path: Path) -> None:
    def new_place() -> Place:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        place = Place(folder)
        assert place.converge(place.job(1), place.job(2), place.endpoint(only="model@1")).ok
        place.faults.revive()
        return place

    def rollout(place: Place) -> Converged:
        return place.converge(place.job(1), place.job(2), place.endpoint(only="model@2"))

    def check(place: Place) -> None:
        assert place.world().gateway.answers("answers")  # type: ignore[attr-defined]
        assert rollout(place).ok
        assert place.world().gateway.answers("answers")  # type: ignore[attr-defined]
        assert place.addresses() == ["endpoint/answers/only#0", "gateway"]
        statuses = [revision.status for revision in place.world().records.history("answers")]
        assert statuses == [RevisionStatus.LIVE, RevisionStatus.LIVE]

    assert kill_at_every_effect(new_place, rollout, check) > 8


def test_what_serves_is_made_with_the_grace_of_its_stop(place: Place) -> None:
    assert place.converge(place.job(1), place.endpoint(only="model@1")).ok
    made = {str(container.launch.address): container.launch.grace_seconds for container in place.engine.all.values()}
    assert made["endpoint/answers/only#0"] == SERVE_GRACE_SECONDS


def test_an_instance_that_one_run_stops_and_another_wants_is_made_anew_and_stays(place: Place) -> None:
    specs = (place.job(1), place.endpoint(only="model@1"))
    assert place.converge(*specs).ok
    (old,) = (c for c in place.engine.all.values() if c.launch.address.variant)
    name = old.launch.name
    removal = RemoveInstance(about=old.launch.address, cause=Cause(Reason.FOLLOWS), container=name)
    one = effect_of(removal, place.world(), Caller())
    assert one.meanwhile
    stop = one.begin()

    assert place.converge(*specs).ok
    one.end(one.meanwhile(stop, Caller()))

    assert place.engine.all[name] is not old
    assert place.engine.all[name].state is ContainerState.RUNNING
    assert place.world().gateway.answers("answers")  # type: ignore[attr-defined]
    assert place.converge(*specs).outcomes == ()
    assert not [key for key in place.objects if "/active/leaving/" in key]


def test_what_a_run_that_was_killed_was_stopping_is_removed_by_the_next(place: Place) -> None:
    specs = (place.job(1), place.job(2), place.endpoint(only="model@1"))
    assert place.converge(*specs).ok
    (old,) = (c for c in place.engine.all.values() if c.launch.address.variant)
    removal = RemoveInstance(about=old.launch.address, cause=Cause(Reason.FOLLOWS), container=old.launch.name)
    effect_of(removal, place.world(), Caller()).begin()

    assert place.converge(place.job(1), place.job(2), place.endpoint(only="model@2")).ok

    assert old.launch.name not in place.engine.all
    assert not [key for key in place.objects if "/active/leaving/" in key]


def test_an_instance_that_exits_fails_its_revision_with_its_last_words(place: Place) -> None:
    assert place.converge(place.job(1), place.job(2), place.endpoint(only="model@1")).ok
    place.engine.behave("endpoint/answers", Behaviour(lasts=0.0, exit_code=3, lines=("no such file: model",)))
    result = place.converge(place.job(1), place.job(2), place.endpoint(only="model@2"))
    assert not result.ok
    live, failed = place.world().records.history("answers")
    assert (live.status, failed.status) == (RevisionStatus.LIVE, RevisionStatus.FAILED)
    assert "exited with code 3" in failed.reason
    assert "no such file: model" in failed.reason
    assert place.addresses() == ["endpoint/answers/only#0", "gateway"]
    assert place.converge(place.job(1), place.job(2), place.endpoint(only="model@2")).outcomes == ()


def test_an_instance_that_exits_fails_its_revision_though_its_log_is_out_of_reach(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **_more: object) -> None:
        raise WorldError("its log cannot be read: its node does not answer")

    assert place.converge(place.job(1), place.job(2), place.endpoint(only="model@1")).ok
    place.engine.behave("endpoint/answers", Behaviour(lasts=0.0, exit_code=3))
    monkeypatch.setattr(FakeRuntime, "logs", refuse)
    assert not place.converge(place.job(1), place.job(2), place.endpoint(only="model@2")).ok
    _, failed = place.world().records.history("answers")
    assert failed.status is RevisionStatus.FAILED
    assert "exited with code 3" in failed.reason
    assert "its log cannot be read" in failed.reason


def test_crashes_in_a_long_life_do_not_keep_an_instance_from_a_new_gateway(place: Place) -> None:
    specs = (place.job(1), place.endpoint(only="model@1"))
    assert place.converge(*specs).ok
    (instance,) = (c for c in place.engine.all.values() if c.launch.command == "serve" and c.launch.address.variant)
    started_at = instance.started_at
    instance.behaviour = replace(SERVES, restarts=5, healthy_after=1.0)
    instance.started_at = datetime.now(UTC)
    place.engine.tables.clear()
    result = place.converge(*specs)
    assert result.ok, result.failures
    assert started_at is not None
    assert place.world().gateway.answers("answers")  # type: ignore[attr-defined]


@pytest.mark.parametrize("state", ["exited", "gone"])
def test_endpoints_are_removed_though_their_gateway_is_dead(place: Place, state: str) -> None:
    assert place.converge(place.job(1), place.endpoint(only="model@1")).ok
    gateway = next(c for c in place.engine.all.values() if c.launch.address.kind == "gateway")
    place.engine.end(gateway, 1)
    if state == "gone":
        del place.engine.all[gateway.launch.name]
    result = place.converge(prune=True, allow_empty=True, destroy=True)
    assert result.ok, result.failures
    assert place.addresses() == []


def test_a_model_is_served_by_the_image_that_trained_it(place: Place) -> None:
    assert place.converge(place.job(1, image="acme/churn:1")).ok
    manifest = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)]
    trained_with = manifest.images["acme/churn:1"]
    assert place.converge(place.job(1, image="acme/churn:1"), place.endpoint(only="model@1")).ok
    programs = [c.launch.program for c in place.engine.all.values() if c.launch.command == "serve"]
    assert [program.digest for program in programs if isinstance(program, Image)] == [trained_with]
    assert not [event.text for event in place.events if "no longer available" in event.text]


def test_an_image_that_trained_a_model_and_is_gone_is_told(place: Place) -> None:
    assert place.converge(place.job(1, image="acme/churn:1")).ok
    manifest = place.world().records.manifests([job_address("model", 1)])[job_address("model", 1)]
    trained_with = manifest.images["acme/churn:1"].encode()
    place.objects |= {key: content.replace(trained_with, b"sha256:old") for key, content in place.objects.items()}
    assert place.converge(place.job(1, image="acme/churn:1"), place.endpoint(only="model@1")).ok
    (note,) = (event.text for event in place.events if event.kind is EventKind.NOTE)
    assert note.startswith("acme/churn:1 is now sha256:")
    assert note.endswith("; sha256:old, which trained the model, is no longer available")


def test_a_broken_archive_is_named_as_its_user_knows_it(place: Place) -> None:
    broken = place.folder / "mine.tar.gz"
    broken.write_bytes(b"PK\x03\x04 a zip")
    variants = [{"name": "only", "model": str(broken), "algorithm": "echo"}]
    result = place.converge({"kind": "Endpoint", "name": "answers", "variants": variants})
    (failure,) = result.failures
    assert failure.reason.startswith(f"{broken} is not a .tar.gz file")
    assert list(place.world().scratch.glob("tmp*")) == [], "what was fetched is gone"
