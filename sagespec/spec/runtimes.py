"""The runtimes by name, in the one place that lists them. How each is opened: `LOADERS` in runtimes/choose.py."""

from __future__ import annotations

from typing import Literal, get_args

RuntimeName = Literal["docker", "process"]
RuntimeChoice = Literal["auto", RuntimeName]  # as sagespec.yaml and --runtime have it

RUNTIME_NAMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
RUNTIME_CHOICES: tuple[RuntimeChoice, ...] = get_args(RuntimeChoice)
