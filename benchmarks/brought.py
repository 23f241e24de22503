"""Measures how models that people bring are served: scikit-learn by `framework: sklearn`, beside other servers.

    python -m benchmarks.brought [--rounds 4] [--seconds 3] [--scenes SCENE ...] [--servers SERVER ...]
                                 [--mlflow PYTHON] [--output json]

Every server has the same logistic regression on scikit-learn's breast cancer data (30 features) or the same forest of
100 trees, as a pickle, and two workers; sagespec's are plain processes, one with its default codecs, one with a
script's own input_fn, and one behind the gateway. They must agree on the labels before anything is timed. wrk drives
one at a time, in turns, so that a busy machine slows all of them equally; the figures are medians over the rounds.
CPU is what the server's processes took for a request, the gateway's own not counted: it varies less on a busy machine.
MLflow is measured if the Python of an environment that has it is named. From the repository's root.
"""

from __future__ import annotations

import argparse
import json
import pickle
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from benchmarks import brought_others, gateway, serving
from benchmarks.brought_others import BRING_YOUR_OWN, MLFLOW

DEFAULT, SCRIPT, THROUGH = "default codecs", "input_fn", "gateway"
OURS = (DEFAULT, SCRIPT, THROUGH)
JSON, CSV = "application/json", "text/csv"
SKLEARN = serving.IMAGES / "sklearn"

# As people write it: the body to an array, everything else left to the defaults.
INPUT_FN = """
import io, json
import numpy as np
def input_fn(data, content_type):
    if content_type == "text/csv":
        return np.loadtxt(io.StringIO(data), delimiter=",", ndmin=2)
    return np.array([instance["features"] for instance in json.loads(data)["instances"]])
"""


@dataclass(frozen=True)
class Scene:
    """What is asked for, how often at once, and the least ratios to bring-your-own, by server."""

    title: str
    model: str
    content_type: str
    rows: int
    connections: int
    bars: Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    load: serving.Load
    cpu_us: float


