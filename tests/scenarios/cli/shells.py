"""Commands as a shell and a terminal run them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from tests.scenarios.workspace import Workspace

CODE = [sys.executable, "-m", "sagespec"]


def shell(command: str, workspace: Workspace, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command.replace("sagespec", " ".join(CODE))],
        cwd=workspace.root,
        env=workspace.env | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def in_terminal(workspace: Workspace, *words: str, typed: str = "") -> tuple[int, str]:
    """Exit code and output of a command that believes a person sits before it; `typed` is what they type."""
    person, terminal = pty.openpty()
    environment = {name: value for name, value in workspace.env.items() if name != "CI"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [*CODE, *words], cwd=workspace.root, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    os.write(person, typed.encode())
    shown = b""
    while True:
        try:
            part = os.read(person, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            part = b""
        if not part:
            break
        shown += part
    os.close(person)
    return process.wait(60), shown.decode()
