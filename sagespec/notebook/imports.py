"""Acts on modules as they are imported, or at once on those that are."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Collection, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class OnImport(MetaPathFinder):
    """act: called with each of the named modules once it has been executed, before whoever imports it sees it."""

    def __init__(self, names: Collection[str], act: Callable[[ModuleType], None]) -> None:
        self._names, self._act = names, act
        self._finding: set[str] = set()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname not in self._names or fullname in self._finding:
            return None
        self._finding.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)  # by the finders behind this one
        finally:
            self._finding.discard(fullname)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._act(module)

        vars(spec.loader)["exec_module"] = exec_module
        return spec

    def install(self) -> None:
        sys.meta_path.insert(0, self)
        for name in self._names:
            if name in sys.modules:
                self._act(sys.modules[name])

    @staticmethod
    def is_installed() -> bool:
        return any(isinstance(finder, OnImport) for finder in sys.meta_path)
