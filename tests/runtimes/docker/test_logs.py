"""Logs of containers of a real engine, followed to the last line."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from sagespec.runtimes.docker.logs import _Frame as Frame
from sagespec.runtimes.docker.logs import _lines as lines_of
from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.runtimes.protocol import LONGEST_LINE_BYTES
from sagespec.state.launches import Launch
from tests.runtimes.docker.probe import run

pytestmark = pytest.mark.docker


def test_lines_of_both_streams_are_whole_and_in_order(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    (launch,) = a_job(
        "printf '\\377 bad\\n'; printf 'dos\\r\\n'; echo; "
        "printf 'ab'; sleep 0.2; echo between >&2; sleep 0.2; echo c; "
        "python3 -c \"print('x' * 100000)\"; printf 'no newline'"
    )
    assert run(runtime, launch) == [
        "\ufffd bad",
        "dos",
        "",
        "between",
        "abc",
        "x" * 100_000,
        "no newline",
    ]
    assert list(runtime.logs(launch.name, tail=1)) == ["no newline"]
    assert list(runtime.logs(launch.name, tail=0)) == []
    assert list(runtime.logs("sagespec_none", follow=True)) == []


def test_a_line_of_many_pieces_takes_no_longer_than_they_do() -> None:
    pieces = [Frame(1, b"", b"x" * 16384) for _ in range(2000)]
    begun = time.process_time()
    lines = [line for _, line in lines_of([*pieces, Frame(1, b"", b"\n")])]
    assert sum(map(len, lines)) == 2000 * 16384
    assert max(map(len, lines)) <= LONGEST_LINE_BYTES + 16384
    assert time.process_time() - begun < 2.0


def test_followed_lines_come_while_the_container_runs(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    (launch,) = a_job("echo first; while [ ! -e /opt/ml/go ]; do sleep 0.05; done; echo last")
    runtime.create([launch])
    runtime.start(launch.name)
    lines = runtime.logs(launch.name, follow=True)
    assert [next(lines), next(lines)] == ["asked to train", "first"]
    runtime.write(launch.name, {"go": b""})
    assert list(lines) == ["last"]
