"""The folder `.sagespec` of a project, for its owner alone: what programs are started with and print may hold secrets.

Whoever makes a folder that may lie in it makes it here; `parts` closes the folder that an earlier release made.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

NAME = ".sagespec"


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; `.sagespec` among them can be entered by its owner alone."""
    for above in reversed((folder, *folder.parents)):
        if above.name == NAME and not above.exists():
            above.parent.mkdir(parents=True, exist_ok=True)
            above.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def close_to_others(root: Path) -> None:
    """Take from others what they may do in `.sagespec`, unless it is not ours, or was shared on purpose (setgid)."""
    folder = root / NAME
    with suppress(OSError):  # there is none; or it may not be changed, and whoever made it so knows
        status = folder.stat()
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid == os.geteuid() and mode & 0o077 and not mode & stat.S_ISGID:
            folder.chmod(mode & ~0o077)
