"""Measures what the gateway costs: our linear-learner behind it, without it, and a bring-your-own server alone.

    python -m benchmarks.gateway [--rounds 4] [--seconds 3] [--upstream URL --baseline URL] [--output json]

The servers are those of benchmarks/serving.py unless two /invocations URLs are given: the server behind the
gateway, and the one to compare with. wrk drives one at a time, in turns, so that a busy machine slows all of
them equally; the figures are medians over the rounds. Load, gateway and servers share the machine's processors, so
ratios hold and absolute figures do not. From the repository's root.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sklearn.datasets import load_breast_cancer

from benchmarks import serving
from sagespec.gateway.gateway import Gateway
from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.spec.project import GatewaySettings
from sagespec.state.observed import Route, Target

BAR = 4.0  # through the gateway, against bring-your-own without one
THROUGH, DIRECT, BASELINE = "through the gateway", "direct", "bring-your-own"
PROJECT, ENDPOINT = "benchmark", "rows"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=3, help="length of one wrk run")
    parser.add_argument("--upstream", help="/invocations URL of what stands behind the gateway")
    parser.add_argument("--baseline", help="/invocations URL of what it is compared with")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (apt-get install wrk)")
    if bool(arguments.upstream) != bool(arguments.baseline):
        parser.error("--upstream and --baseline go together")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        features, labels = load_breast_cancer(return_X_y=True)
        if arguments.upstream:
            upstream, baseline = arguments.upstream, arguments.baseline
        else:
            serving.train_ours(Path(folder), features, labels)
            serving.train_theirs(Path(folder), features, labels)
            upstream = servers.enter_context(serving.start_ours(Path(folder))).url
            baseline = servers.enter_context(serving.start_theirs(Path(folder))).url
        through = servers.enter_context(gateway_to(upstream, Path(folder, "containers")))
        report = measure(
            {THROUGH: through, DIRECT: upstream, BASELINE: baseline},
            serving.write_bodies(Path(folder), features)["one_row"],
            rounds=arguments.rounds,
            seconds=arguments.seconds,
        )
    print(json.dumps(report, indent=2) if arguments.output == "json" else as_text(report))
    sys.exit(0 if report["passed"] else 1)


@contextmanager
def gateway_to(upstream: str, folder: Path) -> Iterator[str]:
    """A gateway that splits an endpoint 90 to 10 over two variants, both served by `upstream`."""
    runtime = ProcessRuntime(PROJECT, folder, images_dir())
    settings = GatewaySettings(host="127.0.0.1", port=serving.free_port())
    gateway = Gateway(runtime, PROJECT, settings)
    place = (urlsplit(upstream).hostname or "", urlsplit(upstream).port or 80)
    targets = (Target("candidate", "1-b", 10.0, ("b",)), Target("stable", "1-a", 90.0, ("a",)))
    try:
        gateway.start(lambda _event: None)
        gateway.set_route(ENDPOINT, Route(ENDPOINT, targets), {"a": place, "b": place})
        while not all(probe.healthy for probe in gateway.probes(["a", "b"]).values()):
            time.sleep(0.05)
        yield f"{settings.url}/endpoints/{ENDPOINT}/invocations"
    finally:
        runtime.remove(gateway.launch().name)


def measure(urls: Mapping[str, str], script: Path, *, rounds: int, seconds: int) -> dict[str, Any]:
    turns = serving.take_turns(urls, script, rounds=rounds, seconds=seconds)
    loads = {name: serving.medians(runs) for name, runs in turns.items()}
    rates = {name: load.requests_per_second for name, load in loads.items()}
    return {
        "connections": serving.CONNECTIONS,
        "rounds": rounds,
        "loads": {name: vars(load) for name, load in loads.items()},
        "through_to_direct": rates[THROUGH] / rates[DIRECT],
        "through_to_baseline": rates[THROUGH] / rates[BASELINE],
        "passed": rates[THROUGH] >= BAR * rates[BASELINE] and not loads[THROUGH].errors,
    }


def as_text(report: Mapping[str, Any]) -> str:
    lines = [f"one JSON row a request, {report['connections']} connections, medians of {report['rounds']} rounds"]
    for name, load in report["loads"].items():
        lines.append(
            f"  {name:<24}{load['requests_per_second']:>9,.0f} req/s   p50 {load['p50_ms']:>7.2f} ms"
            f"   p99 {load['p99_ms']:>7.2f} ms   errors {load['errors']}"
        )
    lines.append(f"through the gateway: x {report['through_to_direct']:.2f} of direct")
    verdict = "met" if report["passed"] else "MISSED"
    lines.append(f"bar: >= {BAR:g} x bring-your-own alone: x {report['through_to_baseline']:.2f}, {verdict}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
