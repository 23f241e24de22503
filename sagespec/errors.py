"""What went wrong, in the form every part of sagespec reports it.

A `Problem` names the place, the thing, what is wrong, why, and how to fix it. The three exceptions
sort problems by what the reader should do: edit a spec, look at the world, or report a bug. They are
raised by every layer and shown by `cli` alone.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sagespec.display import Displayed
from sagespec.masking import masked


@dataclass(frozen=True, order=True)
class Origin:
    """A place in a spec file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def as_json(self) -> dict[str, object]:
        """The stable JSON form."""
        return {"file": self.file, "line": self.line, "column": self.column}


@dataclass(frozen=True)
class Problem(Displayed):
    """One thing that is wrong.

    what: the fact, with the values involved. about: the address or field it concerns ("" if none).
    why: the rule behind it. fix: the next step, in the imperative. where: the place, if it has one.
    """

    what: str
    about: str = ""
    why: str = ""
    fix: str = ""
    where: Origin | None = None

    def __post_init__(self) -> None:
        """Whatever becomes of it, no secret leaves with it."""
        for name in ("what", "why", "fix"):
            if (text := getattr(self, name)) != (seen := masked(text)):
                object.__setattr__(self, name, seen)

    @classmethod
    def read(cls, text: str, about: str = "") -> Self:
        """The problem of `about` that the text says, which may have lines for why and fix as `str` writes them."""
        lines, labels = text.split("\n"), ("  why  ", "  fix  ")
        why, fix = ("\n".join(line[7:] for line in lines if line.startswith(label)) for label in labels)
        what = "\n".join(line for line in lines if not line.startswith(labels)).rstrip()
        return cls(what, about=about, why=why, fix=fix)

    def __str__(self) -> str:
        head = " ".join(
            part for part in (str(self.where or ""), f"{self.about}:" if self.about else "", self.what) if part
        )
        lines = [head]
        if self.why:
            lines.append(f"  why  {self.why}")
        if self.fix:
            lines.append(f"  fix  {self.fix}")
        return "\n".join(lines)

    def _repr_pretty_(self, printer: Any, _is_cycle: bool) -> None:
        """What IPython prints."""
        printer.text(str(self))

    def as_json(self) -> dict[str, object]:
        """The stable JSON form: about, what, why, fix, file, line, column (the last three may be null)."""
        return {
            "about": self.about,
            "what": self.what,
            "why": self.why,
            "fix": self.fix,
            "file": self.where.file if self.where else None,
            "line": self.where.line if self.where else None,
            "column": self.where.column if self.where else None,
        }


class SagespecError(Exception):
    """Base of the three kinds; carries every problem found, not only the first."""

    def __init__(self, problems: Problem | str | Sequence[Problem], *, why: str = "", fix: str = "") -> None:
        if isinstance(problems, str):
            problems = Problem(problems, why=why, fix=fix)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback: the problems, and the line of one's own that led to them."""
        return [f"\x1b[31m{type(self).__name__}\x1b[0m{_asked_at(self.__traceback__)}", *str(self).split("\n")]


class SpecError(SagespecError):
    """What the user wrote is wrong; editing the spec fixes it."""


class WorldError(SagespecError):
    """The engine, the store, the disk or the network refused; the problem says what to check."""


class JobFailed(WorldError):
    """A training job ended without a model. reason: why; lines: the last ones of its log."""

    def __init__(self, address: str, reason: str, lines: Sequence[str] = (), *, fix: str = "") -> None:
        self.address, self.reason, self.lines = address, reason, tuple(lines)
        said = "\n".join(("its last lines:", *(f"    {line}" for line in lines))) if lines else ""
        super().__init__(Problem(reason, about=address, why=said, fix=fix))


class ModelError(WorldError):
    """A model refused a request, or gave no answer. status: of HTTP; body: what it said; variant: which one."""

    def __init__(self, endpoint: str, status: int, body: str, variant: str = "", *, fix: str = "") -> None:
        self.endpoint, self.status, self.body, self.variant = endpoint, status, body, variant
        about = f"{endpoint}/{variant}" if variant else endpoint
        super().__init__(Problem(f"answers {status}: {body}", about=about, fix=fix))


class InternalError(SagespecError):
    """A bug in sagespec: one of its own rules was broken; please report it."""

    def _render_traceback_(self) -> list[str]:
        import traceback

        return [masked(line) for line in traceback.format_exception(self)]


def _asked_at(trace: TracebackType | None) -> str:
    """' in line 3: project.apply()', of the last line outside of sagespec."""
    import linecache

    package, found = __name__.partition(".")[0], ""
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_globals.get("__name__", "").partition(".")[0] not in (package, "IPython"):
            code = linecache.getline(frame.f_code.co_filename, trace.tb_lineno, frame.f_globals).strip()
            found = f" in line {trace.tb_lineno}" + (f": {code}" if code else "")
        trace = trace.tb_next
    return found


_FIXES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or have the quota raised",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or use a file system that takes larger ones",
    errno.EACCES: "give your user access to it",
    errno.EPERM: "give your user access to it",
    errno.EROFS: "it is mounted read-only: mount it writable or choose another place",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENAMETOOLONG: "use shorter names",
    errno.ELOOP: "remove the link that leads back into its own folder",
    errno.EAGAIN: "raise the limit on processes (ulimit -u), or end some",
    errno.ENOMEM: "end programs that use much memory",
}


def disk_problem(error: OSError, what: str) -> WorldError:
    """`what` (a clause such as 'cannot write /x') with the system's reason, the file if `what` does not name it, and
    the way out."""
    reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    place = f" ({error.filename})" if error.filename and str(error.filename) not in what else ""
    return WorldError(f"{what}: {reason[:1].lower()}{reason[1:]}{place}", fix=_FIXES.get(error.errno or 0, ""))


@contextmanager
def disk_problems(what: str) -> Iterator[None]:
    """Turns an OSError of the block into a WorldError that begins with `what`."""
    try:
        yield
    except OSError as error:
        raise disk_problem(error, what) from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """'did you mean "x"?' for the nearest of `known`, or '' when none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""


class Cancelled(Exception):
    """Stopped on request; what runs keeps running and the next apply picks it up."""