SCENES = {
    "json_row": Scene("one JSON row", "linear", JSON, 1, 8, {DEFAULT: 4.0, THROUGH: 3.0}),
    "csv_row": Scene("one CSV row", "linear", CSV, 1, 8, {}),
    "json_rows": Scene("1,000 JSON rows", "linear", JSON, 1000, 4, {DEFAULT: 2.0}),
    "csv_rows": Scene("1,000 CSV rows", "linear", CSV, 1000, 4, {DEFAULT: 2.0}),
    "forest": Scene("one JSON row, forest of 100 trees", "forest", JSON, 1, 8, {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=3, help="length of one wrk run")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--servers", nargs="+", choices=OURS, default=list(OURS), help="which of sagespec's")
    parser.add_argument("--mlflow", metavar="PYTHON", help="the Python of an environment with MLflow")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (apt-get install wrk)")
    report: dict[str, Any] = {}
    for model in dict.fromkeys(SCENES[name].model for name in arguments.scenes):
        scenes = {name: SCENES[name] for name in arguments.scenes if SCENES[name].model == model}
        with tempfile.TemporaryDirectory() as folder, ExitStack() as started:
            servers = start(model, Path(folder), started, ours=arguments.servers, mlflow=arguments.mlflow)
            for name, scene in scenes.items():
                report[name] = measure(scene, servers, Path(folder), rounds=arguments.rounds, seconds=arguments.seconds)
    print(json.dumps(report, indent=2) if arguments.output == "json" else as_text(report, rounds=arguments.rounds))
    sys.exit(0 if all(entry["passed"] for entry in report.values()) else 1)


# Models and servers -------------------------------------------------------------------------


def start(
    model: str, folder: Path, started: ExitStack, *, ours: list[str], mlflow: str | None
) -> dict[str, serving.Server]:
    """The servers by name. They end with `started`."""
    file = train(model, folder)
    servers = {BRING_YOUR_OWN: started.enter_context(serving.start_theirs(folder))}
    for name in ours:
        script = INPUT_FN if name == SCRIPT else ""
        server = started.enter_context(start_ours(folder / name, file, script=script))
        if name == THROUGH:
            server = replace(server, url=started.enter_context(gateway.gateway_to(server.url, folder / "containers")))
        servers[name] = server
    if mlflow:
        servers[MLFLOW] = started.enter_context(brought_others.start_mlflow(mlflow, folder / MLFLOW, file))
    return servers


def train(model: str, folder: Path) -> Path:
    features, labels = load_breast_cancer(return_X_y=True)
    if model == "linear":
        serving.train_theirs(folder, features, labels)
    else:
        forest = RandomForestClassifier(100, random_state=0).fit(features, labels)
        (folder / "model.pickle").write_bytes(pickle.dumps(forest))
    return folder / "model.pickle"


def start_ours(base: Path, file: Path, *, script: str) -> Any:
    (base / "model/code").mkdir(parents=True)
    shutil.copy(file, base / "model/model.joblib")
    if script:
        (base / "model/code/inference.py").write_text(script)
    return serving.start_process(base, SKLEARN)


# Requests -----------------------------------------------------------------------------------


def measure(
    scene: Scene, servers: Mapping[str, serving.Server], folder: Path, *, rounds: int, seconds: int
) -> dict[str, Any]:
    rows = np.resize(load_breast_cancer().data, (scene.rows, 30)).tolist()
    bodies = {name: body_for(name, scene.content_type, rows) for name in servers}
    require_same_labels(servers, bodies)
    scripts = {
        name: serving.write_script(folder / f"{name} body", body, content_type=content_type)
        for name, (body, content_type) in bodies.items()
    }
    loads: dict[str, list[Measured]] = {name: [] for name in servers}
    for length in (1, *[seconds] * rounds):  # the first is not counted
        for name, server in servers.items():
            loads[name].append(drive(server, scripts[name], seconds=length, connections=scene.connections))
    medians = {name: serving.medians([each.load for each in of_one[1:]]) for name, of_one in loads.items()}
    least = medians[BRING_YOUR_OWN].requests_per_second
    ratios = {name: load.requests_per_second / least for name, load in medians.items()}
    missed = {name: bar for name, bar in scene.bars.items() if name in ratios and ratios[name] < bar}
    failed = any(load.errors for load in medians.values())
    return {
        "title": scene.title,
        "connections": scene.connections,
        "loads": {name: vars(load) for name, load in medians.items()},
        "cpu_us": {name: statistics.median(each.cpu_us for each in of_one[1:]) for name, of_one in loads.items()},
        "ratios": ratios,
        "missed": missed,
        "passed": not missed and not failed,
    }


def drive(server: serving.Server, script: Path, *, seconds: int, connections: int) -> Measured:
    begun = serving.cpu_seconds(server.process_id)
    load = serving.drive(server.url, script, seconds=seconds, connections=connections)
    spent = serving.cpu_seconds(server.process_id) - begun
    return Measured(load, 1e6 * spent / max(1, load.requests))


def body_for(name: str, content_type: str, rows: list[list[float]]) -> tuple[str, str]:
    """The body that a server reads, and its type: each has a JSON of its own."""
    if content_type == CSV:
        lines = [",".join(map(repr, row)) for row in rows]
        header = [",".join(f"f{number}" for number in range(30))] if name == MLFLOW else []
        return "\n".join([*header, *lines]), CSV
    return json.dumps(brought_others.document(name, rows)), JSON


def require_same_labels(servers: Mapping[str, serving.Server], bodies: Mapping[str, tuple[str, str]]) -> None:
    answers = {name: brought_others.labels(serving.post(server.url, *bodies[name])) for name, server in servers.items()}
    expected = answers[BRING_YOUR_OWN]
    if differing := [name for name, labels in answers.items() if labels != expected]:
        sys.exit(f"nothing was measured: {', '.join(differing)} and bring-your-own disagree on the labels")


def as_text(report: Mapping[str, Any], *, rounds: int) -> str:
    lines = []
    for entry in report.values():
        lines.append(f"{entry['title']}, {entry['connections']} connections, medians of {rounds} rounds")
        lines += [line_of(name, entry) for name in entry["loads"]]
    return "\n".join(lines)


def line_of(name: str, entry: Mapping[str, Any]) -> str:
    load = entry["loads"][name]
    bar = f"   MISSED {entry['missed'][name]:g}" if name in entry["missed"] else ""
    return (
        f"  {name:<16}{load['requests_per_second']:>9,.0f} req/s   p50 {load['p50_ms']:>7.2f} ms"
        f"   p99 {load['p99_ms']:>7.2f} ms   CPU {entry['cpu_us'][name]:>7,.0f} us"
        f"   x {entry['ratios'][name]:.2f}   errors {load['errors']}{bar}"
    )


if __name__ == "__main__":
    main()
