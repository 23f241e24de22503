"""How every Runtime brings files into containers and out of them: fake, processes and Docker."""

from __future__ import annotations

import gzip
import os
import time
from functools import partial
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.records.packing import pack
from sagespec.runtimes.protocol import READ_LIMIT_BYTES
from sagespec.state.observed import ContainerState
from tests.contracts.bench import (
    EVERY_BYTE,
    Bench,
    in_every_state,
    members,
    on_every_engine,
    on_real_engines,
)
from tests.fakes import Behaviour


@on_every_engine
@in_every_state
def test_written_files_are_read_back_byte_for_byte(bench: Bench, state: ContainerState) -> None:
    name = bench.in_state(state)
    if state is not ContainerState.EXITED:
        bench.runtime.write(name, {"deep/down/bytes": EVERY_BYTE, "empty": b"", "deep/twice": b"1"})
        bench.runtime.write(name, {"deep/twice": b"22"})
        read = [bench.runtime.read(name, path) for path in ("deep/down/bytes", "empty", "deep/twice")]
        assert read == [EVERY_BYTE, b"", b"22"]
    assert bench.runtime.read(name, "missing") is None
    assert bench.runtime.read(name, "missing/file") is None


@on_every_engine
def test_of_a_large_file_only_the_beginning_is_read(bench: Bench) -> None:
    name = bench.create()
    bench.runtime.write(name, {"output/failure": EVERY_BYTE})
    assert bench.runtime.read(name, "output/failure", limit=3) == b"\0\1\2"
    assert bench.runtime.read(name, "output/failure", limit=256) == EVERY_BYTE
    assert bench.runtime.read(name, "output/failure", limit=257) == EVERY_BYTE


@on_real_engines
def test_what_a_program_leaves_is_bounded_and_typed(bench: Bench) -> None:
    """It cost the program nothing, and would hang or fill whoever reads it."""
    script = """
import os, socket
os.mkfifo(base / "fifo")
(base / "folder").mkdir()
(base / "link").symlink_to("/etc/hostname")
(base / "endless").symlink_to("/dev/zero")
(base / "round").symlink_to("round")
socket.socket(socket.AF_UNIX).bind(os.path.relpath(base / "socket"))
with open(base / "sparse", "wb") as file:
    file.write(b"x")
    file.truncate(2 * 2**30)
"""
    name = bench.run(script)
    assert bench.inspect(name).exit_code == 0
    began = time.monotonic()
    for path in ("fifo", "folder", "link", "endless", "socket", "sparse/inside", "round", "round/inside"):
        assert bench.runtime.read(name, path) is None, path
    assert bench.runtime.read(name, "sparse", limit=2) == b"x\0"
    assert len(bench.runtime.read(name, "sparse") or b"") == READ_LIMIT_BYTES
    assert time.monotonic() - began < 20.0


@on_real_engines
def test_a_watcher_sees_whole_files_only(bench: Bench) -> None:
    script = """
import time
torn = set()
(base / "ready").write_text("1")
while not (base / "enough").exists():
    content = (base / "watched").read_bytes()
    if len(content) != 500000 or len(set(content)) != 1:
        torn.add(len(content))
(base / "torn").write_text(str(sorted(torn)))
"""
    name = bench.create(script)
    bench.runtime.write(name, {"watched": b"0" * 500000})
    bench.runtime.start(name)
    bench.file(name, "ready")
    for digit in (b"1", b"2", b"3"):
        bench.runtime.write(name, {"watched": digit * 500000})
    bench.runtime.write(name, {"enough": b""})
    assert bench.file(name, "torn") == b"[]"


@on_every_engine
@pytest.mark.parametrize("state", [ContainerState.CREATED, ContainerState.RUNNING], ids=lambda state: state.value)
def test_put_copies_files_and_folders_and_merges(bench: Bench, state: ContainerState, tmp_path: Path) -> None:
    big = os.urandom(3_000_000)
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "big").write_bytes(big)
    (source / "every byte").write_bytes(EVERY_BYTE)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "far").write_bytes(b"far")
    (source / "folder").symlink_to(tmp_path / "linked")
    (source / "file").symlink_to(tmp_path / "linked" / "far")
    name = bench.in_state(state)
    bench.runtime.put(name, "input/data/train", source)
    bench.runtime.put(name, "input/data/train/sub/one", tmp_path / "linked" / "far")
    bench.runtime.put(name, "input/data/train/sub", tmp_path / "linked")
    assert members(bench.runtime.get(name, "input/data")) == {
        "train/every byte": EVERY_BYTE,
        "train/file": b"far",
        "train/folder/far": b"far",
        "train/sub/big": big,
        "train/sub/far": b"far",
        "train/sub/one": b"far",
    }
    (tmp_path / "linked" / "far").write_bytes(b"changed")
    assert bench.runtime.read(name, "input/data/train/sub/one") == b"far"


