"""What is secret in a program's output, as the shim writes it to the log."""

from __future__ import annotations

import pytest

from sagespec.runtimes.process.shim_masks import masked

KEY = b"-----BEGIN KEY-----\nabc\n\nc2VjcmV0\n"
SECRETS = [KEY, b"-----BEGIN KEY-----", b"c2VjcmV0"]  # as `secrets_given` has them


@pytest.mark.parametrize("pieces", [[b"key " + KEY + b"end\n"], [b"key -----BEGIN KEY-----\n", b"c2VjcmV0\nend\n"]])
def test_a_secret_of_several_lines_leaves_as_many_lines_in_whatever_pieces_it_comes(pieces: list[bytes]) -> None:
    log = b"".join(masked(piece, SECRETS) for piece in pieces)
    assert (log.count(b"\n"), b"c2V" in log, b"BEGIN" in log) == (b"".join(pieces).count(b"\n"), False, False)


def test_lines_that_are_too_short_to_be_hidden_alone_are_hidden_with_the_rest() -> None:
    assert masked(KEY, SECRETS) == b"***\n***\n\n***\n"
