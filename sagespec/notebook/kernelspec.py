"""The kernel "Python 3 (sagespec)": this Python, with the extension that makes SageMaker's SDKs work here.

How to reach the control plane is not in it: the extension reads that as a kernel starts, from the project round the
notebook. So one kernel fits all projects, and outlives a control plane that moves to another port.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sagespec.errors import disk_problems

DISPLAY_NAME = "Python 3 (sagespec)"
EXTENSION = "--IPKernelApp.extra_extensions=['sagespec']"
PROJECT_VARIABLE = "SAGESPEC_PROJECT"  # for notebooks that lie in no project


def kernelspec(project: Path) -> dict[str, Any]:
    return {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", EXTENSION],
        "display_name": DISPLAY_NAME,
        "language": "python",
        "env": {PROJECT_VARIABLE: str(project)},
        "metadata": {"debugger": True},
    }


def write(data: Path, name: str, project: Path) -> Path:
    """Put the kernel into a folder of Jupyter's data; its kernel.json."""
    file = data / "kernels" / name / "kernel.json"
    with disk_problems(f"cannot write {file}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kernelspec(project), indent=1) + "\n")
    return file


def user_data() -> Path:
    """Where Jupyter looks for the kernels of this user, as JupyterLab and VS Code do."""
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir())
