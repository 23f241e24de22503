"""A job in script mode, as the platform describes it under /opt/ml.

`script` runs it; `script_variables` makes the arguments and variables of the script.
Facts: sagemaker-training 5.1 (environment.py).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import ClientError
from toolkit.hosts import DEFAULT_PORT, Hosts
from toolkit.training import read_json

PREFIX = "sagemaker_"
_LONGEST_FIRST_LINE = 256


@dataclass(frozen=True)
class Script:
    """A job in script mode, read from /opt/ml. `settings` are the sagemaker_* hyperparameters."""

    framework: str
    base: Path
    code: Path
    entry_point: str
    hyperparameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]]
    resources: Mapping[str, Any]

    @property
    def hosts(self) -> Hosts:
        return Hosts(tuple(sorted(self.resources["hosts"])), self.resources["current_host"])

    @property
    def rank(self) -> int:
        return self.hosts.names.index(self.hosts.current)

    @property
    def is_package(self) -> bool:
        return (self.code / "setup.py").is_file()

    @property
    def network_interface(self) -> str:
        return os.environ.get("SM_NETWORK_INTERFACE_NAME") or self.resources.get("network_interface_name", "eth0")

    @property
    def master(self) -> tuple[str, int]:
        """Where the hosts meet: an address and a port of the first host."""
        port = int(os.environ.get("SM_MASTER_PORT") or DEFAULT_PORT)
        return os.environ.get("SM_MASTER_ADDR") or self.hosts.names[0], port


def base_folder() -> Path:
    """The platform's tree."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def has_script() -> bool:
    """Whether the job brings a script; for an image that is also an algorithm."""
    given = read_json(base_folder() / "input/config/hyperparameters.json")
    return f"{PREFIX}program" in given or "SAGEMAKER_PROGRAM" in os.environ


def read_script(framework: str, base: Path) -> Script:
    """The job under `base`. Raises ClientError when its code or entry point is not there."""
    config = base / "input" / "config"
    given = {name: _decoded(text) for name, text in read_json(config / "hyperparameters.json").items()}
    settings = {name: value for name, value in given.items() if name.startswith(PREFIX)}
    entry_point = os.environ.get("SAGEMAKER_PROGRAM") or settings.get(f"{PREFIX}program")
    code = Path(
        settings.get(f"{PREFIX}submit_directory") or os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY") or base / "code"
    )
    if not entry_point:
        raise ClientError("there is no script to run: entry_point (the hyperparameter sagemaker_program) is missing")
    check_entry_point(Path(code), str(entry_point))
    resources = read_json(config / "resourceconfig.json")
    current = resources.get("current_host", "algo-1")
    script = Script(
        framework=framework,
        base=base,
        code=Path(code),
        entry_point=str(entry_point),
        hyperparameters={name: value for name, value in given.items() if name not in settings},
        settings=settings,
        inputs=read_json(config / "inputdataconfig.json"),
        resources={"current_host": current, "hosts": [current]} | resources,
    )
    for folder in ("model", "output/data", "output/intermediate"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    return script


def check_entry_point(code: Path, entry_point: str) -> None:
    """It must be a file of the code, or a module of it where the code is a package."""
    if not code.is_dir():
        raise ClientError(f"source_dir: there is no folder {code}")
    file = (code / entry_point).resolve()
    if not file.is_relative_to(code.resolve()):
        raise ClientError(f"entry_point: {entry_point} is outside of source_dir")
    is_module = (code / "setup.py").is_file() and not entry_point.endswith(".py")
    if not file.is_file() and not is_module:
        there = ", ".join(sorted(path.name for path in code.iterdir() if not path.name.startswith("."))) or "nothing"
        raise ClientError(f"entry_point: there is no {entry_point} in source_dir, which holds {there}")
    if file.is_file() and not entry_point.endswith(".py"):
        _check_first_line(file, entry_point)


def _check_first_line(file: Path, entry_point: str) -> None:
    """The shell, or what the first line names, must be able to run it; else it would be "not found"."""
    with file.open("rb") as opened:
        first = opened.readline(_LONGEST_FIRST_LINE)
    if first.endswith(b"\r\n"):
        raise ClientError(
            f"entry_point: {entry_point} has Windows line ends (CRLF): a carriage return belongs to each line; "
            f"save it with LF, as by sed -i 's/\\r$//' {entry_point}"
        )
    words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else ["/bin/sh"]
    if words and words[0].endswith("/env"):
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    if words and shutil.which(words[0]) is None:
        raise ClientError(f"entry_point: {entry_point} is to be run by {words[0]} (its first line), which is not there")


def _decoded(text: Any) -> Any:
    """Clients encode each value as JSON; one that is not JSON is the text itself."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text
