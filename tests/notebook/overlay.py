"""A Python that has several environments' packages, as one that a person installed all of them into."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests import sdks

ROOT = Path(__file__).parents[2]


def make(folder: Path, *names: str) -> Path:
    """names: of `tests.sdks`, the first of which wins; sagespec and its own packages come last."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pythons = [*map(sdks.python, names), Path(sys.executable)]
    places = [str(ROOT), *(str(_packages(python)) for python in pythons)]
    (_packages(folder / "bin" / "python") / "others.pth").write_text("\n".join(places) + "\n")
    if "jupyter" in names:  # its pages and its list of extensions are beside the packages
        for beside in ("share", "etc"):
            (folder / beside).symlink_to(sdks.python("jupyter").parents[1] / beside)
    return folder / "bin" / "python"


def _packages(python: Path) -> Path:
    return next((python.parents[1] / "lib").glob("python3*")) / "site-packages"
