"""Which files hold specs, and their characters: all that can be wrong before the YAML is read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from stat import S_ISREG

from sagespec.errors import Origin, Problem, SpecError

LARGEST_FILE = 4 * 2**20
LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as YAML 1.1 and libyaml count lines

_ENDINGS = (".yaml", ".yml")
_OURS = re.compile(r"""apiVersion["']?\s*:\s*["']?sagespec/""")
_CONFLICT = re.compile(r"^(<{7}|>{7})( .*)?$", re.MULTILINE)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def find_files(paths: Sequence[Path], root: Path) -> tuple[list[Path], list[Problem]]:
    """The files named and the *.yaml and *.yml in the folders named, sorted, each once however it is reached.

    Links are followed; files and folders whose name starts with a dot are not looked at.
    """
    found: dict[str, Path] = {}
    problems: list[Problem] = []

    def walk(folder: Path, above: tuple[str, ...]) -> None:
        real = os.path.realpath(folder)
        if real in above:
            place = Origin(shown_name(folder, root))
            problems.append(Problem("is a link to a folder that contains it", fix="remove the link", where=place))
            return
        try:
            entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        except OSError as error:
            problems.append(_unreadable(folder, shown_name(folder, root), error))
            return
        for entry in entries:
            if holds(entry.is_dir):
                walk(entry, (*above, real))
            elif entry.suffix in _ENDINGS:
                found.setdefault(os.path.realpath(entry), entry)
            elif entry.suffix.lower() in _ENDINGS and _is_spec(entry):
                fix, where = f"rename it to {entry.stem}{entry.suffix.lower()}", Origin(shown_name(entry, root))
                problems.append(Problem(f"is not loaded: its name ends in {entry.suffix}", fix=fix, where=where))

    for path in paths:
        if holds((root / path).is_dir):
            walk(root / path, ())
        else:
            found.setdefault(os.path.realpath(root / path), root / path)
    return sorted(found.values()), problems


def left_out(paths: Sequence[Path], root: Path) -> list[Path]:
    """The project's spec files that `paths` leave out, as far as is known where to look: in specs/, and in the folders
    at the root that lead to `paths`."""
    given = [Path(os.path.normpath(root / path)) for path in paths]
    inside = [path for path in given if path != root and path.is_relative_to(root)]
    tops = {root / "specs", *(root / path.relative_to(root).parts[0] for path in inside)}
    loaded, everything = (find_files(folders, root)[0] for folders in (given, sorted(filter(Path.is_dir, tops))))
    known = {os.path.realpath(file) for file in loaded}
    return [file for file in everything if os.path.realpath(file) not in known and _is_spec(file)]


def _is_spec(file: Path) -> bool:
    """Whether it says so, whatever else is wrong with it."""
    try:
        return bool(_OURS.search(read_text(file, str(file))))
    except SpecError:
        return False


def holds(question: Callable[[], bool]) -> bool:
    """The result of path.exists and the like; False if they raise: the name is too long, or the folder unreadable."""
    try:
        return question()
    except OSError:
        return False


def shown_name(path: Path, root: Path) -> str:
    """How a file is named in origins: relative to the root, or absolute outside it."""
    path = Path(os.path.normpath(path))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def read_text(file: Path, name: str) -> str:
    """The file's characters; SpecError for what cannot be a spec. `name` is how problems call it."""
    data = _read_bytes(file, name)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SpecError(Problem("is written in UTF-16", fix="save the file as UTF-8", where=Origin(name)))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(
            Problem(
                f"the byte 0x{error.object[error.start]:02x} is not UTF-8",
                fix="save the file as UTF-8",
                where=_place(error.object[: error.start].decode(), name),
            )
        ) from error
    if control := _UNPRINTABLE.search(text):
        raise SpecError(
            Problem(
                f"the character U+{ord(control[0]):04X} is not allowed in YAML",
                fix="remove it; an editor that shows invisible characters helps",
                where=_place(text[: control.start()], name),
            )
        )
    if conflict := _CONFLICT.search(text):
        raise SpecError(
            Problem(
                "a merge conflict is left in the file",
                fix="keep one side, or both joined, and remove the lines <<<<<<<, ======= and >>>>>>>",
                where=_place(text[: conflict.start()], name),
            )
        )
    return text


def _read_bytes(file: Path, name: str) -> bytes:
    try:
        # Asked before opening: a named pipe would wait for ever, and a data file may not fit into memory.
        status = file.stat()
        if not S_ISREG(status.st_mode):
            raise SpecError(Problem("is not a file", fix="name a YAML file or a folder", where=Origin(name)))
        if status.st_size > LARGEST_FILE:
            raise SpecError(
                Problem(
                    f"has {status.st_size:,} bytes, and a spec file may have {LARGEST_FILE:,}",
                    fix="keep data out of spec folders; split a large spec file",
                    where=Origin(name),
                )
            )
        return file.read_bytes()
    except OSError as error:
        raise SpecError(_unreadable(file, name, error)) from error


def _unreadable(path: Path, name: str, error: OSError) -> Problem:
    if holds(path.is_symlink) and not holds(path.exists):
        return Problem(f"is a link that leads nowhere: {path.readlink()}", fix="remove the link", where=Origin(name))
    if isinstance(error, FileNotFoundError):
        fix = "`sagespec init` writes a first spec; -f names another place"
        return Problem("does not exist", fix=fix, where=Origin(name))
    return Problem(f"cannot be read: {error.strerror}", fix="check its permissions", where=Origin(name))


def _place(before: str, name: str) -> Origin:
    """The place after the characters `before`."""
    lines = LINE_BREAK.split(before.removeprefix("\ufeff"))
    return Origin(name, len(lines), len(lines[-1]) + 1)