@on_real_engines
def test_what_is_put_belongs_to_the_program(bench: Bench, tmp_path: Path) -> None:
    """It may be changed in place without a trace at its source, and scripts stay executable."""
    (tmp_path / "data").write_bytes(b"before")
    (tmp_path / "data").chmod(0o444)
    (tmp_path / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "run.sh").chmod(0o755)
    script = """
import subprocess
(base / "data").write_text("after")
(base / "said").write_bytes(subprocess.run([base / "run.sh"], capture_output=True).stdout)
"""
    name = bench.create(script)
    for path in ("data", "run.sh"):
        bench.runtime.put(name, path, tmp_path / path)
    bench.runtime.start(name)
    bench.until(name, ContainerState.EXITED)
    assert bench.runtime.read(name, "said") == b"ran\n"
    assert bench.runtime.read(name, "data") == b"after"
    assert (tmp_path / "data").read_bytes() == b"before"


@on_every_engine
@pytest.mark.parametrize("state", [ContainerState.RUNNING, ContainerState.EXITED], ids=lambda state: state.value)
def test_get_gives_a_folder_as_tar_in_every_state(bench: Bench, state: ContainerState) -> None:
    script = """
import time
(base / "model" / "deep").mkdir(parents=True)
(base / "model" / "deep" / "bytes").write_bytes(bytes(range(256)))
(base / "model" / ("x" * 150)).write_text("long name")
(base / "model" / "ünïcode").write_text("name")
(base / "modelling").write_text("not of the folder")
(base / "ready").write_text("1")
"""
    files = {
        "model/deep/bytes": EVERY_BYTE,
        "model/" + "x" * 150: b"long name",
        "model/ünïcode": b"name",
        "modelling": b"not of the folder",
        "ready": b"1",
    }
    if state is ContainerState.RUNNING:
        name = bench.start(f"{script}\ntime.sleep(600)", Behaviour(lasts=None, files=files))
        bench.file(name, "ready")
    else:
        name = bench.run(script, Behaviour(files=files))
    assert members(bench.runtime.get(name, "model")) == {
        "deep/bytes": EVERY_BYTE,
        "x" * 150: b"long name",
        "ünïcode": b"name",
    }


@on_real_engines
def test_of_what_a_program_leaves_all_that_can_be_packed_is(bench: Bench, tmp_path: Path) -> None:
    """And no link is followed out of the folder, whoever's machine that is."""
    (tmp_path / "secret").write_text("ours")
    script = f"""
import os
for folder in (base / "model", base / "output" / "data"):
    (folder / "run1").mkdir(parents=True)
    (folder / "epoch=2.ckpt").write_text("2")
    (folder / "last.ckpt").symlink_to("epoch=2.ckpt")
    (folder / "whole").symlink_to(folder / "epoch=2.ckpt")
    os.link(folder / "epoch=2.ckpt", folder / "run1" / "same")
    (folder / "latest").symlink_to("run1")
data = base / "output" / "data"
(data / "secret").symlink_to({str(tmp_path / "secret")!r})
(data / "up").symlink_to("../../script.py")
(data / "gone").symlink_to("nowhere")
(data / "round").symlink_to("round")
(data / "itself").symlink_to(".")
os.mkfifo(data / "pipe")
for name in (b"a\\\\b.txt", b"line\\nbreak", b"f\\xfcr"):
    open(os.path.join(bytes(data), name), "w").close()
"""
    name = bench.run(script)
    assert bench.inspect(name).exit_code == 0
    two = b"2"
    whole = {"epoch=2.ckpt": two, "last.ckpt": two, "whole": two, "run1/same": two, "latest/same": two}
    for path, odd in (("model", {}), ("output/data", dict.fromkeys(("a\\b.txt", "line\nbreak", "f\udcfcr"), b""))):
        file = tmp_path / path / "packed.tar.gz"
        notes = pack([partial(bench.runtime.get, name, path)], file, f"/opt/ml/{path}", leaves_out=bool(odd))
        with gzip.open(file) as unzipped:
            assert members(iter([unzipped.read()])) == whole | odd
    assert notes[0].startswith("left out of packed.tar.gz: 'pipe', a FIFO; "), notes
    assert notes[0].endswith("; and 1 more"), notes  # six in all


@on_every_engine
def test_get_of_a_missing_folder_is_an_empty_tar(bench: Bench) -> None:
    assert members(bench.runtime.get(bench.create(), "missing")) == {}


@on_every_engine
def test_putting_into_nothing_or_from_nothing_is_an_error(bench: Bench, tmp_path: Path) -> None:
    name = bench.create()
    with pytest.raises(WorldError):
        bench.runtime.put("sagespec_nobody", "input", tmp_path)
    with pytest.raises(WorldError, match="absent"):
        bench.runtime.put(name, "input", tmp_path / "absent")
