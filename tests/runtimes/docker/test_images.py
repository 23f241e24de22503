"""Images on a real engine: built, pulled, and named by their content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.runtimes.protocol import CannotStart, Use
from sagespec.state.launches import Launch
from sagespec.state.programs import Builtin, Image
from tests.runtimes.docker.probe import PROBE, a_build, reference, run, silent, write_program

pytestmark = pytest.mark.docker


def test_a_builtin_is_known_by_its_content_alone(images: Path, tmp_path: Path, project_name: str) -> None:
    folder = tmp_path / "images"
    for name in ("toolkit", "probe"):
        (folder / name).mkdir(parents=True)
        for file in (images / name).iterdir():
            (folder / name / file.name).write_bytes(file.read_bytes())
    with DockerRuntime(project_name, images) as one, DockerRuntime(project_name, folder) as copy:
        assert reference(copy) == reference(one)
        (folder / "probe" / "__pycache__").mkdir()
        (folder / "probe" / "__pycache__" / "x.pyc").write_bytes(b"x")
        assert reference(copy) == reference(one)
        (folder / "toolkit" / "lib.py").write_text("VALUE = 2\n")
        assert reference(copy) != reference(one)


def test_builtins_without_a_dockerfile_are_built_from_the_shared_one(
    runtime: DockerRuntime, tmp_path: Path, project_name: str
) -> None:
    folder = tmp_path / "images"
    names = [f"{word}-{project_name}" for word in ("one", "two")]
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "image.json").write_text('{"kind": "test"}')
    (folder / "Dockerfile").write_text(f"FROM {reference(runtime)}\nRUN echo shared\nARG NAME\nCOPY $NAME/ /program/\n")
    with DockerRuntime(project_name, folder) as shared:
        for name in names:
            shared.prepare(Builtin(name), silent)
        built = [info.reference for info in shared.images() if info.digest]
        assert [tag.split(":")[0] for tag in built] == [f"sagespec/{name}" for name in names]
        one, two = ([*shared._engine.inspect_image(tag)["RootFS"]["Layers"]] for tag in built)
        (folder / "Dockerfile").write_text("FROM scratch\n")
        rebuilt = [info.reference for info in shared.images()]
        for name in built:
            shared._engine.remove_image(name, force=True)
    assert (one[:-1], one[-1] == two[-1]) == (two[:-1], False), "all layers but the last are shared"
    assert not {*rebuilt} & {*built}, "an image is known by the Dockerfile it is built from"


def test_the_base_image_is_named_in_one_file_and_can_be_another(
    runtime: DockerRuntime, tmp_path: Path, project_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, name, lines = tmp_path / "images", f"one-{project_name}", list[str]()
    (folder / name).mkdir(parents=True)
    (folder / name / "Dockerfile").write_text("ARG BASE=nowhere.invalid/none\nFROM $BASE\nRUN echo built\n")

    def built(here: DockerRuntime, base: str, *, setting: str = "") -> str:
        (folder / "base.Dockerfile").write_text(f"# Of all.\nFROM {base}\n")
        monkeypatch.setenv("SAGESPEC_BASE_IMAGE", setting)
        here.prepare(Builtin(name), lines.append)
        labels = here._engine.inspect_image(here.image_of(Builtin(name)))["Config"]["Labels"]
        here._engine.remove_image(here.image_of(Builtin(name)), force=True)
        return str(labels["sagespec.base"])

    with DockerRuntime(project_name, folder) as here:
        tag = reference(runtime)
        digest = f"127.0.0.1:1/{tag}@sha256:{'0' * 64}"
        here._engine.tag(tag, f"127.0.0.1:1/{tag.partition(':')[0]}", tag.partition(":")[2])
        assert built(here, digest) == f"127.0.0.1:1/{tag}", "what the engine has by its tag stands in"
        assert f"{digest} cannot be pulled: the 127.0.0.1:1/{tag} of this engine is used" in lines
        here._engine.remove_image(f"127.0.0.1:1/{tag}")
        with pytest.raises(WorldError, match="could not be pulled") as failed:
            built(here, digest)
        assert "SAGESPEC_BASE_IMAGE" in failed.value.problems[0].fix
        by_digest = here.image_of(Builtin(name))
        assert built(here, digest, setting=tag) == tag
        assert here.image_of(Builtin(name)) != by_digest, "an image is known by what it is to be built from"


@pytest.mark.filterwarnings("ignore:docker-credential-nowhere not installed")
def test_a_missing_helper_for_passwords_is_named_before_and_after(
    project_name: str, images: Path, tmp_path: Path, a_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "nowhere"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with DockerRuntime(project_name, images) as runtime:
        for program in (Image("registry.invalid/mine:1"), a_build(a_folder)):
            with pytest.raises(WorldError, match="docker-credential-nowhere, which is to give the password"):
                runtime.check(Use(program, "train"))
            with pytest.raises(WorldError, match=r"password of a registry could not be had: docker-credential-nowhere"):
                runtime.prepare(program, silent)
        runtime.check(Use(PROBE, "train"))  # it is there: nothing has to be fetched


def test_a_build_that_fails_shows_how_it_ended(runtime: DockerRuntime, images: Path) -> None:
    write_program(images, "broken", f"FROM {reference(runtime)}\nRUN echo the reason && exit 9\n")
    lines: list[str] = []
    try:
        with pytest.raises(WorldError, match=r"sagespec/broken:.* could not be built") as failed:
            runtime.prepare(Builtin("broken"), lines.append)
    finally:
        (images / "broken" / "Dockerfile").unlink()
    assert "the reason" in lines
    assert "       the reason\n" in str(failed.value)


def test_a_folder_is_built_from_what_dockerignore_leaves(
    runtime: DockerRuntime, a_folder: Path, a_job: Callable[..., list[Launch]], project_name: str
) -> None:
    program = a_build(a_folder, args=(("SAID", "hello"),))
    lines: list[str] = []
    digest = runtime.prepare(program, lines.append)
    assert digest.startswith("sha256:")
    assert f"building sagespec-build/my-{project_name}:{program.context}" in lines
    assert "said hello" in lines
    launch = replace(a_job("")[0], program=program, arguments=("sh /ctx/link",))
    run(runtime, launch)
    assert list(runtime.logs(launch.name)) == [
        *(".", "./.dockerignore", "./Dockerfile", "./link", "./sub", "./sub/run.sh"),
        "sub/run.sh",
        "may run",
    ]
    assert runtime.prepare(program, pytest.fail) == digest  # there: nothing is built, nothing is said


def test_a_folder_is_built_by_a_dockerfile_from_elsewhere(
    runtime: DockerRuntime, a_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").write_text(f"FROM {reference(runtime)}\nCOPY sub /sub\nRUN echo from elsewhere\n")
    lines: list[str] = []
    runtime.prepare(a_build(a_folder, "../other"), lines.append)
    assert "from elsewhere" in lines


def test_a_changed_folder_whose_image_is_gone_is_not_built_as_something_else(
    runtime: DockerRuntime, a_folder: Path
) -> None:
    program = a_build(a_folder)
    (a_folder / "sub/run.sh").write_text("exit 1\n")
    with pytest.raises(WorldError, match="the folder has changed since") as gone:
        runtime.prepare(program, silent)
    assert "raise the job's version" in gone.value.problems[0].fix


def test_a_folder_that_cannot_be_built_shows_how_it_ended(runtime: DockerRuntime, a_folder: Path) -> None:
    (a_folder / "Dockerfile").write_text(f"FROM {reference(runtime)}\nRUN echo the reason && exit 9\n")
    with pytest.raises(WorldError, match=r"sagespec-build/my-.* could not be built") as failed:
        runtime.prepare(a_build(a_folder), silent)
    assert "       the reason\n" in str(failed.value)
    (a_folder / "Dockerfile").unlink()
    with pytest.raises(WorldError, match="Dockerfile"):
        runtime.prepare(a_build(a_folder), silent)


def test_an_image_that_is_nowhere_says_what_to_do(runtime: DockerRuntime) -> None:
    with pytest.raises(
        WorldError, match=r"127.0.0.1:1/nowhere is not on the engine and could not be pulled"
    ) as missing:
        runtime.prepare(Image("127.0.0.1:1/nowhere"), silent)
    assert "docker login" in missing.value.problems[0].fix
    with pytest.raises(WorldError, match="no built-in program 'nope'"):
        runtime.prepare(Builtin("nope"), silent)


def test_images_tells_which_builtins_are_there(runtime: DockerRuntime) -> None:
    found = {image.name: image for image in runtime.images()}
    assert found["probe"].reference == reference(runtime)
    assert found["probe"].digest == runtime.prepare(PROBE, silent)
    assert found["probe"].size > 0


def test_an_image_without_the_word_says_what_is_missing(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    (launch,) = a_job("")
    wordless = replace(launch, program=Image("debian:bookworm-slim"))
    runtime.create([wordless])
    with pytest.raises(CannotStart, match="the image has no executable train on its PATH") as refused:
        runtime.start(wordless.name)
    assert "ENTRYPOINT" in refused.value.problems[0].fix
