"""Images for all nodes, with a real registry. The engine need not be in a Swarm."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.swarm.images import SwarmImages
from sagespec.runtimes.swarm.registry import Registry
from sagespec.sources.build import BuildFolder
from sagespec.state.programs import Build, Builtin, Image
from tests import registries
from tests.ports import free_port

pytestmark = [pytest.mark.docker, pytest.mark.registry]

PROGRAM = 'FROM scratch\nADD probe/said /said\nCMD ["/none"]\n'
PROBE = Builtin("probe")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, docker_client: Any) -> Iterator[str]:
    with registries.running(tmp_path_factory.mktemp("registry")) as address:
        yield address
        registries.forget(docker_client, address)


@pytest.fixture
def place(address: str) -> str:
    """Of the test alone."""
    return f"{address}/{uuid4().hex[:8]}"


@pytest.fixture
def images(docker_client: Any, tmp_path: Path, place: str) -> Iterator[SwarmImages]:
    """One built-in program, unlike that of any other test."""
    yield images_of(docker_client, tmp_path, place)
    for row in docker_client.images(filters={"label": "sagespec.image=probe"}):
        for tag in row["RepoTags"] or ():
            if f":{row_tag(tmp_path)}" in tag:
                docker_client.remove_image(tag, force=True)


def row_tag(root: Path) -> str:
    return (root / "tag").read_text() if (root / "tag").is_file() else "none"


def images_of(client: Any, root: Path, place: str, cluster: str = "") -> SwarmImages:
    folder = root / "images"
    if not folder.is_dir():
        (folder / "probe").mkdir(parents=True)
        (folder / "toolkit").mkdir()
        (folder / "probe" / "Dockerfile").write_text(PROGRAM)
        (folder / "probe" / "said").write_text(str(root))
    made = SwarmImages(client, folder, root, Registry(client, place), cluster)
    (root / "tag").write_text(made.local.reference(PROBE).rpartition(":")[2])
    return made


def imported(client: Any, reference: str, said: str) -> str:
    """An image that only the engine has; its id."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("said")
        member.size = len(said)
        archive.addfile(member, io.BytesIO(said.encode()))
    repository, _, tag = reference.rpartition(":")
    client.import_image_from_data(stream.getvalue(), repository=repository, tag=tag)
    return str(client.inspect_image(reference)["Id"])


@pytest.fixture
def own(docker_client: Any) -> Iterator[Callable[[str], str]]:
    """Makes images that are in no registry."""
    made: list[str] = []

    def make(said: str) -> str:
        made.append(f"sagespec-test-own-{uuid4().hex[:8]}:1")
        imported(docker_client, made[-1], said)
        return made[-1]

    yield make
    for name in made:
        docker_client.remove_image(name, force=True)


def test_what_sagespec_builds_is_built_once_for_all_machines(
    images: SwarmImages, docker_client: Any, tmp_path: Path, place: str
) -> None:
    told: list[str] = []
    digest = images.prepare(PROBE, told.append)
    assert told[0].startswith("building sagespec/probe:")
    assert f"pushing {images.now(PROBE)}" in told
    assert images.now(PROBE) == images.reference(PROBE) == f"{place}/probe:{row_tag(tmp_path)}"
    assert images.for_nodes(images.now(PROBE)) == f"{place}/probe@{digest}"
    for name in (images.local.reference(PROBE), images.now(PROBE)):
        docker_client.remove_image(name)
    told.clear()
    elsewhere = images_of(docker_client, tmp_path, place)  # another machine, whose engine has nothing of it
    assert elsewhere.prepare(PROBE, told.append) == digest
    assert told == []
    assert elsewhere.has(elsewhere.now(PROBE))
    assert {digest} <= elsewhere.digests(PROBE)
    assert [(info.name, info.reference, info.digest) for info in elsewhere.infos()] == [
        ("probe", elsewhere.now(PROBE), digest)
    ]
    fetched = elsewhere.fetch(elsewhere.now(PROBE), told.append)
    assert fetched == f"{place}/probe@{digest}"
    assert docker_client.inspect_image(fetched), "now it has"


