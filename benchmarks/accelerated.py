"""Measures what `accelerate: onnx` gives a model of scikit-learn: requests of one row, and the time of a start.

    python -m benchmarks.accelerated [--rounds 4] [--seconds 3] [--starts 5] [--output json]

The same forest of 100 trees, and the same logistic regression, on scikit-learn's breast cancer data (30 features) in
three servers with two workers each: bring-your-own (Flask, gunicorn, pandas, `model.predict`), sagespec's
`framework: sklearn`, and the same with the fast form. All must agree on the labels. wrk drives one at a time, in turns;
figures are medians over the rounds. Then each is started, in turns, until /ping is answered and a prediction is; the
form was kept from the start before, as it is whenever an instance starts again. From the repository's root.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from benchmarks import brought, serving
from benchmarks.brought_others import BRING_YOUR_OWN

PLAIN, FAST = "sklearn", "accelerate: onnx"
LEAST_OF_A_FOREST = 20.0  # times the bring-your-own shape
MOST_SECONDS_TO_START = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=3, help="length of one wrk run")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as folder:
        report = {
            model: measured(model, Path(folder, model), arguments.rounds, arguments.seconds, arguments.starts)
            for model in ("forest", "linear")
        }
    print(json.dumps(report, indent=2) if arguments.output == "json" else as_text(report))
    is_fast = report["forest"]["ratios"][FAST] >= LEAST_OF_A_FOREST
    sys.exit(0 if is_fast and report["forest"]["starts"][FAST] <= MOST_SECONDS_TO_START else 1)


def measured(model: str, folder: Path, rounds: int, seconds: int, starts: int) -> dict[str, Any]:
    folder.mkdir()
    file = brought.train(model, folder)
    for name in (PLAIN, FAST):
        (folder / name / "model").mkdir(parents=True)
        shutil.copy(file, folder / name / "model/model.joblib")
    scene = brought.Scene(f"one JSON row, {model}", model, brought.JSON, 1, 8, {})
    with ExitStack() as started:
        servers = {name: started.enter_context(start(name, folder)) for name in (BRING_YOUR_OWN, PLAIN, FAST)}
        first = servers[FAST].start_seconds
        report = brought.measure(scene, servers, folder, rounds=rounds, seconds=seconds)
    times: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(starts):
        for name, of_one in times.items():
            with start(name, folder) as server:
                of_one.append(server.start_seconds)
    return report | {
        "first_start": first,
        "starts": {name: statistics.median(of_one) for name, of_one in times.items()},
        "fastest_starts": {name: min(of_one) for name, of_one in times.items()},
    }


def start(name: str, folder: Path) -> AbstractContextManager[serving.Server]:
    if name == BRING_YOUR_OWN:
        return serving.start_theirs(folder)
    return serving.start_process(
        folder / name, brought.SKLEARN, **({"SAGESPEC_ACCELERATE": "onnx"} if name == FAST else {})
    )


def as_text(report: Mapping[str, Any]) -> str:
    lines = []
    for entry in report.values():
        lines.append(entry["title"])
        lines += [brought.line_of(name, entry) for name in entry["loads"]]
        lines += [
            f"  {name:<18}start to a healthy answer {seconds:.2f} s (fastest {entry['fastest_starts'][name]:.2f} s)"
            for name, seconds in entry["starts"].items()
        ]
        lines.append(f"  {FAST:<18}its first start, with the conversion: {entry['first_start']:.1f} s")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
