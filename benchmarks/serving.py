"""Measures our linear-learner server beside a bring-your-own one: same data, same machine, one run.

    python benchmarks/serving.py [--rounds 4] [--seconds 3] [--url URL] [--output json]

Both serve a logistic regression on scikit-learn's breast cancer data (569 rows of 30 features)
with two workers. They must agree on the label of every row before anything is timed. Then wrk
drives one server at a time, in turns, so that a busy machine slows all of them equally; the
figures are medians over the rounds. CPU is what a server's processes took for a request: it varies less on a busy
machine. `--url` adds an /invocations that is already running, for example
behind a gateway, and serves the same features.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pickle
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).parent
IMAGES = HERE.parent / "images"
LINEAR_LEARNER = IMAGES / "linear-learner"
WORKERS = 2
CONNECTIONS = 8
CSV_ROWS = 1000
BAR_ONE_ROW, BAR_CSV_ROWS = 12.0, 2.0
OURS, THEIRS, GIVEN = "sagespec linear-learner", "bring-your-own", "given URL"
MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Load:
    """One wrk run."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    requests: int
    cpu_us: float = 0.0  # of the server's processes for a request, where they are known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=3, help="length of one wrk run")
    parser.add_argument("--url", help="also measure this /invocations URL")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), rounds=arguments.rounds, seconds=arguments.seconds, given_url=arguments.url)
    print(json.dumps(report, indent=2) if arguments.output == "json" else as_text(report))
    sys.exit(0 if report["passed"] else 1)


def measure(folder: Path, *, rounds: int, seconds: int, given_url: str | None) -> dict[str, Any]:
    features, labels = load_breast_cancer(return_X_y=True)
    train_ours(folder, features, labels)
    train_theirs(folder, features, labels)
    bodies = write_bodies(folder, features)
    with start_ours(folder) as ours, start_theirs(folder) as theirs:
        urls = {OURS: ours.url, THEIRS: theirs.url} | ({GIVEN: given_url} if given_url else {})
        require_same_labels(features, ours.url, theirs.url)
        processes = {OURS: ours.process_id, THEIRS: theirs.process_id}
        results = {
            kind: {
                name: medians(loads)
                for name, loads in take_turns(urls, script, rounds=rounds, seconds=seconds, processes=processes).items()
            }
            for kind, script in bodies.items()
        }
    ratios = {
        kind: {name: load.requests_per_second / by_name[THEIRS].requests_per_second for name, load in by_name.items()}
        for kind, by_name in results.items()
    }
    return {
        "connections": CONNECTIONS,
        "workers": WORKERS,
        "rounds": rounds,
        "loads": {kind: {name: vars(load) for name, load in by_name.items()} for kind, by_name in results.items()},
        "ratios": ratios,
        "start_seconds": {OURS: ours.start_seconds, THEIRS: theirs.start_seconds},
        "passed": ratios["one_row"][OURS] >= BAR_ONE_ROW and ratios["csv_rows"][OURS] >= BAR_CSV_ROWS,
    }


def as_text(report: Mapping[str, Any]) -> str:
    lines = []
    titles = {"one_row": "one JSON row a request", "csv_rows": f"{CSV_ROWS} CSV rows a request"}
    for kind, title in titles.items():
        lines.append(f"{title}, {CONNECTIONS} connections, {WORKERS} workers, medians of {report['rounds']} rounds")
        for name, load in report["loads"][kind].items():
            lines.append(
                f"  {name:<24}{load['requests_per_second']:>9,.0f} req/s   p50 {load['p50_ms']:>7.2f} ms"
                f"   p99 {load['p99_ms']:>7.2f} ms   CPU {load['cpu_us']:>5,.0f} us"
                f"   x {report['ratios'][kind][name]:.2f}   errors {load['errors']}"
            )
    starts = report["start_seconds"]
    lines.append("start to first healthy /ping: " + ", ".join(f"{name} {starts[name]:.2f} s" for name in starts))
    lines.append(
        f"bars: one row >= {BAR_ONE_ROW:g}, CSV >= {BAR_CSV_ROWS:g}: {'met' if report['passed'] else 'MISSED'}"
    )
    return "\n".join(lines)


# Models -------------------------------------------------------------------------------------


def train_ours(folder: Path, features: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> None:
    """Our own `train`, penalised as scikit-learn does by default (C = 1)."""
    config, channel = folder / "input/config", folder / "input/data/train"
    config.mkdir(parents=True)
    channel.mkdir(parents=True)
    np.savetxt(channel / "rows.csv", np.column_stack([labels, features]), delimiter=",", fmt="%.17g")
    settings = {"predictor_type": "binary_classifier", "wd": str(1 / len(labels)), "epochs": "1000"}
    (config / "hyperparameters.json").write_text(json.dumps(settings))
    (config / "inputdataconfig.json").write_text(json.dumps({"train": {"ContentType": "text/csv"}}))
    subprocess.run(
        [sys.executable, "train"], cwd=LINEAR_LEARNER, env=environment(folder), check=True, stdout=subprocess.DEVNULL
    )


def train_theirs(folder: Path, features: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> None:
    """scikit-learn on standardised rows, then folded so that it takes rows as they come, as ours does."""
    means, deviations = features.mean(axis=0), features.std(axis=0)
    model = LogisticRegression(tol=1e-10, max_iter=1000).fit((features - means) / deviations, labels)
    model.coef_ = model.coef_ / deviations
    model.intercept_ = model.intercept_ - model.coef_ @ means
    (folder / "model.pickle").write_bytes(pickle.dumps(model))


def require_same_labels(features: np.ndarray[Any, Any], *urls: str) -> None:
    body = json.dumps({"instances": [{"features": row} for row in features.tolist()]}).encode()
    answers = [[row["predicted_label"] for row in json.loads(post(url, body))["predictions"]] for url in urls]
    if answers[0] != answers[1]:
        differing = sum(a != b for a, b in zip(*answers, strict=True))
        sys.exit(f"the servers disagree on {differing} of {len(features)} rows: nothing was measured")


def post(url: str, body: bytes | str, content_type: str = "application/json") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


# Servers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    url: str
    start_seconds: float
    process_id: int


def start_ours(folder: Path) -> contextlib.AbstractContextManager[Server]:
    return start_process(folder, LINEAR_LEARNER)


def start_process(folder: Path, image: Path, **variables: str) -> contextlib.AbstractContextManager[Server]:
    """The server of an image over the model under `folder`, as the process runtime starts it."""
    port = free_port()
    settings = {
        "SAGEMAKER_BIND_TO_HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(WORKERS),
    }
    return running([sys.executable, "serve"], port, folder=image, env=environment(folder) | settings | variables)


def start_theirs(folder: Path) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS)]
    env = environment(folder) | {"MODEL_FILE": str(folder / "model.pickle"), "OMP_NUM_THREADS": "1"}
    return running([*command, "--keep-alive", "60", "serving_bring_your_own:app"], port, folder=HERE, env=env)


