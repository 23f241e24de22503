"""Clients that cannot share an environment with each other or with us, each in one of its own: `.ci/sdks.sh`."""

from __future__ import annotations

import shutil
from pathlib import Path

NAMES = ("sdk2", "sdk3", "jupyter", "mlflow")
FOLDER = Path(__file__).parents[1] / ".venvs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def python(name: str) -> Path:
    """The Python of an environment: one of NAMES."""
    return FOLDER / name / "bin" / "python"


def missing(name: str) -> str | None:
    return None if python(name).exists() else f"there is no {FOLDER.name}/{name}: .ci/sdks.sh makes it"


def browser() -> str | None:
    """The program of a Chromium of the system."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def browser_missing() -> str | None:
    return None if browser() else f"none of {', '.join(BROWSERS)} is installed"
