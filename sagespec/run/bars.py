r"""Progress bars: lines that go back to their beginning (`\r`) and overwrite what they showed. Pure.

`follow` and `verbs.logs` show such a line as a terminal does, and `metrics` reads its pieces. A runtime gives the whole
of it, or a second of it at a time.
"""

from __future__ import annotations


def pieces_of(line: str) -> list[str]:
    r"""What the line has shown, one after the other.

    >>> pieces_of("\r 50%\r100%\r"), pieces_of("plain"), pieces_of("")
    ([' 50%', '100%'], ['plain'], [''])
    """
    if "\r" not in line:
        return [line]
    return [piece for piece in line.split("\r") if piece.strip()] or [""]


def shown(line: str) -> str:
    r"""What is left to be seen of it.

    >>> shown("\r1/2 - loss: 0.5\r2/2 - loss: 0.1")
    '2/2 - loss: 0.1'
    """
    return pieces_of(line)[-1]
