"""Asks for secrets that are in a variable, a file, or that a command prints. No problem holds anything of one."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sagespec.children import run
from sagespec.errors import WorldError

LONGEST_BYTES = 64 * 2**10
COMMAND_SECONDS = 30.0
_LONGEST_SAID = 200


def from_variable(name: str, variables: Mapping[str, str]) -> str:
    text = variables.get(name, "")
    if not text:
        raise WorldError(f"the variable {name} is not set", fix="set it where sagespec runs")
    return text


def from_file(place: str, root: Path) -> str:
    """Without the line's end. WorldError where others may read it."""
    file = root / place
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            content = opened.read(LONGEST_BYTES + 1)
    except OSError as error:
        fix = "check the path, and that your user may read it"
        raise WorldError(f"{place} cannot be read ({error.strerror or error})", fix=fix) from None
    if mode & 0o077:
        why = f"a file that holds a secret is its owner's alone; its mode is {mode:04o}"
        raise WorldError(f"others may read {place}", why=why, fix=f"chmod 600 {place}")
    return _text(content, place)


def from_command(command: tuple[str, ...], root: Path) -> str:
    """What it prints, without the line's end. It is asked nothing: it has no input, and half a minute."""
    shown = f"the command {command[0]}"
    try:
        done = run(command, seconds=COMMAND_SECONDS, folder=root)
    except subprocess.TimeoutExpired:
        fix = "see whether it asks for something: it has no input here"
        raise WorldError(f"{shown} did not end within {COMMAND_SECONDS:g} s", fix=fix) from None
    except OSError as error:
        fix = "install it, or correct its name"
        raise WorldError(f"{shown} cannot be run ({error.strerror or error})", fix=fix) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:_LONGEST_SAID]
        raise WorldError(
            f"{shown} ended with {done.returncode}", why=said, fix="run it by hand in the project's folder"
        )
    return _text(done.stdout, shown)


def _text(content: bytes, place: str) -> str:
    if len(content) > LONGEST_BYTES:
        raise WorldError(f"{place} gives more than {LONGEST_BYTES >> 10} KiB", fix="name what holds the secret alone")
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise WorldError(f"{place} gives no text", fix="keep it as text: base64, for example") from None
    return checked(text, place)


def checked(text: str, place: str) -> str:
    """The same, if it can be the value of a variable."""
    if not text or "\0" in text:
        what = "a NUL character, which no variable can hold" if text else "nothing"
        raise WorldError(f"{place} gives {what}", fix="put the secret there")
    return text
