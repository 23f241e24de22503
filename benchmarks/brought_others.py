"""The servers that benchmarks/brought.py compares with: how each is started, what it reads and what it answers."""

from __future__ import annotations

import json
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks import serving

BRING_YOUR_OWN, MLFLOW = "bring-your-own", "MLflow"

SAVE_FOR_MLFLOW = """
import sys, joblib, mlflow.sklearn
mlflow.sklearn.save_model(joblib.load(sys.argv[1]), sys.argv[2], serialization_format="cloudpickle")
"""


def start_mlflow(python: str, folder: Path, file: Path) -> AbstractContextManager[serving.Server]:
    """`mlflow models serve` of the model in `file`, with the packages of `python`'s environment."""
    folder.mkdir()
    subprocess.run([python, "-c", SAVE_FOR_MLFLOW, file, folder / "model"], check=True, capture_output=True)
    port, workers = serving.free_port(), str(serving.WORKERS)
    command = [python, "-m", "mlflow", "models", "serve", "-m", str(folder / "model"), "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", workers]
    return serving.running(command, port, folder=folder, env=_environment(python))


def _environment(python: str) -> dict[str, str]:
    base = serving.environment(Path())
    del base["PYTHONPATH"], base["SAGEMAKER_BASE_DIR"]
    return base | {"PATH": f"{Path(python).parent}:{base['PATH']}", "OMP_NUM_THREADS": "1"}


def document(name: str, rows: list[list[float]]) -> dict[str, Any]:
    """Rows as the JSON that a server reads."""
    if name == MLFLOW:
        return {"inputs": rows}
    return {"instances": [{"features": row} for row in rows]}


def labels(answer: bytes) -> list[int]:
    """The labels in an answer of any of the servers."""
    try:
        said = json.loads(answer)
    except ValueError:
        return [int(line) for line in answer.split()]
    if isinstance(said, dict):
        said = said["predictions"]
    rows = said if isinstance(said, list) else [said]
    return [int(row["predicted_label"] if isinstance(row, dict) else row) for row in rows]
