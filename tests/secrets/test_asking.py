"""Secrets that are in variables, in files, or that commands print, and what tells two of their values apart."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.masking import masked
from sagespec.secrets.secrets import AGAIN_SECONDS, FRESH_SECONDS, LOOK_EVERY_SECONDS, Secrets
from sagespec.secrets.versions import version_of_text
from sagespec.spec.secrets import SecretSource

SALT = bytes(32)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def secrets_of(root: Path, sources: Mapping[str, SecretSource], clock: Clock | None = None) -> Secrets:
    return Secrets(sources, root, lambda: SALT, now=clock or Clock())


def command(*words: str) -> SecretSource:
    return SecretSource("command", command=words)


def private(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_a_variable_is_opened_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = secrets_of(tmp_path, {"token": SecretSource("env", "S_TOKEN")})
    monkeypatch.setenv("S_TOKEN", "first-token")
    before = secrets.version("token")
    assert secrets.open("token") == "first-token"
    assert before == version_of_text("first-token", SALT) == secrets.version("token")
    monkeypatch.setenv("S_TOKEN", "second-token")
    assert secrets.version("token") != before
    assert secrets.open("token") == "second-token"


def test_a_variable_that_is_not_set_is_not_asked_and_cannot_be_opened(tmp_path: Path) -> None:
    secrets = secrets_of(tmp_path, {"token": SecretSource("env", "S_NOT_THERE")})
    assert secrets.version("token") == ""
    assert secrets.unasked == {"token": "the variable S_NOT_THERE is not set"}
    with pytest.raises(WorldError, match="the variable S_NOT_THERE is not set"):
        secrets.open("token")


def test_a_file_is_read_without_its_last_line_end(tmp_path: Path) -> None:
    secrets = secrets_of(tmp_path, {"smtp": SecretSource("file", "smtp")})
    private(tmp_path / "smtp", "pass word \n")
    assert secrets.open("smtp") == "pass word "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o622])
def test_a_file_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    secrets = secrets_of(tmp_path, {"smtp": SecretSource("file", "smtp")})
    private(tmp_path / "smtp", "canary123").chmod(mode)
    with pytest.raises(WorldError) as error:
        secrets.open("smtp")
    assert error.value.problems[0].fix == "chmod 600 smtp"
    assert "canary" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"a\0b", b"x" * (64 * 2**10 + 1)])
def test_a_file_that_holds_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    secrets = secrets_of(tmp_path, {"smtp": SecretSource("file", "smtp")})
    private(tmp_path / "smtp", "").write_bytes(content)
    with pytest.raises(WorldError, match="smtp gives"):
        secrets.open("smtp")


def test_a_command_is_run_in_the_projects_folder_and_has_no_input(tmp_path: Path) -> None:
    private(tmp_path / "db", "from-a-command\n")
    said = "import sys; print(sys.stdin.read() + open('db').read(), end='')"
    assert secrets_of(tmp_path, {"db": command(sys.executable, "-c", said)}).open("db") == "from-a-command"


@pytest.mark.parametrize(
    ("words", "what", "why"),
    [
        (("no-such-command-here",), "cannot be run", ""),
        ((sys.executable, "-c", "print('canary123'); import sys; sys.exit('no key')"), "ended with 1", "no key"),
        ((sys.executable, "-c", ""), "gives nothing", ""),
    ],
)
def test_a_command_that_gives_no_secret_says_why(tmp_path: Path, words: tuple[str, ...], what: str, why: str) -> None:
    with pytest.raises(WorldError) as error:
        secrets_of(tmp_path, {"db": command(*words)}).open("db")
    (problem,) = error.value.problems
    assert what in problem.what
    assert problem.why == why
    assert "canary" not in str(error.value)


def test_a_command_is_run_again_only_after_a_while(tmp_path: Path) -> None:
    clock = Clock()
    count = "open('runs', 'a').write('x'); print('secret-' + str(len(open('runs').read())))"
    secrets = secrets_of(tmp_path, {"db": command(sys.executable, "-c", count)}, clock)
    runs = tmp_path / "runs"
    before = secrets.version("db")
    assert [secrets.open("db"), secrets.open("db"), runs.read_text()] == ["secret-1", "secret-1", "x"]
    clock.seconds = FRESH_SECONDS + 1
    assert secrets.version("db") == before
    clock.seconds = LOOK_EVERY_SECONDS + 1
    assert secrets.version("db") != before
    assert runs.read_text() == "xx"


def test_a_secret_that_cannot_be_asked_once_more_counts_as_unchanged(tmp_path: Path) -> None:
    secrets = secrets_of(tmp_path, {"smtp": SecretSource("file", "smtp")})
    file = private(tmp_path / "smtp", "pass word")
    before = secrets.version("smtp")
    file.unlink()
    assert secrets.version("smtp") == before
    assert "smtp cannot be read" in secrets.unasked["smtp"]
    private(file, "pass word")
    assert secrets.version("smtp") == before
    assert secrets.unasked == {}


def test_an_unknown_secret_is_told_with_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(WorldError) as error:
        secrets_of(tmp_path, {"churn-db": SecretSource("env", "X")}).open("churn-bd")
    assert error.value.problems[0].fix == 'did you mean "churn-db"?'


def test_what_is_opened_is_masked_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S_MASKED", "p@ss word-0451")
    secrets_of(tmp_path, {"token": SecretSource("env", "S_MASKED")}).version("token")
    said = "p@ss word-0451, p%40ss+word-0451 and cEBzcyB3b3JkLTA0NTE="
    assert masked(said) == "***, *** and ***="


def test_versions_tell_nothing_of_the_text_and_differ_by_project() -> None:
    assert version_of_text("1234", SALT) != version_of_text("1235", SALT)
    assert version_of_text("1234", SALT) != version_of_text("1234", bytes(31) + b"1")
    assert len(version_of_text("1234", SALT)) == 16


def test_a_command_that_fails_is_not_run_at_every_look(tmp_path: Path) -> None:
    clock = Clock()
    script = "open('runs', 'a').write('x'); import pathlib; print(pathlib.Path('db').read_text())"
    secrets = secrets_of(tmp_path, {"db": command(sys.executable, "-c", script)}, clock)
    for _ in range(3):
        assert secrets.version("db") == ""
        with pytest.raises(WorldError, match="ended with 1"):
            secrets.open("db")
    assert (tmp_path / "runs").read_text() == "x"
    (tmp_path / "db").write_text("there now")
    clock.seconds = AGAIN_SECONDS + 1
    assert secrets.open("db") == "there now\n".removesuffix("\n")
    assert (tmp_path / "runs").read_text() == "xx"


def test_encrypting_the_same_secret_again_is_no_rotation(tmp_path: Path) -> None:
    """The version is of what comes out, never of the file that it is kept in."""
    decrypt = "import base64; print(base64.b64decode(open('db.enc').read().split()[1]).decode(), end='')"
    secrets, clock = {"db": command(sys.executable, "-c", decrypt)}, Clock()
    (tmp_path / "db.enc").write_text("nonce-1 cGFzcyB3b3Jk")
    before = secrets_of(tmp_path, secrets, clock).version("db")
    (tmp_path / "db.enc").write_text("nonce-2 cGFzcyB3b3Jk")
    assert secrets_of(tmp_path, secrets, clock).version("db") == before


TELL = """
import os, sys
from pathlib import Path
from sagespec.secrets.secrets import Secrets
from sagespec.spec.secrets import SecretSource
Secrets({"key": SecretSource("env", "S_KEY")}, Path(), lambda: bytes(32)).open("key")
"""


@pytest.mark.parametrize("in_actions", ["true", ""])
def test_the_runner_of_github_is_told_to_mask_it_line_by_line(tmp_path: Path, in_actions: str) -> None:
    env = {**os.environ, "S_KEY": "-- first line --\nsecond line\nthird", "GITHUB_ACTIONS": in_actions}
    done = subprocess.run([sys.executable, "-c", TELL], env=env, capture_output=True, text=True, check=True)
    told = ["::add-mask::-- first line --", "::add-mask::second line"]
    assert (done.stdout, done.stderr.splitlines()) == ("", told if in_actions else [])
    with (tmp_path / "errors").open("w") as file:
        subprocess.run([sys.executable, "-c", TELL], env=env, stderr=file, check=True)
    assert (tmp_path / "errors").read_text() == "", "a file is not read by the runner, and would keep it"
