"""What every Runtime says of its containers, its programs and itself: fake, processes and Docker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sagespec.errors import WorldError
from sagespec.state.addresses import Address
from sagespec.state.observed import ContainerState
from sagespec.state.programs import Builtin
from tests.contracts.bench import (
    Bench,
    on_every_engine,
)
from tests.fakes import Behaviour


@on_every_engine
def test_containers_lists_every_state_sorted_by_name(bench: Bench) -> None:
    created = bench.create(name="b")
    running = bench.start(name="c")
    exited = bench.run("raise SystemExit(3)", Behaviour(exit_code=3), name="a")
    listed = bench.runtime.containers()
    assert [(c.name, c.state, c.exit_code) for c in listed] == [
        (exited, ContainerState.EXITED, 3),
        (created, ContainerState.CREATED, None),
        (running, ContainerState.RUNNING, None),
    ]


@on_every_engine
def test_a_container_is_listed_with_the_image_it_was_made_from(bench: Bench) -> None:
    bench.create()
    (listed,) = bench.runtime.containers()
    assert listed.image == bench.runtime.image_of(Builtin("probe")) != ""
    assert bench.runtime.has_image(listed.image)
    assert not bench.runtime.has_image("nothing:1")
    assert bench.runtime.image_of(Builtin("nothing")) == ""


@on_every_engine
def test_a_container_keeps_its_address_and_hash(bench: Bench) -> None:
    addresses = ["job/Churn-eu@12#3", "endpoint/churn/candidate#0", "gateway"]
    for number, address in enumerate(map(Address.parse, addresses)):
        bench.create(name=str(number), address=address, hash=f"1-{number}fe")
    listed = bench.runtime.containers()
    assert sorted((str(c.address), c.hash) for c in listed) == [
        ("endpoint/churn/candidate#0", "1-1fe"),
        ("gateway", "1-2fe"),
        ("job/Churn-eu@12#3", "1-0fe"),
    ]
    assert all(replace(bench.inspect(c.name), started_at=c.started_at, restarts=0) == c for c in listed)


@on_every_engine
def test_inspect_of_nothing_is_none(bench: Bench) -> None:
    assert bench.runtime.inspect("sagespec_nobody") is None


@on_every_engine
def test_a_look_at_several_is_an_inspect_of_each(bench: Bench) -> None:
    created = bench.create(name="created")
    ended = bench.run("raise SystemExit(3)", Behaviour(exit_code=3), name="ended")
    names = [ended, "sagespec_nobody", created]
    found = bench.runtime.look(names)
    assert list(found.items()) == [(name, bench.runtime.inspect(name)) for name in names]
    assert [container and container.exit_code for container in found.values()] == [3, None, None]
    assert bench.runtime.look([]) == {}


@on_every_engine
def test_containers_of_other_projects_are_neither_seen_nor_touched(bench: Bench, project_name: str) -> None:
    name = bench.start()
    with bench.open(f"{project_name}-other") as other:
        assert other.containers() == ()
        assert other.inspect(name) is None
        other.stop(name, grace_seconds=0)
        other.remove(name)
        assert list(other.logs(name)) == []
        for touch in (
            lambda: other.start(name),
            lambda: other.write(name, {"a": b""}),
            lambda: other.fetch(name, 1, ["/"]),
        ):
            with pytest.raises(WorldError):
                touch()
        other.destroy()
    assert bench.inspect(name).state is ContainerState.RUNNING


@on_every_engine
def test_prepare_gives_the_same_digest_each_time(bench: Bench) -> None:
    digests = {bench.runtime.prepare(Builtin("probe"), lambda _: None) for _ in range(2)}
    assert len(digests) == 1
    assert digests <= bench.runtime.digests_of(Builtin("probe"))
    assert bench.runtime.digests_of(Builtin("prob-e")) == frozenset()


@on_every_engine
def test_prepare_of_an_unknown_builtin_is_an_error_that_names_it(bench: Bench) -> None:
    with pytest.raises(WorldError, match="prob-e"):
        bench.runtime.prepare(Builtin("prob-e"), lambda _: None)


@on_every_engine
def test_images_names_the_builtins(bench: Bench) -> None:
    assert [image.name for image in bench.runtime.images() if image.digest] == ["probe"]


@on_every_engine
def test_checks_say_something_of_the_engine(bench: Bench) -> None:
    assert bench.runtime.checks()


@on_every_engine
def test_an_engine_knows_what_it_has(bench: Bench) -> None:
    capacity = bench.runtime.capacity()
    assert 0 < capacity.cpus <= 4096
    assert capacity.memory > 64 * 2**20
    assert bench.runtime.capacity() == capacity


@on_every_engine
def test_a_list_tells_what_containers_were_given(bench: Bench) -> None:
    bench.create(name="a", cpus=0.5, memory=256 * 2**20)
    bench.create(name="b")
    assert [(c.cpus, c.memory, c.gpus) for c in bench.runtime.containers()] == [
        (0.5, 256 * 2**20, ()),
        (None, None, ()),
    ]


@on_every_engine
def test_more_gpus_than_there_are_is_told_with_the_figures(bench: Bench) -> None:
    beyond = len(bench.runtime.capacity().gpus) + 1
    with pytest.raises(WorldError, match=rf"job/churn@1#0 needs {beyond} GPUs? of its own, and of {beyond - 1} there"):
        bench.create(gpus=beyond)
    assert bench.runtime.containers() == ()
