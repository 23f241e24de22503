"""The runtimes by name, in the one place that lists them. How each is opened: `LOADERS` in runtimes/choose.py."""

from __future__ import annotations

from typing import Literal, get_args

OfOneMachine = Literal["docker", "process"]
RuntimeName = Literal[OfOneMachine, "swarm"]
RuntimeChoice = Literal["auto", RuntimeName]  # as --runtime has it
NamedAlone = Literal["auto", OfOneMachine]  # in sagespec.yaml; a Swarm needs more than its name (spec/swarm.py)

RUNTIME_NAMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
RUNTIME_CHOICES: tuple[RuntimeChoice, ...] = get_args(RuntimeChoice)
