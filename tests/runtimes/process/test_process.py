"""What the process runtime does beyond the contract: supervision, environment, ports, files on this disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from sagespec.errors import InternalError, WorldError
from sagespec.runtimes.machine import capacity_here
from sagespec.runtimes.process import shim as process_shim
from sagespec.runtimes.process.containers import Containers
from sagespec.runtimes.process.ports import PORTS
from sagespec.runtimes.process.processes import start_process
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.sources.build import BuildFolder
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.launches import Launch
from sagespec.state.observed import Container, ContainerState
from sagespec.state.programs import Build, Builtin, Image

T = TypeVar("T")

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
JOB = Address("job", "churn", 1, instance=0)
PROGRAM = """\
import os, pathlib
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
exec((base / "script.py").read_text(), {"base": base})
"""
SLEEP = "import time; (base / 'ready').write_text('1'); time.sleep(600)"


@pytest.fixture
def runtime(tmp_path: Path, project_name: str) -> Iterator[ProcessRuntime]:
    (tmp_path / "images" / "probe").mkdir(parents=True)
    for word in ("train", "serve"):
        (tmp_path / "images" / "probe" / word).write_text(PROGRAM)
    runtime = ProcessRuntime(project_name, tmp_path / "run", tmp_path / "images")
    yield runtime
    for container in runtime.containers():
        runtime.remove(container.name)


def a_launch(name: str = "job", **fields: object) -> Launch:
    given = {"address": JOB, "hash": "1-abc", "program": Builtin("probe"), "command": "train"}
    return Launch(name=name, **(given | fields))  # type: ignore[arg-type]


def run(runtime: ProcessRuntime, script: str, name: str = "job", **fields: object) -> str:
    """The name of a container that was started with `script`."""
    runtime.create([a_launch(name, **fields)])
    runtime.write(name, {"script.py": script.encode()})
    runtime.start(name)
    return name


def ended(runtime: ProcessRuntime, name: str) -> Container:
    def look() -> Container | None:
        container = runtime.inspect(name)
        return container if container and container.state is ContainerState.EXITED else None

    return wait_for(look)


def file(runtime: ProcessRuntime, name: str, path: str) -> str:
    """Content of a file, once the program has written something to it."""
    return wait_for(lambda: runtime.read(name, path) or None).decode()


def wait_for(look: Callable[[], T | None]) -> T:
    give_up_at = time.monotonic() + 60
    while (found := look()) is None:
        assert time.monotonic() < give_up_at, "it did not come"
        time.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def shim_pid(tmp_path: Path, name: str) -> int:
    return int((tmp_path / "run" / name / "process").read_bytes().split()[0])


# -- supervision -----------------------------------------------------------------------------------


@needs_proc
def test_a_killed_supervisor_takes_its_program_along(runtime: ProcessRuntime, tmp_path: Path) -> None:
    name = run(runtime, f"import os; (base / 'pid').write_text(str(os.getpid())); {SLEEP}")
    program = int(file(runtime, name, "pid"))
    os.kill(shim_pid(tmp_path, name), signal.SIGKILL)
    assert ended(runtime, name).exit_code == 137
    wait_for(lambda: None if is_alive(program) else True)


@needs_proc
def test_what_a_killed_supervisor_left_ends_with_the_container(runtime: ProcessRuntime, tmp_path: Path) -> None:
    """A child of the program that left its process group is known by its environment."""
    script = f"""
import subprocess
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
(base / "child").write_text(str(child.pid))
{SLEEP}
"""
    name = run(runtime, script)
    child = int(file(runtime, name, "child"))
    os.kill(shim_pid(tmp_path, name), signal.SIGKILL)
    ended(runtime, name)
    runtime.stop(name, grace_seconds=0)
    wait_for(lambda: None if is_alive(child) else True)


def test_a_late_starter_leaves_the_next_container_of_its_name_alone(
    runtime: ProcessRuntime, tmp_path: Path, project_name: str
) -> None:
    """A killed apply leaves its starter at work, and the next apply may have replaced the container by then."""
    containers = Containers(tmp_path / "run", project_name)
    runtime.create([a_launch()])
    replaced = containers.need("job")
    runtime.remove("job")
    runtime.create([a_launch()])

    with pytest.raises(WorldError, match="container job did not start: it was replaced"):
        start_process(
            containers, replaced, command=["/bin/sleep", "600"], environment={process_shim.ID_VARIABLE: replaced.id}
        )
    assert [container.state for container in runtime.containers()] == [ContainerState.CREATED]
    runtime.remove("job")


@needs_proc
@pytest.mark.parametrize("session", [False, True], ids=["in its group", "in a session of its own"])
def test_children_end_with_their_program(runtime: ProcessRuntime, session: bool) -> None:
    script = f"""
