"""Logs of containers of a real engine, followed to the last line."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from sagespec.runtimes.docker.logs import Frame, log_lines
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


@pytest.mark.parametrize(("tail", "from_the_tail"), [(None, 0), (4, 1)])
def test_pieces_of_a_line_that_the_stream_kept_back_are_read_at_the_end(
    monkeypatch: pytest.MonkeyPatch, tail: int | None, from_the_tail: int
) -> None:
    """All of them have the time of the first; an engine under load ends the stream somewhere among them."""
    first, second, third = (b"1970-01-01T00:00:0%d.000000000Z" % second for second in (1, 2, 3))
    log = [Frame(1, first, b"a\n"), Frame(1, second, b"b\n"), Frame(2, second, b"err\n")]
    log += [Frame(1, third, piece) for piece in (b"c", b"d", b"e", b"f\n")]
    streamed = log[from_the_tail:5]

    def frames(*_: object, follow: bool = False, **_more: object) -> list[Frame]:
        return streamed if follow else log

    monkeypatch.setattr("sagespec.runtimes.docker.logs._frames", frames)
    lines = [line for _, line in log_lines(None, "", follow=True, tail=tail)]
    assert lines == ["a", "b", "err", "cdef"][from_the_tail:]


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
