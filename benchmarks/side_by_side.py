"""Two jobs at once that state no CPUs, beside two with `cpus: 1` each.

python benchmarks/side_by_side.py [runtime [pairs]], where runtime is process or docker.

Trains xgboost on 21,000 rows, two equal jobs in one `sagespec apply`, with and without
`cpus: 1`. The pairs alternate, so that a busy machine slows both equally. What counts is how long the slower of the two
jobs trained, by its manifest. Prints medians and their ratio.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

from sagespec.project import Project
from sagespec.state.addresses import job_address

ROWS, FEATURES = 21_000, 22
BAR = 1.1
JOBS = ("left", "right")


def spec(name: str, version: int, cpus: int | None) -> dict[str, object]:
    return {
        "apiVersion": "sagespec/v1",
        "kind": "TrainingJob",
        "name": name,
        "version": version,
        "algorithm": "xgboost",
        "hyperparameters": {"objective": "binary:logistic", "num_round": 300, "max_depth": 3, "eval_metric": "auc"},
        "resources": {"cpus": cpus} if cpus else {},
        "channels": {"train": {"source": "../train.csv", "content_type": "text/csv"}},
    }


def make_project(root: Path, runtime: str) -> None:
    (root / "specs").mkdir()
    settings = {"apiVersion": "sagespec/v1", "kind": "Project", "name": f"bench-{os.getpid()}", "runtime": runtime}
    (root / "sagespec.yaml").write_text(yaml.safe_dump(settings))
    features = np.random.default_rng(0).normal(size=(ROWS, FEATURES)).round(3)
    labels = features[:, 0] + np.random.default_rng(1).normal(size=ROWS) > 0
    np.savetxt(root / "train.csv", np.column_stack([labels, features]), fmt="%g", delimiter=",")


def train(root: Path, version: int, cpus: int | None) -> float:
    """Seconds that the slower of two new jobs trained."""
    (root / "specs" / "jobs.yaml").write_text(yaml.safe_dump_all(spec(name, version, cpus) for name in JOBS))
    command = [sys.executable, "-m", "sagespec", "apply", "--output", "json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    with Project.open(root) as project:
        return max(project.manifest(job_address(name, version)).seconds["training"] for name in JOBS)


def main() -> None:
    runtime = sys.argv[1] if len(sys.argv) > 1 else "process"
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_project(root, runtime)
        try:
            train(root, 1, None)  # builds the image
            measured = [
                (train(root, version, None), train(root, version + 1, 1)) for version in range(2, 2 * pairs + 2, 2)
            ]
        finally:
            subprocess.run([sys.executable, "-m", "sagespec", "destroy", "--yes"], cwd=root, capture_output=True)
    shared, apart = (statistics.median(seconds) for seconds in zip(*measured, strict=True))
    ratio = statistics.median(one / other for one, other in measured)
    print(f"{runtime}: two jobs that state no CPUs  {shared:6.2f} s  (median of {pairs})")
    print(f"{runtime}: two jobs with cpus: 1 each   {apart:6.2f} s")
    print(f"{runtime}: ratio, pair by pair          {ratio:6.2f}    (the bar is {BAR})")
    sys.exit(ratio > BAR)


if __name__ == "__main__":
    main()
