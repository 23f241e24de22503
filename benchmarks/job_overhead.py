"""What a job takes beyond a bare `docker run` of the same training: python benchmarks/job_overhead.py [pairs]

Needs a Docker engine on this machine. Both run the built-in image of xgboost on the data of `sagespec init`; for the
bare run its /opt/ml is prepared by hand beforehand and is not timed. The pairs alternate, so that a busy machine slows
both alike; and because training itself varies by seconds on one, each run is also counted without the time that the
engine saw its container run. Prints medians and, by the jobs' own manifests, where a job's time goes.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import yaml

from sagespec.project import Project
from sagespec.state import job_address

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
        took = timed(["docker", "run", "--rm", "-v", f"{base}:/opt/ml", image, "train"], root)
        if not any((base / "model").iterdir()):
            sys.exit("the bare run left no model")
        return took


@contextmanager
def container_seconds(image: str) -> Iterator[Callable[[], float]]:
    """How long the containers of `image` ran that have ended since the last call, by the engine's events."""
    client = docker.from_env()
    stream = client.events(filters={"type": "container", "image": image, "event": ["start", "die"]}, decode=True)
    started: dict[str, int] = {}
    ran: list[float] = []
    ended = threading.Condition()

    def listen() -> None:
        for event in stream:
            if event["Action"] == "start":
                started[event["id"]] = event["timeNano"]
            else:
                with ended:
                    ran.append((event["timeNano"] - started[event["id"]]) / 1e9)
                    ended.notify()

    def take() -> float:
        with ended:
            ended.wait_for(lambda: ran, timeout=10)
            total = sum(ran)
            ran.clear()
            return total

    threading.Thread(target=listen, daemon=True).start()
    yield take
    stream.close()
    client.close()


def timed(command: list[str], folder: Path) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    took = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    jobs: list[tuple[float, float]] = []  # seconds in all, and of the container
    bare: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "project")
        image = make_project(root)
        try:
            run_bare(root, image)
            with container_seconds(image) as ran:
                for version in range(2, pairs + 2):
                    jobs.append((train(root, version), ran()))
                    bare.append((run_bare(root, image), ran()))
            with Project.open(root) as project:
                manifests = [project.manifest(job_address("churn", version)) for version in range(2, pairs + 2)]
        finally:
            timed([sys.executable, "-m", "sagespec", "destroy", "--yes"], root)
    print(f"medians of {pairs}             in all  without the container's own time")
    for name, runs in (("sagespec apply of a job", jobs), ("bare docker run", bare)):
        alone = statistics.median(total - inside for total, inside in runs)
        print(f"{name:<24} {statistics.median(total for total, _ in runs):6.2f} s  {alone:6.2f} s")
    differences = [
        ((job[0] - job[1]) - (run[0] - run[1]), job[0] - run[0]) for job, run in zip(jobs, bare, strict=True)
    ]
    without, in_all = (statistics.median(values) for values in zip(*differences, strict=True))
    print(f"{'overhead, pair by pair':<24} {in_all:6.2f} s  {without:6.2f} s  (the bar is 1.5 s)")
    for part in ("downloading", "training", "uploading"):
        print(f"  {part:<24} {statistics.median(m.seconds.get(part, 0.0) for m in manifests):6.2f} s")


if __name__ == "__main__":
    main()
