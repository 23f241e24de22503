"""Training on several containers: the model of one, and how the time falls from one to two.

    python -m benchmarks.distributed exact [--runtime process|docker]
    python -m benchmarks.distributed scaling [--rows 1200000] [--algorithm xgboost linear-learner kmeans]

`exact` trains linear-learner, kmeans and pca on 1, 2 and 3 hosts, with data split between them and with all
data on each, and prints the largest difference of any number in their models, relative to the largest
number of the same array. It fails above 1e-6.

`scaling` makes a data set that takes about a minute on one processor, trains on one and on two containers of one
processor each (Docker), and runs the same library plain in one process with one thread beside them. Times are the
medians of whole runs; those of jobs are from the start of the containers to their end, as the manifest has them. Two
containers need two free processors.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from sagespec.project import Project
from sagespec.state.addresses import job_address

BAR = 1e-6
SHARDS = 6  # files, so that two and three hosts get as many each
FEATURES = 30

# name: (hyperparameters, data set, channel's content type)
EXACT: Mapping[str, tuple[str, Any, str]] = {
    "linear-learner (binary)": ("{predictor_type: binary_classifier}", load_breast_cancer, "text/csv"),
    "linear-learner (regressor)": ("{predictor_type: regressor}", load_diabetes, "text/csv"),
    "linear-learner (10 classes)": (
        "{predictor_type: multiclass_classifier, num_classes: 10}",
        load_digits,
        "text/csv",
    ),
    "kmeans": ("{k: 10, feature_dim: 64}", load_digits, "text/csv;label_size=0"),
    "pca": (
        "{num_components: 10, feature_dim: 64, mini_batch_size: 500}",
        load_digits,
        "text/csv;label_size=0",
    ),
}

SCALING: Mapping[str, tuple[str, str]] = {  # hyperparameters, content type
    "xgboost": ("{objective: 'binary:logistic', num_round: 150, max_depth: 6, tree_method: hist}", "text/csv"),
    "linear-learner": ("{predictor_type: binary_classifier, epochs: 300}", "text/csv"),
    "kmeans": (f"{{k: 50, feature_dim: {FEATURES}, local_lloyd_max_iter: 100}}", "text/csv;label_size=0"),
}

# The same library run by hand, one thread: what a person would write.
PLAIN: Mapping[str, str] = {
    "xgboost": """
import sys, pandas, xgboost
rows = pandas.concat([pandas.read_csv(name, header=None) for name in sys.argv[1:]]).to_numpy()
data = xgboost.DMatrix(rows[:, 1:], rows[:, 0])
xgboost.train(dict(objective="binary:logistic", max_depth=6, tree_method="hist", nthread=1), data, 150)
""",
    "linear-learner": """
import sys, pandas
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
rows = pandas.concat([pandas.read_csv(name, header=None) for name in sys.argv[1:]]).to_numpy()
LogisticRegression(C=1 / (1e-4 * len(rows)), tol=1e-8, max_iter=300).fit(
    StandardScaler().fit_transform(rows[:, 1:]), rows[:, 0])
""",
    "kmeans": """
import sys, pandas
from sklearn.cluster import KMeans
rows = pandas.concat([pandas.read_csv(name, header=None) for name in sys.argv[1:]]).to_numpy()
KMeans(50, n_init=1, max_iter=100, algorithm="lloyd", random_state=0).fit(rows)
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    exact = commands.add_parser("exact")
    exact.add_argument("--runtime", choices=("process", "docker"), default="process")
    scaling = commands.add_parser("scaling")
    scaling.add_argument("--rows", type=int, default=1_200_000)
    scaling.add_argument("--rounds", type=int, default=3)
    scaling.add_argument("--algorithm", nargs="+", choices=tuple(SCALING), default=list(SCALING))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.command == "exact":
            measure_exactness(Path(folder), arguments.runtime)
        else:
            measure_scaling(Path(folder), arguments.rows, arguments.rounds, arguments.algorithm)


# -- exact -----------------------------------------------------------------------------------------


def measure_exactness(root: Path, runtime: str) -> None:
    write_settings(root, runtime)
    specs, names = [], {}
    for number, (title, (hyperparameters, data_set, content_type)) in enumerate(EXACT.items()):
        features, labels = data_set(return_X_y=True)
        rows = features if "label_size=0" in content_type else np.column_stack([labels, features])
        write_shards(root / f"data-{number}", rows)
        for hosts in (1, 2, 3):
            for distribution in ("sharded", "replicated"):
                name = f"job-{number}-{distribution}-{hosts}"
                names[title, distribution, hosts] = name
                channel = f"{{source: ../data-{number}, content_type: '{content_type}', distribution: {distribution}}}"
                specs.append(job(name, title.partition(" ")[0], hyperparameters, channel, hosts))
    (root / "specs" / "jobs.yaml").write_text("---\n".join(specs))
    worst = 0.0
    print(f"{'model':30} {'data':10} {'2 hosts':>10} {'3 hosts':>10}   largest difference from one host, relative")
    with opened(root) as project:
        for title in EXACT:
            one = model_arrays(project, names[title, "sharded", 1])
            for distribution in ("sharded", "replicated"):
                others = [
                    largest_difference(one, model_arrays(project, names[title, distribution, hosts]))
                    for hosts in (2, 3)
                ]
                worst = max(worst, *others)
                print(f"{title:30} {distribution:10} {others[0]:10.1e} {others[1]:10.1e}")
    if worst > BAR:
        sys.exit(f"{worst:.1e} is above the bar of {BAR:g}")


