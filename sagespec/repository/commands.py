"""The `git` command, as it is called on a repository that others write to.

It reads no settings but ours, asks nobody, runs no hooks, takes objects only after checking them, and speaks no
protocol but the one of the address. A token is given by GIT_ASKPASS, so it is in no argument and no address.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sagespec.children import run
from sagespec.errors import WorldError
from sagespec.private import write_private

SECONDS = 60.0
FETCH_SECONDS = 1800.0
SIGNS_SINCE = (2, 34)  # SSH signatures
NO_SUCH_REF = 2  # what `ls-remote --exit-code` ends with
_TOKEN = "SAGESPEC_GIT_TOKEN"  # noqa: S105  # the variable's name
_OURS = re.compile(r"GIT_|SSH_ASKPASS|SAGESPEC_GIT_TOKEN")
_SCP_LIKE = re.compile(r"[^/:]+@?[^/:]*:(?!//)")


class GitRefused(WorldError):
    """git ended with an error. code: its exit code; said: its last words."""

    def __init__(self, words: tuple[str, ...], code: int, said: str, fix: str = "") -> None:
        self.code, self.said = code, said
        super().__init__(f"git {words[0]}: {said or f'exit code {code}'}", fix=fix)


def protocol_of(url: str) -> str:
    """As git's `protocol.<name>.allow` calls it.

    >>> [protocol_of(url) for url in ("https://h/r.git", "git@h:o/r.git", "/srv/r.git", "ssh://h/r")]
    ['https', 'ssh', 'file', 'ssh']
    """
    scheme, found, _ = url.partition("://")
    if found:
        return scheme.lower()
    return "ssh" if _SCP_LIKE.match(url) else "file"


@dataclass(frozen=True)
class GitCommand:
    """Calls of git about one address.

    git_dir: None before there is one. token: for HTTPS, asked for each call, as it may be another by now, and given by
    the program askpass; '' for none. ssh_key: the file of a private key. at: the checkout that it is called in.
    """

    url: str
    git_dir: Path | None = None
    token: Callable[[], str] = field(default=str, repr=False)
    askpass: Path = Path()
    ssh_key: str = ""
    at: Path | None = None

    def __call__(
        self, *words: str, settings: Mapping[str, str] | None = None, seconds: float = SECONDS, accepts: int = 0
    ) -> tuple[int, str]:
        """Exit code and output. GitRefused for any code but 0 and `accepts`."""
        command, token = ["git", *self._settings(settings or {})], self.token()
        if self.at:
            command += ["-C", str(self.at)]
        if self.git_dir:
            command.append(f"--git-dir={self.git_dir}")
        try:
            done = run([*command, *words], seconds=seconds, environment=self._environment(token))
        except FileNotFoundError:
            raise WorldError("git is not installed", fix="install git 2.34 or newer, or add it to PATH") from None
        except subprocess.TimeoutExpired:
            raise GitRefused(words, -1, f"no answer within {seconds:g} s") from None
        if done.returncode not in (0, accepts):
            raise GitRefused(words, done.returncode, _said(done.stderr, token))
        return done.returncode, done.stdout.decode(errors="replace")

    def _settings(self, more: Mapping[str, str]) -> list[str]:
        settings = {
            "core.hooksPath": os.devnull,
            "core.attributesFile": os.devnull,
            "core.fsmonitor": "false",
            "gc.auto": "0",
            "transfer.fsckObjects": "true",
            "protocol.allow": "never",
            f"protocol.{protocol_of(self.url)}.allow": "always",
            "credential.helper": "",
            "advice.detachedHead": "false",
            **more,
        }
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _environment(self, token: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
        ssh = "ssh -o BatchMode=yes -o ConnectTimeout=20"
        if self.ssh_key:
            ssh += f" -o IdentitiesOnly=yes -i '{self.ssh_key}'"
        ours = {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_SSH_COMMAND": ssh,
            "LC_ALL": "C",
        }
        if token:
            if not self.askpass.is_file():
                write_askpass(self.askpass)
            ours |= {"GIT_ASKPASS": str(self.askpass), _TOKEN: token}
        return kept | ours


def _said(stderr: bytes, token: str) -> str:
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    said = (fatal[0] if fatal else "").removeprefix("fatal: ").removeprefix("error: ")
    return said.replace(token, "***") if token else said


def write_askpass(file: Path) -> None:
    """The program that answers git's questions for a user and a password."""
    write_private(
        file, '#!/bin/sh\ncase "$1" in Username*) echo x-access-token;; *) printf %s "$SAGESPEC_GIT_TOKEN";; esac\n'
    )
    file.chmod(0o700)


def git_version() -> tuple[int, ...]:
    """() where git is not installed."""
    try:
        said = subprocess.run(["git", "version"], capture_output=True, text=True, timeout=SECONDS, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(number) for number in found.groups() if number) if found else ()
