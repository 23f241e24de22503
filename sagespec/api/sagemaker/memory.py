"""What the control plane remembers between requests, to be quick: all of it can be read again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagespec.documents.files import one_writer
from sagespec.load.loaded import LoadedSpec
from sagespec.state.addresses import Address
from sagespec.state.manifest import Manifest


@dataclass
class Memory:
    """versions: the highest given to a job, by its name in lower case. completed: manifests that stay as they are.
    parsed: records by key, with their ETags. specs: those of the files, by address, with how the files looked."""

    versions: dict[str, int] = field(default_factory=dict)
    completed: dict[Address, Manifest] = field(default_factory=dict)
    parsed: dict[str, tuple[str, Any]] = field(default_factory=dict)
    specs: tuple[Any, Mapping[Address, LoadedSpec]] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _is_writing: bool = False

    @contextmanager
    def writing(self, root: Path) -> Iterator[None]:
        """While something is created or changed: one at a time, also among processes. May be entered again inside."""
        with self._lock:
            if self._is_writing:
                yield
                return
            self._is_writing = True
            try:
                with one_writer(root):
                    yield
            finally:
                self._is_writing = False