def test_what_is_not_there_is_known_to_be_missing(images: SwarmImages, place: str) -> None:
    assert [info.digest for info in images.infos()] == [""]
    assert images.digests(PROBE) == frozenset()
    assert images.now(Builtin("nothing")) == ""
    assert not images.has(f"{place}/nothing:1")
    assert not images.has("nothing:1")
    with pytest.raises(WorldError, match=rf"has no {place}/nothing:1"):
        images.for_nodes(f"{place}/nothing:1")


def test_a_folder_is_pushed_under_the_name_of_its_content(
    images: SwarmImages, docker_client: Any, tmp_path: Path, place: str
) -> None:
    folder = tmp_path / f"own-{uuid4().hex[:8]}"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY said /\n")
    (folder / "said").write_text(str(tmp_path))
    program = Build(folder.name, BuildFolder(folder).hash(), "Dockerfile")
    digest = images.prepare(program, print)
    assert images.reference(program) == f"{place}/build:{folder.name}-{program.context}"
    (folder / "said").write_text("changed")
    images.check(program)  # it is never built again
    assert images.prepare(program, print) == digest
    docker_client.remove_image(images.local.reference(program))


def test_an_image_that_only_our_engine_has_is_pushed(
    images: SwarmImages, own: Callable[[str], str], place: str, docker_client: Any
) -> None:
    name, told = own("one"), list[str]()
    program = Image(name)
    assert images.now(program) == "", "no node could get it yet"
    images.check(program)
    digest = images.prepare(program, told.append)
    assert told[0].startswith(f"pushing {place}/own:")
    assert images.now(program) == f"{place}/own@{digest}"
    assert images.has(images.now(program))
    assert {digest, docker_client.inspect_image(name)["Id"]} <= images.digests(program)
    told.clear()
    assert images.prepare(program, told.append) == digest
    assert told == []


def test_what_trained_a_model_serves_it_though_its_tag_has_moved(
    images: SwarmImages, own: Callable[[str], str], place: str, docker_client: Any, tmp_path: Path
) -> None:
    name = own("two")
    trained = images.prepare(Image(name), print)
    imported(docker_client, name, "another")
    later = images_of(docker_client, tmp_path, place)
    assert later.prepare(Image(name, digest=trained), print) == trained
    assert later.now(Image(name, digest=trained)) == f"{place}/own@{trained}"
    moved = later.prepare(Image(name), print)
    assert moved != trained
    gone = f"sha256:{'0' * 64}"
    assert later.prepare(Image(name, digest=gone), print) == moved, "its tag stands in for what is gone"


def test_an_image_of_a_registry_is_pinned_without_a_pull(
    images: SwarmImages, address: str, docker_client: Any, own: Callable[[str], str]
) -> None:
    theirs = f"{address}/theirs/{uuid4().hex[:8]}:1"
    digest = Registry(docker_client, address).push(own("three"), theirs, lambda _: None)
    docker_client.remove_image(theirs)
    told: list[str] = []
    program = Image(theirs)
    assert images.now(program) == ""
    assert images.prepare(program, told.append) == digest
    assert told == []
    assert images.now(program) == f"{theirs.removesuffix(':1')}@{digest}"
    assert images.has(images.now(program))
    assert digest in images.digests(program)
    assert not [i for i in docker_client.images() if theirs in (i["RepoTags"] or ())]
    with pytest.raises(WorldError, match="there is no image"):
        images.prepare(Image(f"{theirs}2"), print)


def test_a_registry_that_does_not_answer_has_not_lost_its_images(
    docker_client: Any, tmp_path: Path, images: SwarmImages
) -> None:
    away = images_of(docker_client, tmp_path, "127.0.0.1:1/acme")
    assert away.has(away.now(PROBE))
    with pytest.raises(WorldError, match=r"the registry 127\.0\.0\.1:1 does not answer") as refused:
        away.prepare(PROBE, print)
    assert "sagespec.yaml" in refused.value.problems[0].fix