import subprocess
child = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600"], start_new_session={session})
(base / "child").write_text(str(child.pid))
raise SystemExit(3)
"""
    name = run(runtime, script)
    assert ended(runtime, name).exit_code == 3
    assert not is_alive(int(file(runtime, name, "child")))


def test_only_the_program_itself_hears_sigterm(runtime: ProcessRuntime) -> None:
    """As in a container, where it goes to PID 1: workers must live on while the program saves its model."""
    script = """
import signal, subprocess, sys, time
worker = subprocess.Popen(["sleep", "600"])
def end(*_):
    time.sleep(0.1)
    sys.exit(7 if worker.poll() is None else 8)
signal.signal(signal.SIGTERM, end)
(base / "ready").write_text("1")
time.sleep(600)
"""
    name = run(runtime, script)
    file(runtime, name, "ready")
    runtime.stop(name, grace_seconds=10)
    assert ended(runtime, name).exit_code == 7


def test_a_signal_is_told_as_128_and_its_number(runtime: ProcessRuntime) -> None:
    assert ended(runtime, run(runtime, "import os; os.abort()")).exit_code == 128 + signal.SIGABRT


def test_a_record_nobody_holds_is_of_the_dead_even_when_its_pid_lives(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    (tmp_path / "run" / "job" / "process").write_bytes(process_shim.record_line(os.getpid(), time.time()))
    container = runtime.inspect("job")
    assert container is not None
    assert (container.state, container.exit_code) == (ContainerState.EXITED, 137)
    runtime.remove("job")  # and does not kill us


def test_an_exited_container_can_be_started_again(runtime: ProcessRuntime) -> None:
    script = """
count = len(list(base.glob("run*")))
(base / f"run{count}").touch()
print("run", count)
raise SystemExit(count)
"""
    name = run(runtime, script)
    assert ended(runtime, name).exit_code == 0
    runtime.start(name)
    assert ended(runtime, name).exit_code == 1
    assert list(runtime.logs(name)) == ["run 0", "run 1"]


def test_a_program_that_is_gone_says_so_in_the_log(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    (tmp_path / "images" / "probe" / "train").unlink()
    runtime.start("job")
    assert ended(runtime, "job").exit_code == 2
    assert "No such file" in "\n".join(runtime.logs("job"))


@needs_proc
def test_a_program_whose_folder_was_deleted_ends(runtime: ProcessRuntime, tmp_path: Path) -> None:
    """As by `git clean -fdx`: nobody could find it any more."""
    name = run(runtime, f"import os; (base / 'pid').write_text(str(os.getpid())); {SLEEP}")
    program = int(file(runtime, name, "pid"))
    shutil.rmtree(tmp_path / "run" / name)
    wait_for(lambda: None if is_alive(program) else True)


def test_a_program_whose_folder_was_moved_lives_on(runtime: ProcessRuntime, tmp_path: Path) -> None:
    file(runtime, run(runtime, SLEEP), "ready")
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = ProcessRuntime(runtime._project_name, tmp_path / "moved", tmp_path / "images")
    time.sleep(process_shim.LOOK_EVERY_MS / 1000 + 0.2)
    assert [c.state for c in moved.containers()] == [ContainerState.RUNNING]
    moved.remove("job")
    assert moved.containers() == ()
    assert list((tmp_path / "moved").iterdir()) == []


@needs_proc
def test_memory_above_the_limit_ends_the_program(runtime: ProcessRuntime) -> None:
    name = run(runtime, f"held = b'x' * 200_000_000; {SLEEP}", memory=100 * 2**20)
    assert ended(runtime, name).exit_code == 137
    assert "the limit is 100 MiB" in list(runtime.logs(name))[-1]


@needs_proc
def test_reserved_memory_is_not_used_memory(runtime: ProcessRuntime) -> None:
    script = "import mmap, time; held = mmap.mmap(-1, 10**9); time.sleep(1.3)"
    assert ended(runtime, run(runtime, script, memory=100 * 2**20)).exit_code == 0


# -- what the machine has --------------------------------------------------------------------------


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose nvidia-smi tells of two GPUs."""
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "nvidia-smi").write_text("#!/bin/sh\necho GPU-a1\necho GPU-b2\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_gpus")
def test_every_container_sees_gpus_of_its_own_alone(runtime: ProcessRuntime) -> None:
    script = f"import os; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); {SLEEP}"
    names = [run(runtime, script, name=name, gpus=1) for name in ("a", "b")]
    assert [c.gpus for c in runtime.containers()] == [("GPU-a1",), ("GPU-b2",)]
    assert [next(runtime.logs(name, follow=True)) for name in names] == ["GPU-a1", "GPU-b2"]
    with pytest.raises(WorldError, match=r"of 2 there are 0 free\n.*has GPU-a1, .* has GPU-b2"):
        run(runtime, script, name="c", gpus=1)
    runtime.stop("a", grace_seconds=10)
    run(runtime, script, name="c", gpus=1)
    assert [c.gpus for c in runtime.containers()] == [("GPU-a1",), ("GPU-b2",), ("GPU-a1",)], "an ended job has none"


