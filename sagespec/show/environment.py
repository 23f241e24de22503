"""Variables as a shell reads them, to be given to its `eval`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Literal

Shell = Literal["sh", "fish"]


def lines_of(variables: Mapping[str, str], unset: Sequence[str], shell: Shell) -> list[str]:
    """Statements that set and remove variables, one a line.

    >>> lines_of({"A": "it's"}, ["B"], "sh")
    ['unset B', 'export A=\\'it\\'"\\'"\\'s\\'']
    """
    if shell == "fish":
        removed = [f"set -e {name};" for name in unset]
        return [*removed, *(f"set -gx {name} {_quoted_for_fish(value)};" for name, value in variables.items())]
    removed = [f"unset {name}" for name in unset]
    return [*removed, *(f"export {name}={shlex.quote(value)}" for name, value in variables.items())]


def _quoted_for_fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
