"""LightGBM's own log, in which a warning that would come in every round comes once."""

from __future__ import annotations

import re
import sys

from lean_lightgbm import lightgbm

NUMBER = re.compile(r"[-+]?(\d[\w.+-]*|inf\b|nan\b)")


class SaidOnce:
    """A logger as LightGBM takes one. Other numbers do not make a warning another one."""

    def __init__(self) -> None:
        self._warnings: set[str] = set()

    def info(self, message: str) -> None:
        """What the library says, its warnings too, which have their kind in front."""
        if "[Warning]" in message:
            kind = NUMBER.sub("#", message)
            if kind in self._warnings:
                return
            self._warnings.add(kind)
        print(message, flush=True)

    def warning(self, message: str) -> None:
        """What its Python part warns of."""
        print(message, file=sys.stderr, flush=True)


def say_once() -> None:
    """In this thread: LightGBM's library knows for each thread apart that Python prints for it."""
    lightgbm.register_logger(SaidOnce())
    library = lightgbm.basic._LIB  # type: ignore[attr-defined]
    library.LGBM_RegisterLogCallback(library.callback)
