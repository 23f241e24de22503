"""Measures what a second node costs, on a Swarm of three engines in network namespaces of this machine.

    python -m benchmarks.swarm [--only serving …] [--pairs 5] [--seconds 3] [--algorithm linear-learner] [--output json]

serving   one JSON row through the gateway, to an instance on the gateway's own node and to one on another, in turns
data      200 MiB of random bytes put to a job's container on another node, and got from it, in turns
model     the start of an instance that brings a model of 200 MiB, of the second of the same, and of one without a model
loss      from a node's loss until its only instance answers elsewhere, with nobody but the Swarm doing anything
plan      200 endpoints: how long a plan takes, and how many lists it asks the Swarm for

Needs what tests of the cluster need (root, dockerd, docker-registry) and wrk. Load, engines, gateway and instances
share the machine's processors: ratios hold, absolute figures do not. From the repository's root.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sklearn.datasets import load_breast_cancer

from benchmarks import serving
from sagespec.project import Project
from sagespec.runtimes.swarm.runtime import SwarmRuntime
from sagespec.runtimes.swarm.services import Place, service_of
from sagespec.state.addresses import Address
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch, Mount
from sagespec.state.programs import Builtin
from sagespec.verbs.plan import desired as specs_of
from tests import built
from tests.scenarios.workspace import Workspace
from tests.swarm import cluster as rig
from tests.swarm.busy import node_of
from tests.swarm.cluster import Cluster
from tests.swarm.node import Node
from tests.swarm.within import within

BAR_SERVING, BAR_DATA, BAR_PLAN_SECONDS, BAR_PLAN_LISTS = 0.8, 60.0, 1.0, 2
PARTS = ("serving", "data", "model", "loss", "plan")
MIB, SIZE = 2**20, 200
MANY = 200
SAME, OTHER = "same node", "another node"
AGAIN_SECONDS = 180.0
ASK_EVERY_SECONDS = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="length of one wrk run")
    parser.add_argument("--algorithm", choices=("linear-learner", "echo"), default="linear-learner", help="that serves")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (apt-get install wrk)")
    if lacks := rig.missing():
        sys.exit(f"no cluster can be brought up: {lacks}")
    serves = {"serving", "loss"} & {*arguments.only}
    programs = {"courier", "echo", *(("gateway", arguments.algorithm) if serves else ())}
    images = [built.reference(name) for name in sorted(programs)]
    with tempfile.TemporaryDirectory() as folder, rig.made_of(3) as cluster:
        cluster.load(*images)
        os.environ["DOCKER_HOST"] = cluster.manager.docker_host
        report = measure(Bench(cluster, Path(folder), arguments.algorithm), arguments)
    print(json.dumps(report, indent=2) if arguments.output == "json" else as_text(report))
    sys.exit(1 if missed(report) else 0)


def measure(bench: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {"algorithm": arguments.algorithm, "pairs": arguments.pairs}
    if {"serving", "loss"} & {*arguments.only}:
        bench.serve()
    acts: Mapping[str, Callable[[], object]] = {
        "serving": partial(bench.serving, arguments.pairs, arguments.seconds),
        "data": partial(bench.data, arguments.pairs),
        "model": bench.model,
        "loss": bench.loss,
        "plan": partial(bench.plan, arguments.pairs),
    }
    for part in PARTS:  # what is lost is lost after everything else has been measured there
        if part in arguments.only:
            report[part] = acts[part]()
            print(f"{part}: {json.dumps(report[part])}", file=sys.stderr, flush=True)
    return report


class Bench:
    """A project whose gateway is on the manager's node."""

    def __init__(self, cluster: Cluster, folder: Path, algorithm: str) -> None:
        self.cluster, self.folder, self.algorithm = cluster, folder, algorithm
        self.name = f"bench-{os.getpid()}"
        runtime = f"{{swarm: {{registry: '{cluster.registry}/bench', single_operator: true}}}}"
        self.workspace = Workspace(folder / "project", self.name, runtime)
        self.workspace.edit("gateway: {", f"gateway: {{host: {cluster.manager.address}, open: true, ", "sagespec.yaml")
        self.features, self.labels = load_breast_cancer(return_X_y=True)

    # -- serving -----------------------------------------------------------------------------------

    def serve(self) -> None:
        """Two endpoints of the same model, one beside the gateway, one on another node."""
        serving.train_ours(self.folder, self.features, self.labels)
        with tarfile.open(self.workspace.root / "model.tar.gz", "w:gz") as archive:
            archive.add(self.folder / "model", arcname=".")
        manager, *others = self.cluster.nodes
        with paused(self.cluster, others):
            self.workspace.write(self._endpoint("same"), "specs/same.yaml")
            self.workspace.run("apply")
        with paused(self.cluster, [manager]):
            self.workspace.write(self._endpoint("other"), "specs/other.yaml")
            self.workspace.run("apply")
        assert self._node_of("same") is manager
        assert self._node_of("other") in others

    def _endpoint(self, name: str) -> str:
        program = f"algorithm: {self.algorithm}"
        return (
            f"apiVersion: sagespec/v1\nkind: Endpoint\nname: {name}\nvariants:\n"
            f"  - {{name: only, model: ../model.tar.gz, {program}}}\n"
        )

    def _node_of(self, endpoint: str) -> Node | None:
        name = self.workspace.names()[f"endpoint/{endpoint}/only#0"]
        return node_of(self.cluster, f"sagespec.container={name}")

    def url(self, endpoint: str) -> str:
        return f"http://{self.cluster.manager.address}:{self.workspace.port}/endpoints/{endpoint}/invocations"

    def serving(self, pairs: int, seconds: int) -> dict[str, Any]:
        script = serving.write_bodies(self.folder, self.features)["one_row"]
        urls = {SAME: self.url("same"), OTHER: self.url("other")}
        found: dict[str, Any] = {}
        for connections in (1, serving.CONNECTIONS):  # what one has to wait for, and what many get through
            loads: dict[str, list[serving.Load]] = {name: [] for name in urls}
            for number in range(pairs + 1):  # the first one warms up
                for name in list(urls)[:: 1 if number % 2 else -1]:
                    load = serving.drive(urls[name], script, seconds=seconds, connections=connections)
                    loads[name] += [load] if number else []
            ratios = [
                other.requests_per_second / same.requests_per_second
                for same, other in zip(loads[SAME], loads[OTHER], strict=True)
            ]
            found[str(connections)] = {
                "loads": {name: vars(serving.medians(mine)) for name, mine in loads.items()},
                "ratio": statistics.median(ratios),
                "ratios": ratios,
            }
        return found

    # -- files -------------------------------------------------------------------------------------

    def data(self, pairs: int) -> dict[str, Any]:
        source = self.folder / "data"
        source.mkdir()
        random_file(source / "rows")
        launch = self._launch(Address("job", "data", 1, instance=0), command="train", cpus=0.1)
        with self._runtime() as runtime:
            runtime.prepare(launch.program, quiet)
            runtime._couriers.porter.set_up()  # on the manager's node, which takes nothing new soon
        with paused(self.cluster, [self.cluster.manager]), self._runtime() as runtime:
            runtime.create([launch])
            put, got = [], []
            for number in range(pairs + 1):
                put.append(timed(lambda: runtime.put(launch.name, "input/data", source)))
                got.append(timed(lambda: sum(map(len, runtime.get(launch.name, "input/data")))))
                if not number:
                    put.clear()
                    got.clear()
            runtime.remove(launch.name)
        return {
            "put": SIZE / statistics.median(put),
            "get": SIZE / statistics.median(got),
            "puts": [SIZE / seconds for seconds in put],
            "gets": [SIZE / seconds for seconds in got],
        }

    def model(self) -> dict[str, float]:
        model = self.folder / "large"
        model.mkdir()
        random_file(model / "weights")
        found: dict[str, float] = {}
        with paused(self.cluster, self.cluster.nodes[2:]), self._runtime() as runtime:
            runtime.prepare(Builtin("echo"), quiet)
            for number, what in enumerate(("warm", "without a model", "first", "second")):
                address = Address("endpoint", "large", variant=f"v{number}", instance=0)
                launch = self._launch(address, command="serve", keep_running=True)
                volume = f"sagespec_{self.name}_{number}"
                if what in ("first", "second"):
                    runtime.volumes.fill(volume, model)
                    launch = replace(launch, mounts=(Mount("model", volume=volume),))
                runtime.create([launch])
                found[what] = timed(partial(runtime.start, launch.name))
            for container in runtime.containers():
                if container.address.name == "large":
                    runtime.remove(container.name)
        del found["warm"]  # its node gets the program's image
        return found

    @contextmanager
    def _runtime(self) -> Iterator[SwarmRuntime]:
        with self.workspace.project() as project:
            runtime = project.parts.runtime
            assert isinstance(runtime, SwarmRuntime)
            yield runtime

    def _launch(self, address: Address, **more: Any) -> Launch:
        name = container_name(self.name, address, "1-abc")
        sleeps = ("sleep", "600")
        return Launch(name, address, "1-abc", program=Builtin("echo"), entrypoint=sleeps, grace_seconds=1.0, **more)

    # -- a node's loss -----------------------------------------------------------------------------

    def loss(self) -> dict[str, float]:
        """The nodes that are left have the image, as where it has served before."""
        lost = self._node_of("other")
        assert lost is not None
        services = self.cluster.manager.engine.services(filters={"label": "sagespec.part=serving"})
        images = {service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] for service in services}
        for node in self.cluster.nodes:
            for image in images if node is not lost else ():
                node.engine.pull(image)
        assert self._answers(), "it answers before"
        self.cluster.cut(lost)
        began = time.monotonic()
        within(AGAIN_SECONDS, self._answers, "nobody answers", every=ASK_EVERY_SECONDS)
        away = time.monotonic() - began
        assert self._node_of("other") is not lost
        self.cluster.join(lost)
        self.cluster.wait_until_ready()
        return {"seconds": away}

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.cluster.manager.address, self.workspace.port, timeout=2)
        body = json.dumps({"instances": [{"features": self.features[0].tolist()}]})
        try:
            path, headers = "/endpoints/other/invocations", {"Content-Type": "application/json"}
            connection.request("POST", path, body, headers)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    # -- a plan ------------------------------------------------------------------------------------

    def plan(self, rounds: int) -> dict[str, Any]:
        """Of as many endpoints, whose services are there and not started."""
        with tarfile.open(self.workspace.root / "empty.tar.gz", "w:gz"):
            pass
        documents = (
            f"---\napiVersion: sagespec/v1\nkind: Endpoint\nname: e{number}\nvariants:\n"
            "  - {name: only, model: ../empty.tar.gz, algorithm: echo}\n"
            for number in range(MANY)
        )
        self.workspace.write("".join(documents), "specs/many.yaml")
        with self.workspace.project() as project:
            self._make_many(project)
            engine = project.parts.runtime._engine  # type: ignore[attr-defined]
            calls, send = Counter[str](), engine.send

            def counted(request: Any, **options: Any) -> Any:
                calls[request.path_url.partition("?")[0].rpartition("/")[2]] += 1
                return send(request, **options)

            project.plan()
            engine.send = counted
            seconds = [timed(project.plan) for _ in range(rounds)]
        whole = [timed(lambda: self.workspace.run("plan", code=None)) for _ in range(rounds)]
        assert all(times % rounds == 0 for times in calls.values()), calls
        return {
            "seconds": statistics.median(seconds),
            "each": seconds,
            "process": statistics.median(whole),
            "calls": {path: times // rounds for path, times in sorted(calls.items())},
            "lists": sum(calls[path] for path in ("services", "tasks")) // rounds,
        }

    def _make_many(self, project: Project) -> None:
        desired, _ = specs_of(project.parts)
        engine = self.cluster.manager.engine
        for endpoint in desired.endpoints:
            variant = endpoint.variants[0]
            address = Address("endpoint", endpoint.name, variant="only", instance=0)
            name = container_name(self.name, address, variant.hash)
            launch = Launch(name, address, variant.hash, variant.program, "serve", keep_running=True)
            if endpoint.name.startswith("e"):
                spec = service_of(
                    launch,
                    Place(),
                    project_name=self.name,
                    name=f"many-{endpoint.name}",
                    image="none:1",
                    made_from="none:1",
                    marks={},
                    variables={},
                )
                made = engine.post(f"{engine.base_url}/v1.41/services/create", json=spec)
                assert made.ok, made.text


@contextmanager
def paused(cluster: Cluster, nodes: Sequence[Node]) -> Iterator[None]:
    """What is there stays; nothing new comes."""
    for node in nodes:
        cluster._have(node, Availability="pause")
    yield
    for node in nodes:
        cluster._have(node, Availability="active")


def random_file(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(SIZE):
            file.write(os.urandom(MIB))


def timed(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def quiet(_: str) -> None: ...


def missed(report: Mapping[str, Any]) -> list[str]:
    """The bars that are."""
    met: Mapping[str, Callable[[Any], bool]] = {
        "serving": lambda found: (
            found[str(serving.CONNECTIONS)]["ratio"] >= BAR_SERVING
            and not any(load["errors"] for one in found.values() for load in one["loads"].values())
        ),
        "data": lambda found: min(found["put"], found["get"]) >= BAR_DATA,
        "plan": lambda found: found["seconds"] <= BAR_PLAN_SECONDS and found["lists"] <= BAR_PLAN_LISTS,
    }
    return [part for part, is_met in met.items() if part in report and not is_met(report[part])]


def as_text(report: Mapping[str, Any]) -> str:
    lines = []
    for connections, found in report.get("serving", {}).items():
        lines.append(f"one JSON row to {report['algorithm']}, connections: {connections}, {report['pairs']} pairs")
        for name, load in found["loads"].items():
            lines.append(
                f"  {name:<24}{load['requests_per_second']:>9,.0f} req/s   p50 {load['p50_ms']:>7.2f} ms"
                f"   p99 {load['p99_ms']:>7.2f} ms   errors {load['errors']}"
            )
        bar = f"    (the bar is {BAR_SERVING:g})" if connections == str(serving.CONNECTIONS) else ""
        lines.append(f"  ratio, pair by pair     {found['ratio']:>9.2f}{bar}")
    if found := report.get("data"):
        lines.append(f"{SIZE} MiB to and from a job's container on another node, medians of {report['pairs']}")
        for verb in ("put", "get"):
            lines.append(f"  {verb:<24}{found[verb]:>9.0f} MiB/s  (the bar is {BAR_DATA:g})")
    if found := report.get("model"):
        lines.append(f"start of an instance with a model of {SIZE} MiB")
        lines += [f"  {what:<24}{seconds:>9.1f} s" for what, seconds in found.items()]
    if found := report.get("loss"):
        lines.append(f"from a node's loss to an answer of its only instance  {found['seconds']:.1f} s")
    if found := report.get("plan"):
        lines.append(
            f"plan of {MANY} endpoints  {found['seconds']:.2f} s (the bar is {BAR_PLAN_SECONDS:g}), with the start of "
            f"Python {found['process']:.2f} s; lists: {found['lists']} (the bar is {BAR_PLAN_LISTS})"
        )
        lines.append("  calls to the engine: " + ", ".join(f"{n} x {path}" for path, n in found["calls"].items()))
    lines.append(f"bars MISSED: {', '.join(missed(report))}" if missed(report) else "bars: all met")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
