"""How every Runtime shows folders and volumes to containers: fake, processes and Docker."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sagespec.state.launches import Mount
from tests.contracts.bench import (
    EVERY_BYTE,
    MOUNTS,
    MOUNTS_READ_ONLY,
    RUNS,
    Bench,
    able_to,
    on_every_engine,
    on_real_engines,
)


@able_to(MOUNTS)
def test_what_is_mounted_is_seen_beside_what_is_put(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "sub" / "a").write_bytes(EVERY_BYTE)
    (tmp_path / "data" / "b").write_bytes(b"b")
    assert bench.runtime.mounts(tmp_path / "data", "b") in ("read-only", "links")
    name = bench.create(mounts=(Mount("input/data/train", str(tmp_path / "data")),))
    bench.runtime.write(name, {"input/data/other": b"put"})
    assert bench.runtime.read(name, "input/data/train/sub/a") == EVERY_BYTE
    assert bench.runtime.read(name, "input/data/train/b") == b"b"
    assert bench.runtime.read(name, "input/data/other") == b"put"
    bench.runtime.remove(name)
    assert (tmp_path / "data" / "b").read_bytes() == b"b"


@able_to(RUNS, MOUNTS)
def test_a_program_reads_what_is_mounted_and_adds_nothing_to_it(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data" / "a").write_text("given")
    script = """
folder = base / "input/data/train"
(base / "said").write_text(" ".join(f"{path.name}:{path.read_text()}" for path in folder.iterdir()))
try:
    (folder / "new").write_text("added")
except OSError:
    pass
"""
    name = bench.run(script, mounts=(Mount("input/data/train", str(tmp_path / "data")),))
    assert bench.runtime.read(name, "said") == b"a:given"
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["a"]


@able_to(RUNS, MOUNTS_READ_ONLY)
def test_where_a_mount_is_read_only_no_file_can_be_written(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data" / "a").write_text("given")
    (tmp_path / "data" / "a").chmod(0o666)
    assert bench.runtime.mounts(tmp_path / "data", "a") == "read-only"
    script = 'open(base / "input/data/train/a", "w")'
    name = bench.run(script, mounts=(Mount("input/data/train", str(tmp_path / "data")),))
    assert bench.inspect(name).exit_code == 1
    assert "Read-only file system" in "".join(bench.runtime.logs(name))
    assert (tmp_path / "data" / "a").read_text() == "given"


@on_every_engine
def test_a_volume_is_shared_by_those_that_name_it_and_goes_with_the_last(bench: Bench) -> None:
    first = bench.create(name="a", mounts=(Mount("input/data", volume=f"sagespec_{bench.project_name}_v"),))
    second = bench.create(name="b", mounts=(Mount("pipes", volume=f"sagespec_{bench.project_name}_v"),))
    bench.runtime.write(first, {"input/data/word": b"shared"})
    assert bench.runtime.read(second, "pipes/word") == b"shared"
    bench.runtime.remove(first)
    assert bench.runtime.read(second, "pipes/word") == b"shared"
    bench.runtime.remove(second)
    third = bench.create(name="c", mounts=(Mount("pipes", volume=f"sagespec_{bench.project_name}_v"),))
    assert bench.runtime.read(third, "pipes/word") is None


@on_real_engines
def test_a_fifo_in_a_volume_leads_from_one_container_to_the_other(bench: Bench) -> None:
    volume = f"sagespec_{bench.project_name}_v"
    writer = """
import os
os.mkfifo(base / "pipes/train_0")
(base / "pipes/train_0").write_text("through the pipe")
"""
    reader = """
import time
while not (base / "input/data/train_0").exists():
    time.sleep(0.01)
(base / "said").write_text((base / "input/data/train_0").read_text())
"""
    bench.start(writer, name="a", mounts=(Mount("pipes", volume=volume),))
    name = bench.run(reader, name="b", mounts=(Mount("input/data", volume=volume),))
    assert bench.runtime.read(name, "said") == b"through the pipe"


@on_every_engine
def test_a_volume_that_was_filled_is_what_its_container_has(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "a").write_bytes(EVERY_BYTE)
    volume, volumes = f"sagespec_{bench.project_name}_m", bench.runtime.volumes
    assert not volumes.has(volume)
    volumes.fill(volume, tmp_path / "model")
    assert volumes.has(volume)
    name = bench.create(mounts=(Mount("model", volume=volume),))
    assert bench.runtime.read(name, "model/code/a") == EVERY_BYTE
    volumes.remove([volume])  # a container has it
    assert bench.runtime.read(name, "model/code/a") == EVERY_BYTE
    bench.runtime.remove(name)
    assert not volumes.has(volume)


@on_every_engine
def test_a_volume_that_nobody_came_to_use_can_be_removed(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    volume, volumes = f"sagespec_{bench.project_name}_m", bench.runtime.volumes
    volumes.fill(volume, tmp_path / "model")
    other = bench.create()
    bench.runtime.remove(other)
    assert volumes.has(volume)
    volumes.remove([volume, volume + "-unknown"])
    assert not volumes.has(volume)


@on_real_engines
def test_a_program_finds_what_its_volume_was_filled_with(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("given")
    volume = f"sagespec_{bench.project_name}_m"
    bench.runtime.volumes.fill(volume, tmp_path / "model")
    script = """
(base / "said").write_text((base / "model/weights").read_text())
(base / "model/cache").write_text("its own")
"""
    name = bench.run(script, mounts=(Mount("model", volume=volume),))
    assert bench.runtime.read(name, "said") == b"given"
    assert bench.runtime.read(name, "model/cache") == b"its own"


@on_real_engines
def test_what_killed_runs_have_filled_goes_in_time(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, used, later = (f"sagespec_{bench.project_name}_{name}" for name in ("first", "used", "later"))
    for name in (first, used, later):
        (tmp_path / name).mkdir()
    volumes = bench.runtime.volumes
    volumes.fill(first, tmp_path / first)
    volumes.fill(used, tmp_path / used)
    assert volumes.has(first)
    bench.create(mounts=(Mount("model", volume=used),))
    makers = (sys.modules[kind.__module__] for kind in type(volumes).__mro__)
    monkeypatch.setattr(
        next(maker for maker in makers if hasattr(maker, "UNUSED_VOLUME_DAYS")), "UNUSED_VOLUME_DAYS", 0
    )
    volumes.fill(later, tmp_path / later)
    assert [volumes.has(name) for name in (first, used, later)] == [False, True, True]