@contextlib.contextmanager
def running(
    command: list[str],
    port: int,
    *,
    folder: Path,
    env: dict[str, str],
) -> Iterator[Server]:
    started_at = time.monotonic()
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=quiet, stderr=quiet, process_group=0)
    try:
        while not is_healthy(port):
            if process.poll() is not None or time.monotonic() - started_at > 120:
                sys.exit(f"did not start: {' '.join(command)}")
            time.sleep(0.01)
        yield Server(f"http://127.0.0.1:{port}/invocations", time.monotonic() - started_at, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # MLflow leaves its own children running
        process.wait(timeout=40)


def is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"SAGEMAKER_BASE_DIR": str(folder), "PYTHONPATH": str(IMAGES)}


# Load ---------------------------------------------------------------------------------------


def write_bodies(folder: Path, features: np.ndarray[Any, Any]) -> dict[str, Path]:
    """wrk scripts by kind of request."""
    one_row = json.dumps({"instances": [{"features": features[0].tolist()}]})
    rows = np.resize(features, (CSV_ROWS, features.shape[1])).tolist()
    csv_rows = "\n".join(",".join(map(repr, row)) for row in rows)
    return {
        "one_row": write_script(folder / "one_row", one_row, content_type="application/json"),
        "csv_rows": write_script(folder / "csv_rows", csv_rows, content_type="text/csv"),
    }


def write_script(path: Path, body: str, *, content_type: str) -> Path:
    path.write_text(body)
    script = path.with_suffix(".lua")
    script.write_text(
        f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "{content_type}"\n'
        f'wrk.headers["Accept"] = "{content_type}"\nwrk.body = io.open("{path}"):read("*a")\n'
    )
    return script


def take_turns(
    urls: Mapping[str, str], script: Path, *, rounds: int, seconds: int, processes: Mapping[str, int] | None = None
) -> dict[str, list[Load]]:
    """Each server's loads, by name; `processes` are those whose CPU time is wanted too."""
    for url in urls.values():
        drive(url, script, seconds=1)
    loads: dict[str, list[Load]] = {name: [] for name in urls}
    for _ in range(rounds):
        for name, url in urls.items():
            loads[name].append(drive(url, script, seconds=seconds, process_id=(processes or {}).get(name)))
    return loads


def drive(
    url: str, script: Path, *, seconds: int, connections: int = CONNECTIONS, process_id: int | None = None
) -> Load:
    begun = cpu_seconds(process_id) if process_id else 0.0
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", str(script), url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent = cpu_seconds(process_id) - begun if process_id else 0.0
    requests = int(found(r"(\d+) requests in", printed)[0])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", printed)
    return Load(
        requests_per_second=float(found(r"Requests/sec:\s+([\d.]+)", printed)[0]),
        p50_ms=latency("50%", printed),
        p99_ms=latency("99%", printed),
        errors=(int(refused[1]) if refused else 0) + (sum(map(int, broken.groups())) if broken else 0),
        requests=requests,
        cpu_us=1e6 * spent / max(1, requests),
    )


def cpu_seconds(process_id: int) -> float:
    """What a process and those it has started have taken of the CPUs, as Linux counts it."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            parts = file.read_text().rpartition(")")[2].split()
            parents[int(file.parent.name)] = int(parts[1])
            ticks[int(file.parent.name)] = int(parts[11]) + int(parts[12])
    found = {process_id}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sum(ticks.get(each, 0) for each in found) / os.sysconf("SC_CLK_TCK")


def latency(share: str, printed: str) -> float:
    value, unit = found(rf"{share}\s+([\d.]+)(us|ms|s)", printed)
    return float(value) * MILLISECONDS[unit]


def found(pattern: str, printed: str) -> tuple[str, ...]:
    match = re.search(pattern, printed)
    if match is None:
        sys.exit(f"wrk printed something unexpected:\n{printed}")
    return match.groups()


def medians(loads: list[Load]) -> Load:
    return Load(
        requests_per_second=statistics.median(load.requests_per_second for load in loads),
        p50_ms=statistics.median(load.p50_ms for load in loads),
        p99_ms=statistics.median(load.p99_ms for load in loads),
        errors=sum(load.errors for load in loads),
        requests=sum(load.requests for load in loads),
        cpu_us=statistics.median(load.cpu_us for load in loads),
    )


if __name__ == "__main__":
    main()
