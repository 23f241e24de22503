"""Paths in requirements.txt count from the folder of the code, and what they lead to decides what is kept."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from toolkit import kept, packages
from toolkit.errors import ClientError

from tests.images.conftest import wheel_of

# A build backend without dependencies, so that no index is needed.
BACKEND = """
import os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None, content=None):
    info = "sagespec_test_local-1.0.dist-info"
    files = content or {"sagespec_test_local.py": open("sagespec_test_local.py").read()}
    files |= {
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: sagespec_test_local\\nVersion: 1.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(os.path.join(folder, "sagespec_test_local-1.0-py3-none-any.whl"), "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return "sagespec_test_local-1.0-py3-none-any.whl"
def build_editable(folder, config_settings=None, metadata_directory=None):
    return build_wheel(folder, content={"sagespec_test_local.pth": os.getcwd()})
"""
LOCAL_PACKAGE = {
    "libs/local/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    '[project]\nname = "sagespec_test_local"\nversion = "1.0"\n',
    "libs/local/backend.py": BACKEND,
    "libs/local/sagespec_test_local.py": "",
}


def code_with(code: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    return code


def imports(modules: Path | None, *names: str) -> bool:
    """As scripts do."""
    words = [packages.python_for(modules), "-c", f"import numpy, {', '.join(names)}"]
    return subprocess.run(words, env=os.environ | {"PYTHONPATH": str(modules)}, check=False).returncode == 0


@pytest.fixture(autouse=True)
def _without_index(monkeypatch: Any) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_paths_count_from_the_folder_of_the_code(tmp_path: Path) -> None:
    asked = "-c limits.txt\n-r req/base.txt\n./wheels/sagespec_test_path-1.0-py3-none-any.whl\n./libs/local\n"
    files = LOCAL_PACKAGE | {
        "requirements.txt": asked,
        "req/base.txt": "--find-links ./wheels\n-r more.txt\nsagespec_test_found\n",
        "req/more.txt": "wheels/sagespec_test_nested-1.0-py3-none-any.whl\n",
        "limits.txt": "sagespec_test_found==1.0\n",
        "random.py": "raise SystemExit('the module of the user, not that of Python')",
    }
    code = code_with(tmp_path / "code", files)
    names = ["sagespec_test_path", "sagespec_test_found", "sagespec_test_nested"]
    (code / "wheels").mkdir()
    for name in names:
        wheel_of(code / "wheels", name)
    modules = packages.install(code, tmp_path / "packages")
    assert imports(modules, *names, "sagespec_test_local")


def test_an_editable_package_is_not_kept_for_others(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(kept.SHARED_VARIABLE, str(tmp_path / "shared"))
    for number in ("1", "2"):
        files = LOCAL_PACKAGE | {"requirements.txt": "-r more.txt\n", "more.txt": "-e ./libs/local\n"}
        code = code_with(tmp_path / number / "code", files)
        modules = packages.install(code, tmp_path / number / "packages")
        assert imports(modules, "sagespec_test_local")
        shutil.rmtree(tmp_path / number)  # as the container of a job that has ended


@pytest.mark.parametrize("asked", ["./wheels/gone-1.0-py3-none-any.whl", "./libs/gone", "-r gone.txt"])
def test_what_is_not_there_is_named_as_the_user_wrote_it(asked: str, tmp_path: Path) -> None:
    code = code_with(tmp_path / "code", {"requirements.txt": f"{asked}\n"})
    with pytest.raises(ClientError, match=r"gone.*paths count from the folder of requirements.txt") as raised:
        packages.install(code, tmp_path / "packages")
    assert str(tmp_path) not in str(raised.value)


@pytest.mark.parametrize("asked", ["helper-1.0.tar.gz", "./libs/local", "local @ file:libs/local", "-e libs/local"])
def test_what_a_path_leads_to_is_in_the_key(asked: str, tmp_path: Path) -> None:
    files = LOCAL_PACKAGE | {"requirements.txt": f"{asked}\n", "helper-1.0.tar.gz": "1"}
    code = code_with(tmp_path, files)

    def key() -> str:
        return kept.key_of(code, [], with_code=False, more=[])

    before = key()
    code_with(code, {"libs/local/build/lib/a.py": "", "libs/local/local.egg-info/PKG-INFO": ""})
    assert key() == before, "what pip leaves there when it builds"
    code_with(code, {"libs/local/sagespec_test_local.py": "2", "helper-1.0.tar.gz": "2"})
    assert key() != before
