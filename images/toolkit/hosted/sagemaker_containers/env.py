"""What the job is like, as attributes: `training_env().channel_input_dirs["train"]`."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any


class TrainingEnv(SimpleNamespace):
    """All that SM_TRAINING_ENV holds."""

    def __init__(self) -> None:
        facts: dict[str, Any] = json.loads(os.environ.get("SM_TRAINING_ENV", "{}"))
        super().__init__(**facts)


def training_env() -> TrainingEnv:
    return TrainingEnv()
