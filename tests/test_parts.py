"""The parts of an open project: made when first needed, and made again when sagespec.yaml changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sagespec.errors import SpecError
from sagespec.part import Part
from sagespec.parts import Parts
from sagespec.runtimes.process.runtime import ProcessRuntime

HEAD = "apiVersion: sagespec/v1\nkind: Project\n"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    write(tmp_path, "")
    opened = Parts(tmp_path)
    yield opened
    opened.close()


def write(root: Path, more: str, *, name: str = "acme") -> None:
    (root / "sagespec.yaml").write_text(
        f"{HEAD}name: {name}\n" + ("" if "runtime" in more else "runtime: process\n") + more
    )


def test_a_part_is_made_once(parts: Parts) -> None:
    assert parts.store is parts.store
    assert parts.runtime is parts.runtime


def test_an_edited_cache_size_counts_for_the_cache_and_for_what_delivers_from_it(parts: Parts) -> None:
    write(parts.root, "cache_size: 1GiB\n")
    parts.read_settings_again()
    before = parts.cache, parts.inputs
    write(parts.root, "cache_size: 2GiB\n")
    parts.read_settings_again()
    assert parts.settings.cache_size == 2 * 2**30
    assert parts.cache is not before[0]
    assert parts.inputs is not before[1]


def test_an_edited_runtime_counts(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parts.runtime.name == "process"
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    write(parts.root, "runtime: docker\n")
    parts.read_settings_again()
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1"):
        _ = parts.runtime


def test_every_part_is_made_again_but_the_engine_and_what_is_built_in(parts: Parts) -> None:
    names = [name for name, value in vars(Parts).items() if isinstance(value, Part)]
    before = {name: getattr(parts, name) for name in names}
    write(parts.root, "parallel_jobs: 7\n")
    parts.read_settings_again()
    kept = {name for name in names if getattr(parts, name) is before[name]}
    assert kept == {"runtime", "images", "metrics_of_builtins", "scratch"}


def test_a_default_that_is_written_out_is_a_change(parts: Parts) -> None:
    before = parts.gateway
    write(parts.root, "gateway: {port: 8080}\n")
    parts.read_settings_again()
    assert parts.settings.gateway.sets_port
    assert parts.gateway is not before


def test_an_engine_that_is_dropped_is_closed(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []
    monkeypatch.setattr(ProcessRuntime, "__exit__", lambda self, *_exc: closed.append(self))
    engine = parts.runtime
    write(parts.root, "parallel_jobs: 7\n")
    parts.read_settings_again()
    assert closed == []
    write(parts.root, "runtime: auto\n")
    parts.read_settings_again()
    assert closed == [engine]


def test_settings_that_did_not_change_keep_the_parts(parts: Parts) -> None:
    store = parts.store
    parts.read_settings_again()
    assert parts.store is store


def test_another_name_is_refused_until_it_is_restored(parts: Parts) -> None:
    store = parts.store
    write(parts.root, "", name="other")
    for _ in range(2):
        with pytest.raises(SpecError, match="now called other; it was acme"):
            parts.read_settings_again()
    write(parts.root, "")
    parts.read_settings_again()
    assert parts.store is store


def test_an_option_overrides_the_runtime_of_the_settings(tmp_path: Path) -> None:
    write(tmp_path, "runtime: docker\n")
    opened = Parts(tmp_path, runtime="process")
    assert opened.runtime.name == "process"
    opened.close()


def test_a_tree_that_is_thrown_away_leaves_no_state_behind(tmp_path: Path) -> None:
    for commit in ("one", "two"):
        (tmp_path / commit).mkdir()
        write(tmp_path / commit, "")
    home = tmp_path / "home"
    opened = Parts(tmp_path / "one", state_dir=home)
    before = opened.store.uri, opened.records, opened.runtime, opened.scratch
    opened.move_to(tmp_path / "two")
    assert opened.specs == (tmp_path / "two" / "specs",)
    assert (opened.store.uri, opened.records, opened.runtime, opened.scratch) == before
    assert opened.store.uri == f"file://{home}/.sagespec/store"
    assert opened.owner.checkout == str(home)
    opened.close()
    assert not any((tmp_path / commit / ".sagespec").exists() for commit in ("one", "two"))


def test_a_folder_with_wrong_settings_is_not_moved_to(tmp_path: Path) -> None:
    for commit, more in (("one", ""), ("two", "runtime: abacus\n")):
        (tmp_path / commit).mkdir()
        write(tmp_path / commit, more)
    opened = Parts(tmp_path / "one", state_dir=tmp_path / "home")
    assert opened.settings.name == "acme"
    with pytest.raises(SpecError, match="abacus"):
        opened.move_to(tmp_path / "two")
    assert opened.root == tmp_path / "one"
