"""Measures what an endpoint costs at the gateway that uses all it can: callers with keys and rates, a rollout in the
middle, a split by a key, lent shares and counters read every second, against one that uses nothing.

    python -m benchmarks.gateway_features [--rounds 8] [--seconds 2] [--upstream URL] [--output json]

Each feature has an endpoint of its own; one gateway lets everybody in, another one callers with a key. All are served
by one server (benchmarks/serving.py's, unless an /invocations URL is given). wrk drives one at a time, in turns, with
the same requests; figures are medians over the rounds, ratios those of each round. Load, gateways and server share the
machine's processors: ratios hold, absolute figures do not. From the repository's root.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sklearn.datasets import load_breast_cancer

from benchmarks import serving
from sagespec.gateway.gateway import Gateway
from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.spec.doors import Caller, KeySource
from sagespec.spec.project import GatewaySettings
from sagespec.state.doors import AllowedCaller, Doors, Limit
from sagespec.state.observed import Route, Target

BAR = 0.75  # of the requests a second that an endpoint answers which uses nothing
PLAIN, KEYS, ALL = "nothing", "keys", "everything"
READS_EVERY_SECONDS = 1.0  # as `watch` does for status, dashboard and Prometheus
USERS = 1000
STABLE, CANDIDATE = Target("stable", "1-a", 90.0, ("a",)), Target("candidate", "1-b", 10.0, ("b",))
STEP = (Target("stable", "1-a", 45.0, ("a",)), Target("stable", "1-c", 45.0, ("c",)), CANDIDATE)  # of a rollout
ROUTES = {
    PLAIN: Route(PLAIN, (STABLE, CANDIDATE)),
    "split by a header": Route("header", (STABLE, CANDIDATE), key="header x-user"),
    "split by an attribute": Route("attribute", (STABLE, CANDIDATE), key="attribute user"),
    "a rollout": Route("rollout", STEP),
    "lent shares": Route("lent", (STABLE, CANDIDATE), lends=True),
    KEYS: Route(KEYS, (STABLE, CANDIDATE)),
    ALL: Route(ALL, STEP, key="attribute user", lends=True),
}
WITH_KEYS = (KEYS, ALL)
SECRET = "a key that the callers have"
UNREACHED = Limit(burst=10**9, requests=10**9, seconds=1)
CALLERS = tuple(
    AllowedCaller(name, (hashlib.sha256(key.encode()).hexdigest(),), limit=UNREACHED)
    for name, key in [("benchmark", SECRET), *((f"caller-{number}", f"{number}") for number in range(20))]
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=2, help="length of one wrk run")
    parser.add_argument("--upstream", help="/invocations URL of what stands behind the gateway")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as text, ExitStack() as servers:
        folder = Path(text)
        features, labels = load_breast_cancer(return_X_y=True)
        upstream = arguments.upstream
        if not upstream:
            serving.train_ours(folder, features, labels)
            upstream = servers.enter_context(serving.start_ours(folder)).url
        gateways = {
            name: servers.enter_context(gateway_to(upstream, folder / name, with_keys=name == KEYS))
            for name in (PLAIN, KEYS)
        }
        script = script_of_users(serving.write_bodies(folder, features)["one_row"])
        report = measure(gateways, script, rounds=arguments.rounds, seconds=arguments.seconds)
    print(json.dumps(report, indent=2) if arguments.output == "json" else as_text(report))
    sys.exit(0 if report["passed"] else 1)


def script_of_users(one_row: Path) -> Path:
    """The same requests of a thousand callers, made before the clock runs."""
    script = one_row.with_name("users.lua")
    script.write_text(
        f"{one_row.read_text()}\nlocal requests, at = {{}}, 0\n"
        "function init()\n"
        f'  wrk.headers["X-Api-Key"] = "{SECRET}"\n'
        f"  for user = 1, {USERS} do\n"
        '    wrk.headers["X-User"] = "user-" .. user\n'
        '    wrk.headers["X-Amzn-SageMaker-Custom-Attributes"] = "trace=4711;user=" .. user\n'
        "    requests[user] = wrk.format()\n"
        "  end\nend\n"
        f"function request()\n  at = at % {USERS} + 1\n  return requests[at]\nend\n"
    )
    return script


@contextmanager
def gateway_to(upstream: str, folder: Path, *, with_keys: bool) -> Iterator[Gateway]:
    """A gateway with an endpoint for each of the routes, all served by `upstream`."""
    project = f"benchmark-{folder.name}"
    runtime = ProcessRuntime(project, folder, images_dir())
    settings = GatewaySettings(host="127.0.0.1", port=serving.free_port())
    if with_keys:
        settings = settings.model_copy(update={"callers": {"benchmark": Caller(key=KeySource(file="unread"))}})
    gateway = Gateway(runtime, project, settings)
    place = (urlsplit(upstream).hostname or "", urlsplit(upstream).port or 80)
    try:
        gateway.start(lambda _event: None, doors=Doors(callers=CALLERS) if with_keys else None)
        for route in (route for name, route in ROUTES.items() if (name in WITH_KEYS) == with_keys):
            names = [name for target in route.targets for name in target.instances]
            gateway.set_route(route.endpoint_name, route, dict.fromkeys(names, place))
            while not all(probe.healthy for probe in gateway.probes(names).values()):
                time.sleep(0.05)
        yield gateway
    finally:
        runtime.remove(gateway.launch().name)


@contextmanager
def counters_read(gateway: Gateway) -> Iterator[None]:
    over = threading.Event()

    def read() -> None:
        while not over.wait(READS_EVERY_SECONDS):
            gateway.totals()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join()


def measure(gateways: Mapping[str, Gateway], script: Path, *, rounds: int, seconds: int) -> dict[str, Any]:
    loads: dict[str, list[serving.Load]] = {name: [] for name in ROUTES}
    for number in range(rounds + 1):  # the first one warms up
        for name in in_turn(list(ROUTES), number):
            route = ROUTES[name]
            gateway = gateways[KEYS if name in WITH_KEYS else PLAIN]
            url = f"{gateway.settings.url}/endpoints/{route.endpoint_name}/invocations"
            with counters_read(gateway) if name == ALL else nullcontext():
                load = serving.drive(url, script, seconds=seconds if number else 1)
            loads[name] += [load] if number else []
    found = {name: serving.medians(mine) for name, mine in loads.items()}
    ratios = {name: ratio_to_plain(mine, loads[PLAIN]) for name, mine in loads.items()}
    errors = sum(load.errors for load in found.values())
    return {
        "connections": serving.CONNECTIONS,
        "rounds": rounds,
        "loads": {name: vars(load) | {"ratio": ratios[name]} for name, load in found.items()},
        "passed": ratios[ALL] >= BAR and not errors,
    }


def in_turn(names: list[str], number: int) -> list[str]:
    """Each comes first once, and each after each: what a neighbour leaves behind is everybody's.

    >>> in_turn(["a", "b", "c"], 1), in_turn(["a", "b", "c"], 4)
    (['b', 'c', 'a'], ['a', 'c', 'b'])
    """
    at = number % len(names)
    turned = [*names[at:], *names[:at]]
    return turned if number // len(names) % 2 == 0 else turned[::-1]


def ratio_to_plain(mine: list[serving.Load], plain: list[serving.Load]) -> float:
    pairs = zip(mine, plain, strict=True)
    return statistics.median(one.requests_per_second / other.requests_per_second for one, other in pairs)


def as_text(report: Mapping[str, Any]) -> str:
    lines = [f"one JSON row a request, {report['connections']} connections, medians of {report['rounds']} rounds"]
    for name, load in report["loads"].items():
        lines.append(
            f"  {name:<24}{load['requests_per_second']:>9,.0f} req/s   x {load['ratio']:.2f}"
            f"   p50 {load['p50_ms']:>7.2f} ms   p99 {load['p99_ms']:>7.2f} ms   errors {load['errors']}"
        )
    ratio, verdict = report["loads"][ALL]["ratio"], "met" if report["passed"] else "MISSED"
    lines.append(f"bar: everything >= {BAR:g} x nothing: x {ratio:.2f}, {verdict}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
