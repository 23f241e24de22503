"""How long `sagespec --help` takes compared with starting Python alone: python benchmarks/startup.py [runs]

Prints the medians and their ratio. The runs alternate, so that a busy machine slows both equally.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {"python -c pass": ["-c", "pass"], "sagespec --help": ["-m", "sagespec", "--help"]}


def seconds(arguments: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:<16} {median * 1000:7.1f} ms  (median of {runs})")
    python, sagespec = medians.values()
    print(f"{'ratio':<16} {sagespec / python:7.1f}")


if __name__ == "__main__":
    main()
