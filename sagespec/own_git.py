"""The `git` command in a checkout of the user's own, with their settings, credentials and keys.

The caller may be a hook, which has the repository that it is of in its variables: that of the folder is meant all the
same. A repository that others write to is asked by `repository.commands`, which trusts nothing of it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sagespec.errors import WorldError

# How repositories are found, trusted and reached, and who signs; not which one it is, nor what git prints of it.
_KEPT = re.compile(
    r"GIT_(CONFIG|CEILING|DISCOVERY|SSH|ASKPASS|SSL|HTTP|PROXY|PROTOCOL|ALLOW_PROTOCOL|EXEC_PATH|AUTHOR|COMMITTER)"
)


def environment_of_git(**more: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("GIT_") or _KEPT.match(name)}
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **more}


def git(folder: Path, *words: str, seconds: float, more: Mapping[str, str] | None = None, given: str = "") -> str:
    """What it prints. WorldError with its own words when it fails. more: variables. given: its input."""
    # Large files of git-lfs stay what they are in the checkout: none is fetched.
    environment = environment_of_git(GIT_LFS_SKIP_SMUDGE="1", **(more or {}))
    verb = next((word for word in words if not word.startswith("-") and "=" not in word), "")
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            input=os.fsencode(given),
            capture_output=True,
            check=True,
            timeout=seconds,
            env=environment,
        )
    except FileNotFoundError:
        raise WorldError("git is not installed", fix="install git, or add it to PATH") from None
    except subprocess.TimeoutExpired:
        raise WorldError(f"git {verb} takes longer than {seconds:g} s", fix="try again") from None
    except subprocess.CalledProcessError as error:
        said = _said(error.stderr) or f"it ended with {error.returncode}"
        raise WorldError(f"git {verb}: {said}", fix=f"see `git -C {folder} status`") from None
    return os.fsdecode(done.stdout)


def _said(stderr: bytes) -> str:
    lines = [line for line in os.fsdecode(stderr).splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith(("fatal:", "error:", "!", " !"))), "".join(lines[:1]))
    return said.strip().removeprefix("fatal: ").removeprefix("error: ")
