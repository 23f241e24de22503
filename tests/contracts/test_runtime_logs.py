"""How every Runtime gives the logs of its containers: fake, processes and Docker."""

from __future__ import annotations

import time

import pytest

from sagespec.runtimes.protocol import LONGEST_LINE_BYTES
from sagespec.state.observed import ContainerState
from tests.contracts.bench import (
    Bench,
    on_every_engine,
    on_real_engines,
)
from tests.fakes import Behaviour


@on_every_engine
def test_logs_are_lines_in_order_and_broken_text_is_replaced(bench: Bench) -> None:
    script = """
import sys
print("first")
sys.stdout.flush()
sys.stdout.buffer.write("grün \\xff\\n".encode("latin-1"))
print()
sys.stdout.buffer.write("zweiter Weg: ü\\n".encode())
sys.stdout.buffer.write(b"no newline")
"""
    lines = ["first", "gr\ufffdn \ufffd", "", "zweiter Weg: ü", "no newline"]
    name = bench.run(script, Behaviour(lines=lines))
    assert list(bench.runtime.logs(name)) == lines
    assert list(bench.runtime.logs(name)) == lines
    assert list(bench.runtime.logs(name, follow=True)) == lines


@on_real_engines
def test_logs_hold_both_streams(bench: Bench) -> None:
    script = "import os; os.write(1, b'out\\n'); os.write(2, b'error\\n')"
    assert sorted(bench.runtime.logs(bench.run(script))) == ["error", "out"]


@on_real_engines
def test_a_line_of_one_stream_is_never_torn_by_the_other(bench: Bench) -> None:
    script = """
import os
for number in range(300):
    for stream, word in ((1, b"out"), (2, b"error")):
        for piece in (word, b" %d" % number, b"\\n"):
            os.write(stream, piece)
    os.write(1, b"begun "); os.write(2, b"other\\n"); os.write(1, b"and ended\\n")
os.close(2)
os.write(1, b"no newline")
"""
    lines = list(bench.runtime.logs(bench.start(script), follow=True))
    found: dict[str, list[str]] = {"out": [], "error": [], "begun and ended": [], "other": []}
    for line in lines[:-1]:
        found[line.partition(" ")[0] if line[-1].isdigit() else line].append(line.rpartition(" ")[2])
    assert lines[-1] == "no newline"
    assert found["out"] == found["error"] == [str(number) for number in range(300)]
    assert len(found["begun and ended"]) == len(found["other"]) == 300


@on_real_engines
def test_a_line_without_end_comes_in_pieces(bench: Bench) -> None:
    name = bench.start("import os\nfor _ in range(96): os.write(1, b'x' * 2**16)")
    lines = [line for _, line in bench.runtime.timed_logs(name, follow=True)]
    assert sum(map(len, lines)) == 6 * 2**20
    assert max(map(len, lines)) < 3 * LONGEST_LINE_BYTES
    assert sum(map(len, bench.runtime.logs(name))) == 6 * 2**20


@on_every_engine
@pytest.mark.parametrize("tail", [0, 1, 3, 1000, 1001])
def test_tail_gives_the_last_lines(bench: Bench, tail: int) -> None:
    lines = [f"line {number}" for number in range(1000)]
    name = bench.run("for number in range(1000): print('line', number)", Behaviour(lines=lines))
    assert list(bench.runtime.logs(name, tail=tail)) == lines[max(0, 1000 - tail) :]
    assert list(bench.runtime.logs(name, tail=tail, follow=True)) == lines[max(0, 1000 - tail) :]


@on_every_engine
def test_followed_logs_come_as_they_are_printed_and_end_with_the_container(bench: Bench) -> None:
    script = "import time; print('first'); time.sleep(3); print('last'); raise SystemExit(2)"
    name = bench.start(script, Behaviour(lines=["first"], lasts=0.7, last_lines=["last"], exit_code=2))
    lines = bench.runtime.logs(name, follow=True)
    assert next(lines) == "first"
    assert bench.inspect(name).state is ContainerState.RUNNING
    assert list(lines) == ["last"]
    assert bench.until(name, ContainerState.EXITED).exit_code == 2


@on_every_engine
@pytest.mark.parametrize("follow", [False, True])
def test_lines_keep_the_time_at_which_they_were_printed(bench: Bench, follow: bool) -> None:
    script = """
import pathlib, sys, time
(base / "begun").write_text(str(time.time()))
print("first")
time.sleep(0.7)
sys.stdout.write("la")
sys.stdout.flush()
time.sleep(0.3)
sys.stdout.write("st\\nno newline")
sys.stdout.flush()
(base / "last").write_text(str(time.time()))
"""
    behaviour = Behaviour(lines=["first"], lasts=1.0, last_lines=["last", "no newline"])
    name = bench.start(script, behaviour)
    begun_at = time.time() if bench.engine else float(bench.file(name, "begun"))
    if not follow:
        bench.until(name, ContainerState.EXITED)
        time.sleep(0.3)  # whenever it is read, the times are those of the printing
    timed = list(bench.runtime.timed_logs(name, follow=follow))
    assert [line for _, line in timed] == ["first", "last", "no newline"]
    last_at = begun_at + 1.0 if bench.engine else float(bench.file(name, "last"))
    first, last, without_newline = [at for at, _ in timed]
    assert [first, last] == pytest.approx([begun_at, last_at], abs=0.6)
    assert last <= without_newline <= time.time() - (0.0 if follow else 0.3), "known at the latest when it ended"
    assert list(bench.runtime.timed_logs(name, tail=1)) == timed[-1:]
    assert list(bench.runtime.timed_logs("sagespec_nobody")) == []


@on_every_engine
def test_following_ends_when_the_container_is_removed(bench: Bench) -> None:
    name = bench.start("import time; print('first'); time.sleep(600)", Behaviour(lines=["first"], lasts=None))
    lines = bench.runtime.logs(name, follow=True)
    assert next(lines) == "first"
    bench.runtime.remove(name)
    assert list(lines) == []


@on_every_engine
def test_there_are_no_logs_of_nothing_and_none_before_the_start(bench: Bench) -> None:
    assert list(bench.runtime.logs("sagespec_nobody", follow=True)) == []
    assert list(bench.runtime.logs(bench.create())) == []
