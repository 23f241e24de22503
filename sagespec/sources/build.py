"""What a folder with a Dockerfile gives to a build: its files without those that .dockerignore names, and their hash.

`resolve` makes a job's key from it, and the runtimes build from, or run, the same files; so what is left out of a
build never changes a key, and what is in it always does. What `sources` never ships (version control, caches) is
left out, too.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sagespec.errors import WorldError, disk_problems
from sagespec.sources.files import content_of, digest_of, files_of, is_shipped, named
from sagespec.state.hashes import hash_of
from sagespec.state.listing import Counted, short_of

DOCKERFILE_FROM_OUTSIDE = ".sagespec.Dockerfile"  # its name in the build, when it is not in the folder


@dataclass(frozen=True)
class BuildFolder:
    """`dockerfile` is relative to `path`, and may lead out of it; args are the build's arguments."""

    path: Path
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)

    def files(self) -> Iterator[str]:
        """What is sent to the engine, beside a Dockerfile from outside; sorted relative paths, links as themselves."""
        return files_of(self.path, self._is_wanted)

    def hash(self) -> str:
        """A hash of everything that decides what is built, except for what the Dockerfile fetches."""
        return self.counted().fingerprint

    def counted(self) -> Counted:
        """The hash, and the files behind it."""
        if not self.path.is_dir():
            return Counted(hash_of(["missing", self.dockerfile, self.args]))
        with disk_problems(f"cannot read {self.path}"):
            contents = {path: content_of(self.path / path) for path in self.files()}
            files = {path: short_of(content) for path, content in contents.items()}
            described = [digest_of(named(*item) for item in contents.items()), self.dockerfile, self.args]
            if (outside := self.outside_dockerfile) and outside.is_file():
                content = content_of(outside)
                files[self.dockerfile] = short_of(content)
                described.append(digest_of([content]))
            return Counted(hash_of(described), files)

    @property
    def outside_dockerfile(self) -> Path | None:
        """The Dockerfile, when it is not inside the folder."""
        name = posixpath.normpath(self.dockerfile)
        return self.path / name if name.startswith("../") or name.startswith("/") else None

    @property
    def dockerfile_in_build(self) -> str:
        return DOCKERFILE_FROM_OUTSIDE if self.outside_dockerfile else posixpath.normpath(self.dockerfile)

    def _is_wanted(self, path: str) -> bool:
        # The Dockerfile is sent and counted always, as the engine needs it.
        return is_shipped(path) and (path == self.dockerfile_in_build or not self._ignored.names(path))

    @cached_property
    def _ignored(self) -> IgnorePatterns:
        """Those of <Dockerfile>.dockerignore, which stand for .dockerignore where they are."""
        for file in (self.path / f"{self.dockerfile}.dockerignore", self.path / ".dockerignore"):
            with disk_problems(f"cannot read {file}"):
                if file.is_file():
                    return IgnorePatterns(file.read_text("utf-8-sig", errors="surrogateescape"), str(file))
        return IgnorePatterns("", "")


class IgnorePatterns:
    """The lines of a .dockerignore, as Docker reads them (docs.docker.com, "Dockerignore files").

    WorldError for a line that is no pattern; `origin` is the file, for that.

    >>> patterns = IgnorePatterns("*\\n!src\\n**/*.tmp", ".dockerignore")
    >>> [patterns.names(path) for path in ("data.csv", "src/a.py", "src/b/c.tmp")]
    [True, False, True]
    """

    def __init__(self, text: str, origin: str) -> None:
        self._patterns: list[tuple[bool, re.Pattern[str]]] = []
        self._exceptions: list[str] = []
        for number, line in enumerate(text.splitlines(), start=1):
            pattern = line.strip()
            if not pattern or line.startswith("#"):
                continue
            is_exception = pattern.startswith("!")
            pattern = posixpath.normpath(pattern.removeprefix("!").strip() or ".").lstrip("/")
            if pattern in (".", ""):
                continue
            if is_exception:
                self._exceptions.append(pattern)
            try:
                self._patterns.append((not is_exception, re.compile(_expression(pattern), re.DOTALL)))
            except re.error as error:
                raise WorldError(
                    f"{origin}:{number}: {pattern!r} is not a pattern: {error}", fix="correct it"
                ) from None

    def names(self, path: str) -> bool:
        """Whether a file is to be left out.

        The last line decides that names it or a folder it is in. A folder that is left out is not looked into,
        unless an exception (!) begins with its very name.
        """
        parts = path.split("/")
        places = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        return any(
            self._decides(places[:count]) and not any(f"{kept}/".startswith(f"{place}/") for kept in self._exceptions)
            for count, place in enumerate(places[:-1], start=1)
        ) or self._decides(places)

    def _decides(self, places: Sequence[str]) -> bool:
        for leaves_out, pattern in reversed(self._patterns):
            if any(pattern.fullmatch(place) for place in places):
                return leaves_out
        return False


_TOKEN = re.compile(r"\*\*/?|\*|\?|\\.|\[[^]]*\]|.", re.DOTALL)


def _expression(pattern: str) -> str:
    """A pattern as a regular expression: Go's filepath.Match, plus ** for any number of folders."""

    def translated(token: re.Match[str]) -> str:
        match token[0]:
            case "**/":
                return "(?:.*/)?"
            case "**":
                return ".*"
            case "*":
                return "[^/]*"
            case "?":
                return "[^/]"
            case text if len(text) > 1 and text.startswith("["):
                return text
            case text:
                return re.escape(text[-1])

    return _TOKEN.sub(translated, pattern)
