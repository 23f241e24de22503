"""Environments of requirements are kept by content: made once, found whole, removed only when nobody uses them."""

from __future__ import annotations

import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from toolkit import kept

HANDLERS = (
    "from sagespec_test_kept import ANSWER\ndef model_fn(_):\n    return ANSWER\n"
    "def predict_fn(data, model):\n    return model\n"
)
WITHOUT_INDEX = {"PIP_NO_INDEX": "1"}


def test_a_second_server_finds_what_the_first_one_installed(
    make_tree: Any, serve: Any, make_wheel: Any, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "sagespec_test_kept")
    shared = {"SAGESPEC_PACKAGES": str(tmp_path / "packages")} | WITHOUT_INDEX
    for asked, environments in (("# first", 1), ("# first", 1), ("# changed", 2)):
        tree = make_tree("sklearn")
        (tree.model / "code").mkdir(parents=True, exist_ok=True)
        (tree.model / "code" / "inference.py").write_text(HANDLERS)
        (tree.model / "code" / "requirements.txt").write_text(f"{asked}\n{wheel}\n")
        with serve(tree, **shared) as server:
            assert server.wait_until_it_answers().status == 200
            assert server.invoke("1", "text/csv").json == 42
        assert len([*(tmp_path / "packages").glob(f"*/{kept.COMPLETE}")]) == environments


def made(folder: Path) -> Path:
    folder.mkdir()
    (folder / "content").write_text("x" * 10_000)
    return folder


def test_those_who_start_together_install_once(tmp_path: Path) -> None:
    makes: list[Path] = []

    def make(folder: Path) -> None:
        time.sleep(0.1)
        makes.append(made(folder))

    with ThreadPoolExecutor() as pool:
        found = {pool.submit(kept.find_or_make, "key", tmp_path, make) for _ in range(4)}
    assert len({one.result() for one in found}) == len(makes) == 1


def test_what_a_killed_installation_left_is_not_used(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        made(folder)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        kept.find_or_make("key", tmp_path, fails)
    kept.find_or_make("key", tmp_path, made)
    assert kept.is_complete(tmp_path / "key")


def test_beyond_the_limit_the_longest_unused_goes_and_nothing_in_use(tmp_path: Path) -> None:
    for age, key in enumerate(("now", "used", "old")):
        (tmp_path / f"{key}.lock").touch()
        made(tmp_path / key)
        (tmp_path / key / kept.COMPLETE).write_text("10000")
        os.utime(tmp_path / key / kept.COMPLETE, (1000 - age, 1000 - age))
    (tmp_path / "cut-short.lock").touch()
    made(tmp_path / "cut-short")
    with (tmp_path / "old.lock").open() as user:
        fcntl.flock(user, fcntl.LOCK_SH)
        kept.sweep(tmp_path, most_bytes=30_000)
        assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"now", "used", "old"}
        kept.sweep(tmp_path, most_bytes=20_000)
        assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"now", "old"}


def test_the_key_knows_what_requirements_lead_to(tmp_path: Path, monkeypatch: Any) -> None:
    def key() -> str:
        return kept.key_of(tmp_path, [str(tmp_path / "outer")], with_code=False, more=[])

    requirements = tmp_path / "requirements.txt"
    requirements.write_text("pandas==2.2.3\n")
    (tmp_path / "more.txt").write_text("a")
    keys = [key()]
    (tmp_path / "more.txt").write_text("b")
    assert key() == keys[0], "a file that nothing asks for"
    requirements.write_text("pandas==2.2.3\n-r more.txt\n")
    keys.append(key())
    (tmp_path / "more.txt").write_text("c")
    keys.append(key())
    (tmp_path / "outer" / "numpy-2.0.dist-info").mkdir(parents=True)
    keys.append(key())
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org")
    keys.append(key())
    assert len(set(keys)) == len(keys)
