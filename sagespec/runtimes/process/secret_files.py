"""Secrets that a local process gets as files: in memory (tmpfs), for its user alone, gone with its container.

Never below the project's folder. After a reboot they are written again with the start of the container.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sagespec.errors import disk_problems

_IN_MEMORY = ("/dev/shm",)  # noqa: S108  # the folder in it is made for us alone


def secrets_folder(container_id: str) -> Path:
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    above = next((place for place in (own, *_IN_MEMORY) if place and os.access(place, os.W_OK)), tempfile.gettempdir())
    return Path(above, f"sagespec-{os.getuid()}-{container_id}")


def write_secrets(container_id: str, files: Mapping[str, bytes]) -> Path:
    """The folder with the files; it is made only where there is any."""
    folder = secrets_folder(container_id)
    if not files:
        return folder
    with disk_problems(f"cannot write secrets to {folder}"):
        remove_secrets(container_id)
        folder.mkdir(mode=0o700)
        for name, content in files.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(folder / name, flags, 0o600), "wb") as file:
                file.write(content)
    return folder


def remove_secrets(container_id: str) -> None:
    shutil.rmtree(secrets_folder(container_id), ignore_errors=True)
