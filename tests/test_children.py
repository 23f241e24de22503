"""Programs that are run for a while leave nothing behind, however they end."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagespec.children import run
from sagespec.errors import WorldError
from sagespec.repository.commands import GitCommand, GitRefused
from sagespec.secrets import asking
from tests.scenarios.workspace import wait_until


@pytest.fixture
def silent_server() -> Iterator[tuple[str, list[socket.socket]]]:
    """Takes connections and never answers: its address, and who is connected."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connected: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    connected.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/r.git", connected
        for one in connected:
            one.close()


def test_what_git_has_started_does_not_outlive_it(silent_server: tuple[str, list[socket.socket]]) -> None:
    url, connected = silent_server
    with pytest.raises(GitRefused, match="no answer within 2 s"):
        GitCommand(url)("ls-remote", url, "refs/heads/main", seconds=2)
    assert connected, "it has asked"
    for one in connected:
        one.settimeout(30)
        while one.recv(4096):  # b'' once whoever asked is gone
            pass


def test_a_secrets_command_that_hangs_is_ended_with_all_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "COMMAND_SECONDS", 1.0)
    pid = tmp_path / "pid"
    with pytest.raises(WorldError, match="did not end within 1 s"):
        asking.from_command(("sh", "-c", f"sleep 600 & echo $! > {pid}; wait"), tmp_path)
    wait_until(lambda: not _is_alive(int(pid.read_text())))


def test_what_a_program_says_and_is_told() -> None:
    done = run(["sh", "-c", "cat; echo no >&2; exit 3"], seconds=30, said=b"yes\n", joins_errors=True)
    assert (done.stdout, done.returncode) == (b"yes\nno\n", 3)
    done = run(["sh", "-c", "cat; echo no >&2"], seconds=30)
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"no\n", 0)


def _is_alive(pid: int) -> bool:
    """Whether it runs; one that has ended and that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")
