"""Which metrics are looked for in what a job prints, by which regular expressions.

What a spec declares meets lines that somebody else's program chose, so a match has a time limit. What a built-in
declares is ours, and `re` finds it several times faster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from sagespec.run.metrics import Patterns, Search
from sagespec.state.desired import DesiredJob
from sagespec.state.programs import Builtin

MATCH_SECONDS = 0.5  # that a pattern of a spec may take for one line
# What only regex has, and re takes as it stands: fuzzy matches in braces that count nothing, and POSIX's classes.
_OTHER_TO_REGEX = re.compile(r"(?P<same>\\N\{[^}]*\}|\\.)|(?P<brace>\{)(?!\d+(?:,\d*)?\}|,\d*\})|\[:", re.DOTALL)


def patterns_of(job: DesiredJob, of_builtins: Mapping[str, Patterns]) -> Patterns:
    """What is looked for in the lines of a job: what its built-in declares, and what its spec does."""
    of_builtin = of_builtins.get(job.program.name, ()) if isinstance(job.program, Builtin) else ()
    return [*of_builtin, *((name, search_for(pattern)) for name, pattern in job.metrics)]


def search_for(pattern: str) -> Search:
    """What finds a pattern of a spec in a line: `re` could be busy with one line for years, and stop all threads."""
    import regex  # few specs declare metrics, and it takes as long to import as all of a plan's decisions

    return partial(regex.compile(_OTHER_TO_REGEX.sub(_as_in_re, pattern)).search, timeout=MATCH_SECONDS)


def _as_in_re(found: re.Match[str]) -> str:
    return found["same"] or (r"\{" if found["brace"] else r"[\:")
