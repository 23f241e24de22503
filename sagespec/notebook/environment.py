"""What a kernel needs to reach the project's control plane: found when it starts, and again when that has moved."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from sagespec.errors import SagespecError, SpecError
from sagespec.notebook.kernelspec import PROJECT_VARIABLE
from sagespec.private import kept_in

# While no control plane runs: a call fails, here and at once. It must not reach AWS, where it would cost money.
NOWHERE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:8081",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def project_root() -> Path:
    """The project round the notebook, or the one the kernel was made for. SpecError when there is none."""
    from sagespec.load.load import find_root

    try:
        return find_root(Path.cwd())
    except SpecError:
        if os.environ.get(PROJECT_VARIABLE):
            return find_root(Path(os.environ[PROJECT_VARIABLE]))
        raise


class Environment:
    """Keeps the variables of this process as the project's control plane has them."""

    def __init__(self, root: Path, into: MutableMapping[str, str] = os.environ) -> None:
        self._root, self._into = root, into
        self._seen: object = None

    def refresh(self) -> None:
        """Cheap: one look at a file, unless that has changed. WorldError when no control plane runs."""
        seen = _stamp(kept_in(self._root, os.environ.get("SAGESPEC_ENV", "")) / "api.json")
        if seen == self._seen:
            return
        self._seen = seen
        from sagespec.api.environment import environment_of
        from sagespec.project import Project

        try:
            with Project.open(self._root) as project:
                found = environment_of(project, self._into)
        except SagespecError:
            self._into.update(NOWHERE)
            raise
        self._into.update(found.variables)
        for name in found.unset:
            self._into.pop(name, None)


def _stamp(file: Path) -> object:
    try:
        status = file.stat()
    except OSError:
        return "none"
    return status.st_mtime_ns, status.st_ino
