"""What a command in a container prints, as the engine sends it: in frames, of two streams in any order."""

from __future__ import annotations

import io
import struct

import pytest

from sagespec.runtimes.swarm.carrying import Output, Unreached

STDOUT, STDERR = 1, 2


def sent(*frames: tuple[int, bytes]) -> Output:
    stream = b"".join(struct.pack(">BxxxL", kind, len(content)) + content for kind, content in frames)
    return Output(io.BufferedReader(io.BytesIO(stream)))


def test_an_answer_that_overtakes_the_sign_is_read_whole() -> None:
    output = sent((STDOUT, b"HTTP/1.1"), (STDERR, b"+\n"), (STDOUT, b""), (STDOUT, b" 200"))
    output.wait_connected("it")
    assert io.BufferedReader(output).read() == b"HTTP/1.1 200"


def test_who_is_not_reached_says_why() -> None:
    with pytest.raises(Unreached, match="it cannot be reached: Connection refused") as raised:
        sent((STDERR, b"Connection refused\n")).wait_connected("it")
    assert "sagespec doctor" in raised.value.problems[0].fix
