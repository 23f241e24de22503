"""The secrets of a project, opened by name and told apart by versions.

`parts` makes one `Secrets` of what sagespec.yaml says. `resolve` asks for versions, which decide whether containers are
replaced, and runtimes open a secret at the moment at which they create a container. Nothing that is opened is kept
beyond this process, and all of it is masked in what leaves it.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from sagespec.errors import WorldError, did_you_mean
from sagespec.masking import SHORTEST, hide
from sagespec.secrets.asking import from_command, from_file, from_variable
from sagespec.secrets.versions import version_of_place, version_of_text
from sagespec.spec.secrets import SecretSource

Value = TypeVar("Value")
LOOK_EVERY_SECONDS = 300.0  # at what is asked of others: AWS, commands
FRESH_SECONDS = 15.0  # for all containers that are created together
AGAIN_SECONDS = 30.0  # after others could not be asked: what looks every second does not wait for them each time


@dataclass(frozen=True)
class Opened:
    """text: None where only the version was asked for. at: by the monotonic clock."""

    version: str
    at: float
    text: str | None = None


class Secrets:
    """root: where commands are run; home: where relative paths of files start. salt: what versions are hashed with."""

    def __init__(
        self,
        sources: Mapping[str, SecretSource],
        root: Path,
        salt: Callable[[], bytes],
        *,
        home: Path | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sources = sources
        self.unasked: dict[str, str] = {}  # by name: why it could not be asked when it was tried last
        self._root, self._home, self._salt, self._now = root, home or root, salt, now
        self._known: dict[str, Opened] = {}
        self._failed: dict[str, tuple[WorldError, float]] = {}
        self._asking = threading.RLock()

    def open(self, name: str) -> str:
        """The secret as it is now. WorldError when it cannot be had; its text says nothing of the secret."""
        with self._asking:
            return self._opened(name)

    def version(self, name: str) -> str:
        """What tells its present value from others; '' when it cannot be asked, and `unasked` says why."""
        with self._asking:
            try:
                return self.asked_version(name)
            except WorldError:
                known = self._known.get(name)
                return known.version if known else ""

    def asked_version(self, name: str) -> str:
        """The same; WorldError when it cannot be asked."""
        with self._asking:
            try:
                found = self._version(name)
            except WorldError as error:
                self.unasked[name] = error.problems[0].what
                raise
            self.unasked.pop(name, None)
            return found

    def _opened(self, name: str) -> str:
        source, known = self._source(name), self._known.get(name)
        if known and known.text is not None and _is_remote(source) and self._now() - known.at < FRESH_SECONDS:
            return known.text
        text, version = self._asked(name, source, lambda: self._read(source))
        self._known[name] = Opened(version or version_of_text(text, self._salt()), self._now(), text)
        conceal(text)
        return text

    def _version(self, name: str) -> str:
        source, known = self._source(name), self._known.get(name)
        if known and _is_remote(source) and self._now() - known.at < LOOK_EVERY_SECONDS:
            return known.version
        if source.provider not in ("aws", "ssm"):
            self._opened(name)
            return self._known[name].version
        from sagespec.secrets.aws import version_in_aws

        version = self._asked(name, source, lambda: version_of_place(str(source), version_in_aws(source)))
        is_same = known is not None and known.version == version
        self._known[name] = replace(known, at=self._now()) if known and is_same else Opened(version, self._now())
        return version

    def _asked(self, name: str, source: SecretSource, ask: Callable[[], Value]) -> Value:
        """What `ask` gives; the same WorldError for a while where others could not be asked."""
        error, at = self._failed.get(name, (None, 0.0))
        if error and self._now() - at < AGAIN_SECONDS:
            raise error
        try:
            found = ask()
        except WorldError as error:
            if _is_remote(source):
                self._failed[name] = (error, self._now())
            raise
        self._failed.pop(name, None)
        return found

    def _read(self, source: SecretSource) -> tuple[str, str]:
        """The secret, and its version where its keeper has one."""
        match source.provider:
            case "env":
                return from_variable(source.place, os.environ), ""
            case "file":
                return from_file(source.place, self._home), ""
            case "command":
                return from_command(source.command, self._root), ""
            case "aws" | "ssm":
                from sagespec.secrets.aws import read_from_aws

                text, version = read_from_aws(source)
                return text, version_of_place(str(source), version)

    def _source(self, name: str) -> SecretSource:
        if name not in self.sources:
            fix = did_you_mean(name, self.sources) or f"name where it is kept in sagespec.yaml: secrets: {{{name}: …}}"
            raise WorldError(f"there is no secret {name}", fix=fix)
        return self.sources[name]


def _is_remote(source: SecretSource) -> bool:
    return source.provider in ("aws", "ssm", "command")


def conceal(text: str) -> None:
    """Mask it in what leaves this process, and have GitHub do so in what other steps print."""
    if hide(text) and os.environ.get("GITHUB_ACTIONS") == "true" and _is_read_by_runner():
        for line in text.splitlines():
            if len(line) >= SHORTEST:
                print(f"::add-mask::{line}", file=sys.stderr, flush=True)


def _is_read_by_runner() -> bool:
    """Whether what is printed goes to whoever started us, and not into a file."""
    with suppress(OSError, ValueError, AttributeError):
        return stat.S_ISFIFO(os.fstat(sys.stderr.fileno()).st_mode)
    return False
