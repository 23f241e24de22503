"""What of a script's folder is no code: lines of .sagespecignore, as git reads its .gitignore, and what tools leave.

`code` asks for each file and folder. The lines below come first, so that a line of .sagespecignore may take one back
(!node_modules). What `files` never ships is not asked for at all.
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sagespec.errors import WorldError, disk_problems

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".sagespecignore"
TOOLS_BEFORE = (  # what the first to leave such files out knew of
    *(".venv", "node_modules", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".idea", ".vscode"),
    *("*~", ".*.sw[a-p]", "[#]*#"),  # what editors keep beside a file that is open
)
TOOLS = (*TOOLS_BEFORE, "Thumbs.db", "desktop.ini", ".~lock.*#")  # *.bak may be what a script reads
_LOCK = ".#"  # Emacs' link to nowhere beside a file that is open; no line takes it back, since !*.py would
_ENVIRONMENT = "pyvenv.cfg"  # in the folder of any virtual environment


class Ignored:
    """What is left out of `folder`. WorldError for a line of .sagespecignore that is no pattern."""

    def __init__(self, folder: Path, tools: tuple[str, ...] = TOOLS) -> None:
        self._folder, self._tools = folder, tools

    def names(self, path: str, *, is_folder: bool = False) -> bool:
        """Whether this is left out; of a folder, with all that is in it. path: relative, with forward slashes."""
        if path == IGNORE_FILE or path.rpartition("/")[2].startswith(_LOCK):
            return True
        decided: bool | None
        if not self._patterns:
            decided = _pattern(self._tools).match(path.rpartition("/")[2]) is not None or None
        elif is_folder:  # the library gives a folder's own line (!deep/) less weight than git does
            patterns = reversed(list(self._patterns.patterns))
            decided = next((p.include for p in patterns if p.match_file(f"{path}/") is not None), None)
        else:
            decided = self._patterns.check_file(path).include
        if decided is None:
            return is_folder and (self._folder / path / _ENVIRONMENT).is_file()
        return decided

    @cached_property
    def _patterns(self) -> GitIgnoreSpec | None:
        """None without a file: then the lines above need no library, which takes a tenth of a second to load."""
        file = self._folder / IGNORE_FILE
        with disk_problems(f"cannot read {file}"):
            if not file.is_file():
                return None
            lines = file.read_text("utf-8-sig", errors="surrogateescape").splitlines()
        from pathspec import GitIgnoreSpec

        for number, line in enumerate(lines, start=1):
            try:
                GitIgnoreSpec.from_lines([line])
            except ValueError as error:
                raise WorldError(f"{file}:{number}: {line!r} is not a pattern: {error}", fix="edit it") from None
        return GitIgnoreSpec.from_lines([*self._tools, *lines])


@cache
def _pattern(tools: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, tools)))