def test_a_login_is_used_and_its_lack_is_told(
    docker_client: Any,
    images: SwarmImages,
    tmp_path: Path,
    own: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from docker import APIClient

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registries.running(tmp_path / "private", login=True) as address:
        without = images_of(APIClient(), tmp_path, f"{address}/acme")
        with pytest.raises(WorldError, match=f"the registry {address} does not let us in") as refused:
            without.prepare(Image(own("four")), print)
        assert f"docker login {address}" in refused.value.problems[0].fix
        with pytest.raises(WorldError, match="does not let us in"):
            without.built()
        registries.log_in(tmp_path, address)
        client = APIClient()
        logged_in = images_of(client, tmp_path, f"{address}/acme")
        reference = logged_in.prepared(Image(own("five")), print)
        assert Registry(client, f"{address}/acme").login_for(reference)
        logged_in.prepare(PROBE, print)
        assert logged_in.now(PROBE) in {info.reference for info in logged_in.built()}
        registries.forget(docker_client, address)


def test_a_registry_without_a_certificate_is_told_apart(docker_client: Any, tmp_path: Path) -> None:
    """Engines take only the loopback without one; this address of the machine is another."""
    host = own_address()
    with registries.running(tmp_path / "registry", address=f"{host}:{free_port()}") as address:
        images = images_of(docker_client, tmp_path, f"{address}/acme")
        with pytest.raises(WorldError, match="speaks plain HTTP") as refused:
            images.prepare(PROBE, print)
    assert f'"insecure-registries": ["{address}"]' in refused.value.problems[0].fix


def own_address() -> str:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def test_what_is_built_is_listed_and_removed_from_registry_and_engine(
    images: SwarmImages, docker_client: Any, place: str
) -> None:
    digest = images.prepare(PROBE, print)
    name = images.now(PROBE)
    found = {info.reference: info for info in images.built()}[name]
    assert (found.name, found.digest) == ("probe", digest)
    assert found.created_at > 1_700_000_000
    assert found.size > 0
    container = docker_client.create_container(images.local.reference(PROBE))
    assert not images.remove(name), "a container has it"
    docker_client.remove_container(container["Id"])
    assert images.remove(name)
    assert not images.has(name)
    assert not images.local.has(images.local.reference(PROBE))
    assert name not in {info.reference for info in images.built()}
    assert images.remove(name), "gone already"


def test_what_is_removed_for_one_cluster_is_kept_for_others_of_the_registry(
    docker_client: Any, tmp_path: Path, images: SwarmImages, place: str
) -> None:
    assert images
    ours, theirs = (images_of(docker_client, tmp_path, place, cluster) for cluster in ("CLUSTER1", "cluster2"))
    digests = [one.prepare(PROBE, print) for one in (ours, theirs)]
    assert ours.now(PROBE) == f"{place}/probe-cluster1:{row_tag(tmp_path)}"
    assert theirs.now(PROBE) not in {info.reference for info in ours.built()}
    found = {info.reference: info for info in ours.built()}[ours.now(PROBE)]
    assert (found.name, found.digest) == ("probe", digests[0])
    docker_client.remove_image(theirs.now(PROBE))  # their engine is another
    assert ours.remove(ours.now(PROBE))
    assert not ours.has(ours.now(PROBE))
    assert theirs.for_nodes(theirs.now(PROBE)) == f"{place}/probe-cluster2@{digests[1]}"


def test_a_registry_that_refuses_deletes_is_told_in_a_sentence(
    docker_client: Any, tmp_path: Path, images: SwarmImages
) -> None:
    with registries.running(tmp_path / "registry", deletes=False) as address:
        kept = images_of(docker_client, tmp_path, f"{address}/acme")
        kept.prepare(PROBE, print)
        with pytest.raises(WorldError, match=f"{address} does not let images be deleted") as refused:
            kept.remove(kept.now(PROBE))
        assert "storage.delete.enabled" in refused.value.problems[0].fix
        registries.forget(docker_client, address)
