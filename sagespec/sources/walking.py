"""Ways through a user's folders: what a link may lead to, said in the same words wherever folders are read.

Sources, channels and the copies that runtimes make follow links, out of the folder too. None may lead back into a
folder that contains it, and none may lead nowhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from sagespec.errors import WorldError

MAX_DEPTH = 300

Above = tuple[tuple[int, int], ...]  # device and inode of the folders that a way is in


def enter(folder: Path, above: Above, status: os.stat_result | None = None) -> Above:
    """`above` with `folder`. WorldError when it is one of them already: a link led back."""
    status = status or folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        raise WorldError(f"{folder} is a link to a folder that contains it", fix="remove the link")
    if len(above) > MAX_DEPTH:
        raise WorldError(f"{folder} lies more than {MAX_DEPTH} folders deep", fix="use fewer folders in one another")
    return (*above, identity)


def leads_nowhere(link: Path) -> WorldError:
    return WorldError(
        f"{link} is a link to {link.readlink()}, which does not exist",
        fix="fetch the file it points to, or remove the link",
    )
