"""How long `sagespec plan` takes over many unchanged endpoints, beside one raw list call to the engine.

    python benchmarks/plan_1000.py [--endpoints 1000] [--rounds 5]

Needs a Docker engine with debian:bookworm-slim. Every endpoint has one real container that answers /ping
and a route in a real gateway; making them takes some minutes, planning over them is what is timed. Prints
the median of whole `sagespec plan` processes, of the raw list call, their ratio, and how many calls plan
made to the engine, counted at its socket.

At 1,000 endpoints a gateway was once unable to reach half of them. The kernel's table of neighbours (1,024
entries by default) is the likely reason; this raises it: sysctl -w net.ipv4.neigh.default.gc_thresh3=8192
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import docker

from sagespec.gateway.table import Table, with_route
from sagespec.project import Project
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredEndpoint
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch
from sagespec.state.observed import Route, Target
from sagespec.state.revision import Revision, RevisionStatus
from sagespec.verbs.plan import desired as specs_of

IMAGE = "sagespec-benchmark/ping"
# perl is part of Debian's smallest base; one process of it takes 5 MB.
SERVE = r"""#!/usr/bin/perl
use Socket; $SIG{TERM} = sub { exit 0 }; $SIG{PIPE} = "IGNORE"; $| = 1;
socket(S, PF_INET, SOCK_STREAM, 6); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);
bind(S, sockaddr_in(8080, INADDR_ANY)); listen(S, 64);
while (accept(C, S)) { sysread(C, my $request, 4096);
  syswrite(C, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); close C }
"""


def build_image() -> None:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, text in (
            ("Dockerfile", "FROM debian:bookworm-slim\nCOPY serve /usr/local/bin/serve\n"),
            ("serve", SERVE),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
    context.seek(0)
    docker.from_env().images.build(fileobj=context, custom_context=True, tag=IMAGE)


def write_project(root: Path, count: int) -> None:
    (root / "specs").mkdir(parents=True)
    (root / "model.tar.gz").write_bytes(b"")
    with tarfile.open(root / "model.tar.gz", "w:gz"):
        pass
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (root / "sagespec.yaml").write_text(
        "apiVersion: sagespec/v1\nkind: Project\n"
        f"name: bench-{os.getpid()}\nruntime: docker\ngateway: {{port: {port}}}\n"
    )
    documents = (
        f"---\napiVersion: sagespec/v1\nkind: Endpoint\nname: e{number}\nvariants:\n"
        f"  - {{name: only, model: ../model.tar.gz, image: {IMAGE}}}\n"
        for number in range(count)
    )
    (root / "specs" / "all.yaml").write_text("".join(documents))


def make_live(project: Project) -> None:
    """What an apply of so many endpoints would have led to, made in bulk."""
    desired, _ = specs_of(project.parts)
    project.parts.gateway.start(lambda _event: None)
    names = {endpoint.name: _container(project, endpoint) for endpoint in desired.endpoints}
    with ThreadPoolExecutor(4) as pool:
        for number, _ in enumerate(pool.map(lambda e: _start(project, e, names[e.name]), desired.endpoints), 1):
            _say(number, f"started {number} of {len(names)} containers")
    route_in_bulk(project, desired.endpoints, names)
    now = datetime.now(UTC)
    for endpoint in desired.endpoints:
        project.parts.records.write_revision(
            Revision(
                endpoint=endpoint.name,
                number=1,
                hash=endpoint.hash,
                status=RevisionStatus.LIVE,
                asked=endpoint.record,
                started_at=now,
            )
        )


def route_in_bulk(project: Project, endpoints: Sequence[DesiredEndpoint], names: dict[str, str]) -> None:
    """All routes in a few changes of the gateway; one by one, as apply does it, takes a second each by the end."""
    addresses = {container.name: (container.host, container.port) for container in project.parts.runtime.containers()}

    def added(table: Table, some: Sequence[DesiredEndpoint]) -> Table:
        for endpoint in some:
            target = Target("only", endpoint.variants[0].hash, 1.0, instances=(names[endpoint.name],))
            table = with_route(table, endpoint.name, Route(endpoint.name, (target,)), addresses)
        return table

    for first in range(0, len(endpoints), 100):
        some = endpoints[first : first + 100]
        project.parts.gateway._change(lambda table, some=some: added(table, some))  # type: ignore[misc]
        _say(first + len(some), f"routed {first + len(some)} of {len(endpoints)} endpoints")


def _container(project: Project, endpoint: DesiredEndpoint) -> str:
    address = Address("endpoint", endpoint.name, variant="only", instance=0)
    return container_name(project.parts.settings.name, address, endpoint.variants[0].hash)


def _start(project: Project, endpoint: DesiredEndpoint, name: str) -> None:
    variant = endpoint.variants[0]
    address = Address("endpoint", endpoint.name, variant="only", instance=0)
    project.parts.runtime.create([Launch(name, address, variant.hash, variant.program, "serve", keep_running=True)])
    project.parts.runtime.start(name)


def _say(number: int, text: str) -> None:
    if number % 100 == 0:
        print(text, file=sys.stderr, flush=True)


def timed(action: Callable[[], object], rounds: int) -> float:
    """Median seconds, after one round that is not counted."""
    seconds = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:])


@contextmanager
def counted_engine(calls: Counter[str]) -> Iterator[str]:
    """A DOCKER_HOST that passes everything on to the engine's socket and counts the requests."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket, count: bool) -> None:
        while data := source.recv(65536):
            if count and data[:4] in (b"GET ", b"POST", b"PUT ", b"DELE", b"HEAD"):
                method, path = data.split(b" ", 2)[:2]
                calls[f"{method.decode()} {unquote(path.decode()).partition('?')[0]}"] += 1
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect("/var/run/docker.sock")
            for words in ((client, engine, True), (engine, client, False)):
                threading.Thread(target=pump, args=words, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    build_image()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "project")
        write_project(root, options.endpoints)
        with Project.open(root) as project:
            try:
                make_live(project)
                measure(project, root, options.endpoints, options.rounds)
            finally:
                for container in project.parts.runtime.containers():
                    project.parts.runtime.remove(container.name)
                project.parts.runtime.destroy()


def measure(project: Project, root: Path, count: int, rounds: int) -> None:
    words = [sys.executable, "-m", "sagespec", "plan", "--exit-code"]

    def plan(**environment: str) -> None:
        result = subprocess.run(words, cwd=root, env={**os.environ, **environment}, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"the plan is not empty:\n{result.stdout[-3000:]}{result.stderr[-3000:]}")

    client = docker.from_env().api
    filters = {"label": f"sagespec.project={project.parts.settings.name}"}
    whole = timed(plan, rounds)
    list_call = timed(lambda: client.containers(all=True, filters=filters), rounds)
    python = timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), rounds)
    calls: Counter[str] = Counter()
    with counted_engine(calls) as host:
        plan(DOCKER_HOST=host)
    print(f"sagespec plan, {count} unchanged endpoints  {whole * 1000:7.0f} ms")
    print(f"one raw list call to the engine        {list_call * 1000:7.0f} ms  ratio {whole / list_call:.1f}")
    print(f"python -c pass                         {python * 1000:7.0f} ms  ratio {whole / python:.1f}")
    print("calls to the engine: " + ", ".join(f"{times} x {call}" for call, times in sorted(calls.items())))


if __name__ == "__main__":
    main()