def test_a_container_that_asks_for_no_gpu_is_told_nothing(runtime: ProcessRuntime) -> None:
    name = run(runtime, "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES', 'not set'))")
    ended(runtime, name)
    assert list(runtime.logs(name)) == [os.environ.get("CUDA_VISIBLE_DEVICES", "not set")]


@pytest.mark.parametrize(
    ("groups", "files", "cpus", "memory"),
    [
        ("0::/user/job\n", {"user/job/cpu.max": "150000 100000\n", "user/memory.max": "1000000\n"}, 1.5, 1_000_000),
        ("0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, None, None),
        (
            "4:memory:/job\n3:cpu:/job\n",
            {
                "memory/job/memory.limit_in_bytes": "2000000\n",
                "cpu/job/cpu.cfs_quota_us": "50000\n",
                "cpu/job/cpu.cfs_period_us": "100000\n",
            },
            0.5,
            2_000_000,
        ),
        ("3:cpu:/job\n", {"cpu/job/cpu.cfs_quota_us": "-1\n", "cpu/job/cpu.cfs_period_us": "100000\n"}, None, None),
    ],
)
def test_control_groups_limit_what_there_is(
    tmp_path: Path, groups: str, files: dict[str, str], cpus: float | None, memory: int | None
) -> None:
    (tmp_path / "own").write_text(groups)
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    unlimited = capacity_here(tmp_path / "nothing", tmp_path / "nobody")
    found = capacity_here(tmp_path, tmp_path / "own")
    assert found.cpus == (cpus or unlimited.cpus)
    assert found.memory == (memory or unlimited.memory)


# -- logs ------------------------------------------------------------------------------------------


def test_the_log_is_bounded_and_keeps_the_end(runtime: ProcessRuntime, tmp_path: Path) -> None:
    script = """
for block in range(50):
    print("\\n".join(f"{line:>99}" for line in range(block * 6000, (block + 1) * 6000)))
"""
    name = run(runtime, script)
    ended(runtime, name)
    sizes = [path.stat().st_size for path in (tmp_path / "run" / name).glob("log*")]
    assert len(sizes) == 2
    assert max(sizes) <= process_shim.LOG_BYTES + 2**16
    kept = [int(line) for line in runtime.logs(name)]
    assert kept[-1] == 299_999
    assert kept == list(range(kept[0], 300_000))
    assert [int(line) for line in runtime.logs(name, tail=150_000)] == list(range(150_000, 300_000))


def test_following_goes_on_over_a_rotation(runtime: ProcessRuntime) -> None:
    script = """
import time
for number in range(12):
    print(number, "x" * 2**20)
    time.sleep(0.06)
"""
    name = run(runtime, script)
    assert [line.split()[0] for line in runtime.logs(name, follow=True)] == [str(number) for number in range(12)]


def test_times_are_right_over_a_rotation_and_another_start(runtime: ProcessRuntime, tmp_path: Path) -> None:
    script = """
import time
for number in range(6):
    print("\\n".join([f"{time.time()} " + "x" * 999] * 3000))
    time.sleep(0.25)
"""
    name = run(runtime, script)
    ended(runtime, name)
    runtime.start(name)  # goes on with the log there is
    ended(runtime, name)
    timed = list(runtime.timed_logs(name))
    assert len(timed) > 10_000
    assert [at for at, _ in timed] == pytest.approx([float(line.split()[0]) for _, line in timed], abs=0.2)
    assert list(runtime.logs(name)) == [line for _, line in timed]
    folder = tmp_path / "run" / name
    logs = {f"times.{file.stat().st_ino}" for file in folder.glob("log*")}
    assert {file.name for file in folder.glob("times.*")} == logs, "none is left of the logs that are gone"


def test_a_line_without_a_noted_time_is_not_newer_than_its_log(runtime: ProcessRuntime, tmp_path: Path) -> None:
    name = run(runtime, "print('one')")
    ended(runtime, name)
    folder = tmp_path / "run" / name
    for notes in folder.glob("times.*"):  # as a shim of an earlier release, or a full disk, leaves it
        notes.unlink()
    assert list(runtime.timed_logs(name)) == [((folder / "log").stat().st_mtime, "one")]


# -- environment -----------------------------------------------------------------------------------


def environment(runtime: ProcessRuntime, name: str = "job", **fields: object) -> dict[str, str]:
    run(runtime, "import json, os; (base / 'seen').write_text(json.dumps(dict(os.environ)))", name, **fields)
    seen: dict[str, str] = json.loads(file(runtime, name, "seen"))
    return seen


def test_a_program_sees_little_of_our_environment(runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "RUNNER_TRACKING_ID", "PYTHONHOME"):
        monkeypatch.setenv(secret, "x")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    seen = environment(runtime)
    assert {"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "RUNNER_TRACKING_ID", "PYTHONHOME"}.isdisjoint(seen)
    assert seen["PATH"] == os.environ["PATH"]
    assert (seen["https_proxy"], seen["LC_ALL"]) == ("http://proxy:3128", "C.UTF-8")


def test_a_program_is_told_its_place(runtime: ProcessRuntime, tmp_path: Path) -> None:
    seen = environment(runtime, environment={"GIVEN": "1", "SAGEMAKER_BIND_TO_PORT": "1"})
    container = runtime.inspect("job")
    assert container is not None
    assert seen["GIVEN"] == "1"
    assert seen["SAGEMAKER_BASE_DIR"] == runtime.base_dir("job") == str(tmp_path / "run" / "job" / "opt" / "ml")
    assert (seen["SAGEMAKER_BIND_TO_HOST"], seen["SAGEMAKER_BIND_TO_PORT"]) == (container.host, str(container.port))
    assert seen["PYTHONPATH"] == str(tmp_path / "images")
    assert "SM_MASTER_PORT" not in seen


def test_cpus_become_threads_in_training_and_workers_in_serving(runtime: ProcessRuntime) -> None:
    assert environment(runtime, "a", cpus=1.5)["OMP_NUM_THREADS"] == "2"
    assert environment(runtime, "b", cpus=3, environment={"OMP_NUM_THREADS": "7"})["OMP_NUM_THREADS"] == "7"
    serving = environment(runtime, "c", cpus=1.5, command="serve")
    assert serving["SAGEMAKER_MODEL_SERVER_WORKERS"] == "2"
    assert "OMP_NUM_THREADS" not in serving


# -- ports -----------------------------------------------------------------------------------------


def test_each_container_has_a_port_of_its_own_for_life(runtime: ProcessRuntime) -> None:
    runtime.create([a_launch(f"job{number}") for number in range(20)])
    ports = {c.name: c.port for c in runtime.containers()}
    assert len(set(ports.values())) == 20
    assert set(ports.values()) <= set(PORTS)
    run(runtime, "pass", "job3")
    ended(runtime, "job3")
    assert {c.name: c.port for c in runtime.containers()} == ports


def test_the_hosts_of_a_job_share_a_port_however_they_are_created(runtime: ProcessRuntime) -> None:
    hosts = ("host-a", "host-b", "host-c")
    seen = [environment(runtime, name, hosts=hosts) for name in ("host-b", "host-a", "host-c")]
    other = environment(runtime, "other", hosts=("other",))
    assert len({host["SM_MASTER_PORT"] for host in seen}) == 1
    assert {host["SM_MASTER_ADDR"] for host in seen} == {"127.0.0.1"}
    assert {host["SM_NETWORK_INTERFACE_NAME"] for host in seen} <= {"lo", "lo0"}
    of_the_job = range(int(seen[0]["SM_MASTER_PORT"]), int(seen[0]["SM_MASTER_PORT"]) + len(hosts))
    assert int(other["SM_MASTER_PORT"]) not in of_the_job
    kept = {container.port for container in runtime.containers()}
    assert not kept & set(of_the_job), "a port for each host is kept free, from the master's on"


def test_the_gateway_listens_where_it_is_published(runtime: ProcessRuntime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    seen = environment(runtime, "gate", address=GATEWAY, publish=("0.0.0.0", port), command="serve")
    container = runtime.inspect("gate")
    assert container is not None
    assert (seen["SAGEMAKER_BIND_TO_HOST"], seen["SAGEMAKER_BIND_TO_PORT"]) == ("0.0.0.0", str(port))
    assert (container.host, container.port) == ("127.0.0.1", port)


def test_a_taken_port_is_told_before_the_start(runtime: ProcessRuntime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        runtime.create([a_launch("gate", address=GATEWAY, publish=("127.0.0.1", port), command="serve")])
        with pytest.raises(WorldError, match=f"port {port} on 127.0.0.1 is taken"):
            runtime.start("gate")
    container = runtime.inspect("gate")
    assert container is not None
    assert container.state is ContainerState.CREATED


# -- what is on the disk ---------------------------------------------------------------------------


def test_half_a_container_is_none_and_is_completed_by_the_next_create(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "run" / "job" / "opt").mkdir(parents=True)
    assert runtime.containers() == ()
    runtime.create([a_launch()])
    assert [c.name for c in runtime.containers()] == ["job"]


def test_what_a_killed_removal_left_is_never_listed_and_swept(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    (tmp_path / "run" / "job").rename(tmp_path / "run" / ".gone-job-1")
    assert runtime.containers() == ()
    runtime.destroy()
    assert not (tmp_path / "run").exists()


def test_files_of_others_are_no_containers(runtime: ProcessRuntime, tmp_path: Path) -> None:
    for content in (b"{}", b"[]", b"\xff", b'{"launch": []}'):
        (tmp_path / "run" / "theirs").mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / "theirs" / "container.json").write_bytes(content)
        assert runtime.containers() == ()
    (tmp_path / "run" / "file").touch()
    assert runtime.inspect("file") is None


def test_what_a_newer_release_created_is_still_found(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    record = tmp_path / "run" / "job" / "container.json"
    fields = json.loads(record.read_text())
    record.write_text(json.dumps({**fields, "new": 1, "launch": {**fields["launch"], "newer": 2}}))
    assert [c.name for c in runtime.containers()] == ["job"]


def test_a_link_into_its_own_folder_and_a_broken_link_are_errors(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "again").symlink_to(tmp_path / "loop")
    with pytest.raises(WorldError, match="leads back"):
        runtime.put("job", "input", tmp_path / "loop")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(WorldError, match="link"):
        runtime.put("job", "input", tmp_path / "broken")


def test_no_path_leads_out_of_a_container(runtime: ProcessRuntime) -> None:
    runtime.create([a_launch()])
    with pytest.raises(InternalError):
        runtime.write("job", {"input/../../x": b""})


def test_folders_without_write_permission_are_removed_too(runtime: ProcessRuntime, tmp_path: Path) -> None:
    name = run(
        runtime, "(base / 'a' / 'b').mkdir(parents=True); (base / 'a' / 'b').chmod(0); (base / 'a').chmod(0o500)"
    )
    ended(runtime, name)
    runtime.remove(name)
    assert list((tmp_path / "run").iterdir()) == []


def test_what_the_disk_refuses_is_told_with_the_path(tmp_path: Path, runtime: ProcessRuntime) -> None:
    (tmp_path / "file").touch()
    misplaced = ProcessRuntime("p", tmp_path / "file" / "run", tmp_path / "images")
    with pytest.raises(WorldError, match=r"cannot list .*file/run: not a directory"):
        misplaced.create([a_launch()])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_on_a_full_disk_the_program_goes_on_and_its_exit_code_is_known(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    runtime.write("job", {"script.py": b"print('lost', flush=True); raise SystemExit(3)"})
    (tmp_path / "run" / "job" / "log").symlink_to("/dev/full")
    runtime.start("job")
    assert ended(runtime, "job").exit_code == 3


# -- programs and doctor ---------------------------------------------------------------------------


def test_packages_that_are_not_installed_are_named_with_what_to_install(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    requires = {"modules": ["json", "no_such_package"], "extra": "pytorch"}
    (tmp_path / "images" / "probe" / "image.json").write_text(json.dumps({"requires": requires}))
    with pytest.raises(WorldError, match=r"probe needs no_such_package(.|\n)*pip install 'sagespec\[pytorch\]'"):
        runtime.prepare(Builtin("probe"), lambda _: None)


def test_an_image_of_ones_own_needs_docker_and_is_told_so(runtime: ProcessRuntime) -> None:
    program = Image("registry/mine:1")
    for ask in (lambda: runtime.prepare(program, print), lambda: runtime.create([a_launch(program=program)])):
        with pytest.raises(WorldError, match=r"registry/mine:1 cannot run without Docker[\s\S]*fix  start Docker"):
            ask()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of the user's with a program: an executable script of no language of ours."""
    folder = tmp_path / "container"
    folder.mkdir()
    (folder / "train").write_text('#!/bin/sh\necho "$0 $*"; echo "$SAGEMAKER_BASE_DIR"; echo "path=$PYTHONPATH"\n')
    (folder / "train").chmod(0o755)
    return folder


def of_folder(folder: Path) -> Build:
    return Build(str(folder), BuildFolder(folder).hash(), "Dockerfile")


def test_a_folder_of_ones_own_runs_by_itself_without_docker(runtime: ProcessRuntime, own: Path) -> None:
    launch = a_launch(program=of_folder(own), arguments=("--fast",))
    assert isinstance(launch.program, Build)
    assert runtime.prepare(launch.program, print) == launch.program.context
    runtime.create([launch])
    runtime.start(launch.name)
    lines = list(runtime.logs(launch.name, follow=True))
    assert lines == [f"{own / 'train'} --fast", runtime.base_dir(launch.name), "path="]


def test_a_folder_that_changed_is_not_run_as_what_it_was(runtime: ProcessRuntime, own: Path) -> None:
    program = of_folder(own)
    (own / "train").write_text("#!/bin/sh\n")
    with pytest.raises(WorldError, match=r"is not what it was[\s\S]*raise the job's version"):
        runtime.prepare(program, print)


def test_a_folder_without_programs_needs_docker_and_is_told_so(runtime: ProcessRuntime, own: Path) -> None:
    with pytest.raises(WorldError, match="there is no executable file `serve`"):
        runtime.create([a_launch(program=of_folder(own), command="serve")])
    with pytest.raises(WorldError, match="entrypoint sh cannot run without Docker"):
        runtime.create([a_launch(program=of_folder(own), entrypoint=("sh",))])
    (own / "train").chmod(0o644)
    with pytest.raises(WorldError, match=r"cannot run without Docker: there is no executable file `train`"):
        runtime.prepare(of_folder(own), print)


def test_the_digest_follows_the_programs_files(runtime: ProcessRuntime, tmp_path: Path) -> None:
    def digest() -> str:
        return runtime.prepare(Builtin("probe"), lambda _: None)

    before = digest()
    (tmp_path / "images" / "probe" / "__pycache__").mkdir()
    (tmp_path / "images" / "probe" / "__pycache__" / "x.pyc").touch()
    assert digest() == before
    (tmp_path / "images" / "toolkit").mkdir()
    (tmp_path / "images" / "toolkit" / "new.py").touch()
    assert digest() != before


def test_doctor_is_told_that_nothing_is_isolated(runtime: ProcessRuntime) -> None:
    checks = {check.name: check for check in runtime.checks()}
    assert checks["isolation"].detail.startswith("none")
    assert checks["built-ins"].ok
    assert all(check.ok or check.fix for check in checks.values())


def test_listing_a_thousand_containers_is_cheap(runtime: ProcessRuntime, tmp_path: Path) -> None:
    many = ProcessRuntime("many", tmp_path / "many", tmp_path / "images")
    many.create([a_launch("0")])
    record = (tmp_path / "many" / "0" / "container.json").read_bytes()
    for number in range(1000):
        folder = tmp_path / "many" / str(number)
        folder.mkdir(exist_ok=True)
        (folder / "container.json").write_bytes(record)
        (folder / "process").write_bytes(process_shim.record_line(1, time.time(), 0))
    began = time.process_time()
    assert len(ProcessRuntime("many", tmp_path / "many", tmp_path / "images").containers()) == 1000
    assert time.process_time() - began < 0.3