def model_arrays(project: Project, name: str) -> dict[str, Any]:
    """The arrays of numbers in a job's model."""
    address = job_address(name, 1)
    artifact = project.manifest(address).artifacts["model"]
    content = project.parts.store.read(project.parts.records.job_key(address, artifact.key))
    assert content is not None, f"{name} has no model"
    with tarfile.open(fileobj=io.BytesIO(content[0])) as archive:
        (member,) = (m for m in archive.getmembers() if m.name.endswith(".npz"))
        file = archive.extractfile(member)
        assert file is not None
        with np.load(io.BytesIO(file.read())) as arrays:
            return {key: arrays[key] for key in arrays if arrays[key].dtype.kind == "f"}


def largest_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    assert one.keys() == other.keys()
    return max(
        float(np.abs(one[key] - other[key]).max() / max(np.abs(one[key]).max(), 1e-300)) for key in one if one[key].size
    )


# -- scaling ---------------------------------------------------------------------------------------


def measure_scaling(root: Path, rows: int, rounds: int, algorithms: Sequence[str]) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two processors are needed")
    chance = np.random.default_rng(0)
    features = chance.normal(size=(rows, FEATURES))
    margin = features[:, 0] * features[:, 1] + np.abs(features[:, 2]) + features[:, 3:8].sum(axis=1)
    labels = (margin + chance.normal(size=rows) > np.median(margin)).astype(float)
    write_settings(root, "docker")
    write_shards(root / "labelled", np.column_stack([labels, features]).round(4))
    write_shards(root / "bare", features.round(4))
    print(f"{rows:,} rows of {FEATURES}; seconds, medians of {rounds}")
    print(f"{'':15} {'plain':>8} {'1 container':>12} {'2 containers':>13} {'1 / 2':>6} {'plain / 2':>10}")
    for algorithm in algorithms:
        plain, one, two = [], [], []
        for number in range(rounds):  # in turns, so that a busy machine slows all of them equally
            plain.append(run_plain(root, algorithm))
            one.append(run_job(root, algorithm, number, 1))
            two.append(run_job(root, algorithm, number, 2))
        a, b, c = map(statistics.median, (plain, one, two))
        print(f"{algorithm:15} {a:8.1f} {b:12.1f} {c:13.1f} {b / c:6.2f} {a / c:10.2f}", flush=True)


def data_of(algorithm: str) -> str:
    return "bare" if "label_size=0" in SCALING[algorithm][1] else "labelled"


def run_plain(root: Path, algorithm: str) -> float:
    files = sorted(str(file) for file in (root / data_of(algorithm)).iterdir())
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", PLAIN[algorithm], *files], env=os.environ | threads, check=True)
    return time.monotonic() - begun


def run_job(root: Path, algorithm: str, number: int, hosts: int) -> float:
    hyperparameters, content_type = SCALING[algorithm]
    name = f"{algorithm}-{number}-{hosts}"
    channel = f"{{source: ../{data_of(algorithm)}, content_type: '{content_type}', distribution: sharded}}"
    text = job(name, algorithm, hyperparameters, channel, hosts) + "resources: {cpus: 1}\n"
    (root / "specs" / "jobs.yaml").write_text(text)
    with opened(root) as project:
        return project.manifest(job_address(name, 1)).seconds["training"]


# -- a project -------------------------------------------------------------------------------------


def write_settings(root: Path, runtime: str) -> None:
    (root / "specs").mkdir()
    (root / "sagespec.yaml").write_text(
        f"apiVersion: sagespec/v1\nkind: Project\nname: bench-{os.getpid()}\nruntime: {runtime}\n"
    )


def write_shards(folder: Path, rows: Any) -> None:
    folder.mkdir()
    for index in range(SHARDS):
        np.savetxt(folder / f"part-{index}.csv", rows[index::SHARDS], delimiter=",", fmt="%.10g")


def job(name: str, algorithm: str, hyperparameters: str, channel: str, hosts: int) -> str:
    return (
        f"apiVersion: sagespec/v1\nkind: TrainingJob\nname: {name}\nversion: 1\nalgorithm: {algorithm}\n"
        f"hyperparameters: {hyperparameters}\nchannels:\n  train: {channel}\ninstances: {hosts}\n"
    )


@contextmanager
def opened(root: Path) -> Iterator[Project]:
    """The project with all its jobs trained; nothing of it is left running."""
    with Project.open(root) as project:
        try:
            result = project.apply(check=False)
            if not result.ok:
                sys.exit("\n".join(outcome.reason for outcome in result.outcomes if outcome.reason))
            yield project
        finally:
            project.destroy()


if __name__ == "__main__":
    main()
