"""What a user's code needs in addition to the image: its requirements.txt, and the modules of its framework.

Used by `script` and `handlers`. Requirements are installed into a folder of their own, which is kept (`kept`). Packages
that are already installed count, and nothing outside that folder changes, so local processes leave their environment as
it was.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit import kept
from toolkit.errors import ClientError

IMAGES = Path(__file__).parents[1]
REQUIREMENTS = "requirements.txt"
OUTER = "outer.pth"


def require_modules(image_name: str) -> None:
    """ClientError with what to install if a module that image.json's `requires` lists is missing."""
    description: Mapping[str, Any] = json.loads((IMAGES / image_name / "image.json").read_text(encoding="utf-8"))
    requires = description["requires"]
    missing = [name for name in requires["modules"] if not is_installed(name)]
    if missing and requires["extra"]:
        raise ClientError(f"{', '.join(missing)} is not installed: pip install 'sagespec[{requires['extra']}]'")
    if missing:
        raise ClientError(f"{', '.join(missing)} is not installed, and no extra of sagespec brings it: use Docker")


def is_installed(module_name: str) -> bool:
    """Whether it can be imported. A folder of that name on the path, such as an image's, is not a module."""
    spec = importlib.util.find_spec(module_name)
    return spec is not None and spec.origin is not None


def install(code: Path, folder: Path, *, with_code: bool = False, more: Sequence[str] = ()) -> Path | None:
    """Install requirements.txt of `code` (with_code its setup.py) and `more`; where the modules are.

    What was installed for the same requirements before is used again, without a look at the index: see `kept`.
    Paths in requirements.txt count from `code`, as in SageMaker's toolkit.
    folder: the container's own, for where there is no other to keep it in, and for what would not outlive the code.
    None if there is nothing to install. Raises ClientError if pip cannot.
    """
    wanted = ["--requirement", REQUIREMENTS] if (code / REQUIREMENTS).is_file() else []
    wanted += ["."] if with_code else []
    wanted += more
    if not wanted:
        return None
    key = kept.key_of(code, outer_packages(), with_code=with_code, more=more)
    place = folder if kept.is_editable(code) else kept.where_kept(folder)
    return kept.find_or_make(key, place, lambda environment: _install(wanted, code, environment))


def _install(wanted: Sequence[str], code: Path, folder: Path) -> None:
    pip = [
        *(sys.executable, "-P", "-m", "pip"),  # -P: no module of the user's code is taken for one of pip's
        *("--python", str(_environment(folder)), "install"),
        *("--disable-pip-version-check", "--no-input", "--progress-bar", "off"),
    ]
    print("installing", *wanted, flush=True)
    done = subprocess.run(
        [*pip, *wanted],
        cwd=code if code.is_dir() else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout, end="", flush=True)
    if done.returncode:
        raise ClientError(f"pip could not install {' '.join(wanted[-1:])}: {_reason(done.stdout, code)}")


def python_for(modules: Path | None) -> str:
    """The Python to run with what `install` gave: its own, if it holds links (.pth), which no PYTHONPATH follows."""
    if modules is None or not any(file.name != OUTER for file in modules.glob("*.pth")):
        return sys.executable
    return str(modules.parents[2] / "bin" / "python")


def _reason(printed: str, code: Path) -> str:
    """pip's last error, its paths as the user has them."""
    said = [line for line in printed.splitlines() if line.strip()]
    reason = next((line for line in reversed(said) if line.startswith("ERROR:")), said[-1] if said else "")
    for folder in (code, code.resolve()):
        reason = reason.replace(f"file://{folder}/", "").replace(f"{folder}/", "")
    is_missing = re.search(r"No such file|does not exist", printed)
    hint = f" (paths count from the folder of {REQUIREMENTS})" if is_missing else ""
    return reason.removeprefix("ERROR: ") + hint


def hosted_packages(framework: str) -> list[str]:
    """The folders of packages that scripts import under the names that they have in SageMaker's own containers."""
    folders = [IMAGES / name / "hosted" for name in ("toolkit", framework)]
    return [str(folder) for folder in folders if folder.is_dir()]


def python_path(*folders: Path | str | None) -> str:
    """PYTHONPATH with `folders` in front and without the folder of the images, whose names are those of modules."""
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in inherited if path and Path(path).resolve() != IMAGES.resolve()]
    return os.pathsep.join([*(str(folder) for folder in folders if folder), *kept])


def outer_packages() -> list[str]:
    """The folders of packages that programs see without requirements."""
    return [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]


def _environment(folder: Path) -> Path:
    """A virtual environment in `folder` that sees our packages too; its Python.

    pip neither removes packages outside an environment nor installs again what the environment sees.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    Path(kept.modules_in(folder), OUTER).write_text("\n".join(outer_packages()) + "\n", encoding="utf-8")
    return folder / "bin" / "python"
