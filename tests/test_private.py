"""`.sagespec` is for its owner alone, whoever makes it first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from sagespec.parts import Parts
from sagespec.private import close_to_others, make_folder, write_private
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.stores.open import open_store
from tests.runtimes.process.probe import ended, run


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_it_is_made_closed_and_what_is_in_it_as_usual(tmp_path: Path) -> None:
    make_folder(tmp_path / ".sagespec" / "channels" / "train")
    make_folder(tmp_path / ".sagespec" / "channels" / "train")
    assert mode(tmp_path / ".sagespec") == 0o700
    assert mode(tmp_path / ".sagespec" / "channels" / "train") == 0o755, "containers see it through a mount"


def test_a_store_and_a_container_make_it_closed(tmp_path: Path) -> None:
    open_store("file://.sagespec/store", root=tmp_path / "store").write("a", b"1")
    (tmp_path / "images" / "probe").mkdir(parents=True)
    for word in ("train", "serve"):
        (tmp_path / "images" / "probe" / word).touch()
    folder = tmp_path / "process" / ".sagespec" / "containers"
    runtime = ProcessRuntime("churn", folder, tmp_path / "images")
    run(runtime, "", environment={"TOKEN": "a secret"})
    ended(runtime, "job")
    assert {mode(tmp_path / name / ".sagespec") for name in ("store", "process")} == {0o700}
    private = [path for path in (folder / "job").iterdir() if path.is_file()]
    assert {path.name.partition(".")[0] for path in private} == {"container", "log", "process", "times"}
    assert {mode(path) for path in private} == {0o600}, "a secret may be moved out of it"
    runtime.remove("job")


def test_one_of_an_earlier_release_is_closed_when_its_project_is_opened(tmp_path: Path) -> None:
    (tmp_path / ".sagespec").mkdir(mode=0o755)
    Parts(tmp_path).close()
    assert mode(tmp_path / ".sagespec") == 0o700


def test_one_that_was_shared_with_a_group_stays_so_and_none_is_made(tmp_path: Path) -> None:
    close_to_others(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".sagespec").mkdir()
    (tmp_path / ".sagespec").chmod(0o2770)
    close_to_others(tmp_path)
    assert mode(tmp_path / ".sagespec") == 0o2770


def test_what_lies_in_a_store_that_a_group_shares_can_be_written_by_it(tmp_path: Path) -> None:
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    for folder, bits in ((shared, 0o2775), (alone, 0o775)):
        folder.mkdir()
        folder.chmod(bits)
        open_store(f"file://{folder}/models").write("demo/jobs/a", b"1")
        make_folder(folder / "project" / ".sagespec" / "channels")
    modes = {path.name: mode(path) for path in (shared / "models").rglob("*")}
    assert modes == {"demo": 0o2775, "jobs": 0o2775, "a": 0o664, ".sagespec-lock": 0o664}
    assert {mode(path) & 0o070 for path in (alone / "models").rglob("*")} <= {0o050, 0o040}
    assert mode(shared / "project" / ".sagespec") & 0o777 == 0o700, "what programs are started with stays closed"


def test_a_private_file_is_its_owners_and_written_whole_by_many_at_once(tmp_path: Path) -> None:
    file = tmp_path / ".sagespec" / "api.key"
    texts = [str(number) * 1000 for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(partial(write_private, file), texts))
    assert (file.read_text() in texts, mode(file), mode(file.parent)) == (True, 0o600, 0o700)
    assert [path.name for path in file.parent.iterdir()] == ["api.key"]
