"""Many small jobs of one algorithm in one process: most of a job's seconds are imports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.images.conftest import clean_environment
from tests.images.tables import IMAGES

DRIVER = """
import importlib, sys
from pathlib import Path
from toolkit.training import Stop, run
module = importlib.import_module(sys.argv[1])
for base in sys.argv[2:]:
    print("JOB", run(module.train, module.Hyperparameters, Path(base), Stop()), flush=True)
"""


def write_job(
    base: Path, settings: Mapping[str, object], channels: Mapping[str, str | bytes], *, content_type: str
) -> Path:
    """The job's tree under `base`."""
    documents = {
        "hyperparameters": {name: str(value) for name, value in settings.items()},
        "inputdataconfig": {name: {"ContentType": content_type} for name in channels},
    }
    for name, document in documents.items():
        path = base / "input/config" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
    for name, content in channels.items():
        path = base / "input/data" / name / "part-0"
        path.parent.mkdir(parents=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return base


def train_all(image: str, folders: Sequence[Path], **env: str) -> list[tuple[int, str]]:
    """Exit code of each job, and what it printed or, if it failed, its failure. Nothing else may be on stderr."""
    module = re.findall(r"from (\w+_training)", (IMAGES / image / "train").read_text())
    command = [sys.executable, "-c", DRIVER, *module, *map(str, folders)]
    environment = clean_environment() | {"OMP_NUM_THREADS": "1"} | env
    process = subprocess.run(command, cwd=IMAGES / image, env=environment, capture_output=True, text=True, check=True)
    assert [line for line in process.stderr.splitlines() if not line.startswith("ClientError: ")] == []
    parts = re.split(r"^JOB (\d)\n", process.stdout, flags=re.MULTILINE)
    failures = [folder / "output/failure" for folder in folders]
    return [
        (int(code), failure.read_text() if failure.exists() else printed)
        for printed, code, failure in zip(parts[::2], parts[1::2], failures, strict=False)
    ]
