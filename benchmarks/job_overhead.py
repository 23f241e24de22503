"""What a job takes beyond a bare `docker run` of the same training: python benchmarks/job_overhead.py [pairs]

Needs a Docker engine on this machine. Both run the built-in image of xgboost on the data of `sagespec init`; for the
bare run its /opt/ml is prepared by hand beforehand and is not timed. The pairs alternate, so that a busy machine slows
both equally. Prints medians and, by the jobs' own manifests, where a job's time goes.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from sagespec.project import Project
from sagespec.state.addresses import job_address

SPEC = {
    "apiVersion": "sagespec/v1",
    "kind": "TrainingJob",
    "name": "churn",
    "algorithm": "xgboost",
    "hyperparameters": {"objective": "binary:logistic", "num_round": 40, "max_depth": 3, "eval_metric": "auc"},
    "channels": {
        "train": {"source": "../data/churn/train.csv", "content_type": "text/csv"},
        "validation": {"source": "../data/churn/validation.csv", "content_type": "text/csv"},
    },
}


def make_project(root: Path) -> str:
    """A project with the image built and one job trained; the image's reference."""
    subprocess.run([sys.executable, "-m", "sagespec", "init", str(root)], check=True, stdout=subprocess.DEVNULL)
    settings = f"apiVersion: sagespec/v1\nkind: Project\nname: bench-{os.getpid()}\nruntime: docker\n"
    (root / "sagespec.yaml").write_text(settings)
    with Project.open(root) as project:
        (image,) = project.build_images(["xgboost"])
    train(root, 1)
    return image.reference


def train(root: Path, version: int) -> float:
    """Seconds of a whole `sagespec apply` of one new job."""
    (root / "specs" / "churn.yaml").write_text(yaml.safe_dump({**SPEC, "version": version}))
    return timed([sys.executable, "-m", "sagespec", "apply", "--output", "json"], root)


def prepare_by_hand(root: Path, base: Path) -> None:
    """An /opt/ml tree as SageMaker's contract has it."""
    config = base / "input" / "config"
    config.mkdir(parents=True)
    for channel in ("train", "validation"):
        folder = base / "input" / "data" / channel
        folder.mkdir(parents=True)
        shutil.copy(root / "data" / "churn" / f"{channel}.csv", folder)
    for written in ("model", "output/data"):
        (base / written).mkdir(parents=True)
    documents = {
        "hyperparameters.json": {name: str(value) for name, value in SPEC["hyperparameters"].items()},  # type: ignore[attr-defined]
        "inputdataconfig.json": {
            channel: {"ContentType": "text/csv", "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
            for channel in ("train", "validation")
        },
        "resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"},
    }
    for name, document in documents.items():
        (config / name).write_text(json.dumps(document))
    for path in (base, *base.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)


def run_bare(root: Path, image: str) -> float:
    """Seconds of a `docker run` that trains and leaves a model."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, "ml")
        prepare_by_hand(root, base)
        took = timed(["docker", "run", "--rm", "--volume", f"{base}:/opt/ml", image, "train"], root)
        if not any((base / "model").iterdir()):
            sys.exit("the bare run left no model")
        return took


def timed(command: list[str], folder: Path) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    took = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "project")
        image = make_project(root)
        try:
            run_bare(root, image)
            measured = [(train(root, version), run_bare(root, image)) for version in range(2, pairs + 2)]
            with Project.open(root) as project:
                manifests = [project.manifest(job_address("churn", version)) for version in range(2, pairs + 2)]
        finally:
            timed([sys.executable, "-m", "sagespec", "destroy", "--yes"], root)
    jobs, bare = (statistics.median(seconds) for seconds in zip(*measured, strict=True))
    overhead = statistics.median(job - run for job, run in measured)
    print(f"{'sagespec apply of a job':<24} {jobs:6.2f} s  (median of {pairs})")
    print(f"{'bare docker run':<24} {bare:6.2f} s")
    print(f"{'overhead, pair by pair':<24} {overhead:6.2f} s  (the bar is 1.5 s)")
    for part in ("downloading", "training", "uploading"):
        print(f"  {part:<24} {statistics.median(m.seconds.get(part, 0.0) for m in manifests):6.2f} s")


if __name__ == "__main__":
    main()
