"""How every Runtime creates, starts, stops and removes containers: fake, processes and Docker."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from sagespec.errors import WorldError
from sagespec.state.addresses import GATEWAY
from sagespec.state.observed import ContainerState
from tests.contracts.bench import (
    FOREVER,
    RUNS,
    SERVER,
    SLEEP,
    TELLS_MEMORY,
    Bench,
    able_to,
    in_every_state,
    on_every_engine,
    on_real_engines,
    wait_for,
)
from tests.fakes import Behaviour


@on_every_engine
def test_created_is_not_started(bench: Bench) -> None:
    container = bench.inspect(bench.create())
    assert (container.state, container.exit_code, container.started_at) == (ContainerState.CREATED, None, None)


@on_every_engine
def test_a_second_create_leaves_the_first_as_it_is(bench: Bench) -> None:
    name = bench.create()
    bench.runtime.write(name, {"kept": b"1"})
    before = bench.inspect(name)
    bench.runtime.create([bench.launch(environment={"NEW": "1"}), bench.launch("other")])
    assert bench.inspect(name) == before
    assert bench.runtime.read(name, "kept") == b"1"
    assert len(bench.runtime.containers()) == 2


@on_every_engine
def test_a_second_create_leaves_a_running_one_running(bench: Bench) -> None:
    name = bench.start()
    before = bench.inspect(name)
    bench.runtime.create([bench.launch()])
    assert bench.inspect(name) == before


@on_every_engine
def test_start_says_when_and_a_second_start_changes_nothing(bench: Bench) -> None:
    name = bench.create(SLEEP, FOREVER)
    first = bench.runtime.start(name)
    assert first.state is ContainerState.RUNNING
    assert first.started_at is not None
    assert abs(first.started_at - datetime.now(UTC)) < timedelta(seconds=10)
    assert bench.runtime.start(name) == first


@on_every_engine
def test_starting_nothing_is_an_error(bench: Bench) -> None:
    with pytest.raises(WorldError, match="sagespec_nobody"):
        bench.runtime.start("sagespec_nobody")


@on_every_engine
def test_what_has_ended_is_started_again_as_it_is(bench: Bench) -> None:
    name = bench.start()
    bench.runtime.write(name, {"kept": b"1"})
    place = bench.inspect(name).host, bench.inspect(name).port
    bench.runtime.stop(name, grace_seconds=1)
    assert bench.inspect(name).state is ContainerState.EXITED
    assert bench.runtime.start_again(name)
    started = bench.until(name, ContainerState.RUNNING)
    assert (started.host, started.port) == place
    assert bench.runtime.read(name, "kept") == b"1"


@on_every_engine
def test_nothing_else_is_started_again(bench: Bench) -> None:
    assert not bench.runtime.start_again("sagespec_nobody")
    created = bench.create(name="created")
    running = bench.start(name="running")
    before = bench.runtime.containers()
    assert not bench.runtime.start_again(created)
    assert not bench.runtime.start_again(running)
    assert bench.runtime.containers() == before


@on_every_engine
@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_kept(bench: Bench, code: int) -> None:
    name = bench.run(f"raise SystemExit({code})", Behaviour(exit_code=code))
    assert bench.inspect(name).exit_code == code
    assert bench.runtime.end_seen(name) == "watched"


@on_every_engine
def test_nobody_has_watched_an_end_that_has_not_come(bench: Bench) -> None:
    for name in (bench.create(name="created"), bench.start(name="running"), "sagespec_nobody"):
        assert bench.runtime.end_seen(name) == "unsure"


@on_every_engine
def test_many_threads_may_use_one_runtime(bench: Bench) -> None:
    with ThreadPoolExecutor(6) as pool:
        names = list(pool.map(lambda number: bench.start(name=str(number)), range(6)))
        assert [c.state for c in bench.runtime.containers()] == [ContainerState.RUNNING] * 6
        list(pool.map(bench.runtime.remove, names))
    assert bench.runtime.containers() == ()


@on_real_engines
def test_death_by_a_signal_is_128_and_its_number(bench: Bench) -> None:
    script = "import os, subprocess; raise SystemExit(subprocess.run(['sh', '-c', 'kill -9 $$']).returncode + 128 + 18)"
    assert bench.inspect(bench.run(script)).exit_code == 137


@on_real_engines
@pytest.mark.parametrize("word", ["train", "serve"])
def test_the_program_gets_its_word_environment_and_tree(bench: Bench, word: str) -> None:
    script = """
import json, os, sys
(base / "seen").write_text(json.dumps([os.path.basename(sys.argv[0]), os.environ["GIVEN"], str(base)]))
"""
    given = "two words, 'quotes' = ü\nand a line"
    name = bench.run(script, command=word, environment={"GIVEN": given})
    assert json.loads(bench.file(name, "seen")) == [word, given, bench.runtime.base_dir(name)]


@on_real_engines
def test_the_hosts_of_a_job_reach_each_other(bench: Bench) -> None:
    """By alias where the engine has names, else by SM_MASTER_ADDR and SM_MASTER_PORT, as in the toolkit."""
    script = """
import os, socket, time
place = (os.environ.get("SM_MASTER_ADDR") or "algo-1", int(os.environ.get("SM_MASTER_PORT") or 7777))
if os.environ["RANK"] == "0":
    with socket.create_server(("", place[1])) as server:
        for _ in range(2):
            connection, _ = server.accept()
            print("from", connection.recv(100).decode())
else:
    for _ in range(200):
        try:
            connection = socket.create_connection(place, 5)
            break
        except OSError:
            time.sleep(0.05)
    connection.sendall(os.environ["RANK"].encode())
"""
    names = tuple(bench.launch(f"host{rank}").name for rank in range(3))
    launches = [
        bench.launch(f"host{rank}", alias=f"algo-{rank + 1}", hosts=names, environment={"RANK": str(rank)})
        for rank in range(3)
    ]
    bench.runtime.create(launches[:2])  # cut off, and done again
    bench.runtime.create(launches)
    for name in names:
        bench.runtime.write(name, {"script.py": script.encode()})
        bench.runtime.start(name)
    assert [bench.until(name, ContainerState.EXITED).exit_code for name in names] == [0, 0, 0]
    assert sorted(bench.runtime.logs(names[0])) == ["from 1", "from 2"]


@on_real_engines
def test_a_published_port_is_reached_from_outside(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    name = bench.start(SERVER, command="serve", address=GATEWAY, publish=(bench.published_at, port))
    bench.file(name, "port")
    with urllib.request.urlopen(f"http://{bench.published_at}:{port}/given", timeout=10) as response:
        assert response.read() == b"GET /given"
    bench.runtime.stop(name, grace_seconds=1)
    found = bench.runtime.inspect(name)
    assert found
    assert found.published == port, "known of a stopped one, too"


@on_real_engines
def test_what_is_started_outlives_a_killed_starter(bench: Bench) -> None:
    script = "print('begun'); import time; time.sleep(0.5); raise SystemExit(4)"
    name = bench.create(script)
    killed = "import os, signal; os.killpg(os.getpgid(0), signal.SIGKILL)"
    starter = f"{bench.opened}\nruntime.start({name!r})\n{killed}"
    ended = subprocess.run([sys.executable, "-c", starter], start_new_session=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    with bench.open(bench.project_name) as found_again:
        assert [c.name for c in found_again.containers()] == [name]
        assert list(found_again.logs(name, follow=True)) == ["begun"]
    assert bench.until(name, ContainerState.EXITED).exit_code == 4


@on_every_engine
def test_stop_lets_the_program_end_by_itself(bench: Bench) -> None:
    script = """
import signal, sys, time
def end(*_):
    (base / "model.txt").write_text("kept")
    sys.exit(5)
signal.signal(signal.SIGTERM, end)
(base / "ready").write_text("1")
while True:  # no signal is lost between the line above and a sleep that begins after it
    time.sleep(0.05)
"""
    behaviour = Behaviour(lasts=None, on_sigterm=5, files={"ready": b"1", "model.txt": b"kept"})
    name = bench.start(script, behaviour, grace_seconds=20)
    bench.file(name, "ready")
    bench.runtime.stop(name, grace_seconds=20)
    container = bench.inspect(name)
    assert (container.state, container.exit_code) == (ContainerState.EXITED, 5)
    assert bench.runtime.read(name, "model.txt") == b"kept"


@on_every_engine
def test_stop_kills_who_ignores_it_after_the_grace(bench: Bench) -> None:
    script = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(base / "ready").write_text("1")
time.sleep(600)
"""
    name = bench.start(script, Behaviour(lasts=None, on_sigterm=None, files={"ready": b"1"}))
    bench.file(name, "ready")
    began = time.monotonic()
    bench.runtime.stop(name, grace_seconds=1)
    assert 0.9 < time.monotonic() - began < 10
    assert bench.inspect(name).exit_code == 137


@on_every_engine
def test_a_stop_for_later_leaves_another_container_of_that_name_alone(bench: Bench) -> None:
    stop = bench.runtime.stopping(bench.start(), grace_seconds=1)
    bench.runtime.remove(bench.launch().name)
    name = bench.start()
    began = time.monotonic()
    stop()
    assert time.monotonic() - began < 5
    assert bench.inspect(name).state is ContainerState.RUNNING


@on_every_engine
def test_stop_of_what_does_not_run_is_fine(bench: Bench) -> None:
    bench.runtime.stop("sagespec_nobody", grace_seconds=5)
    created, exited = bench.create(name="a"), bench.run("raise SystemExit(3)", Behaviour(exit_code=3), name="b")
    for name in (created, exited, exited):
        bench.runtime.stop(name, grace_seconds=5)
    assert [c.state for c in bench.runtime.containers()] == [ContainerState.CREATED, ContainerState.EXITED]
    assert bench.inspect(exited).exit_code == 3


@on_every_engine
@in_every_state
def test_remove_leaves_nothing_and_may_be_repeated(bench: Bench, state: ContainerState) -> None:
    name = bench.in_state(state)
    bench.runtime.write(name, {"old": b"1"})
    bench.runtime.remove(name)
    bench.runtime.remove(name)
    assert bench.runtime.inspect(name) is None
    assert bench.runtime.containers() == ()
    bench.runtime.create([bench.launch()])
    assert bench.inspect(name).state is ContainerState.CREATED
    assert bench.runtime.read(name, "old") is None
    assert list(bench.runtime.logs(name)) == []


@on_every_engine
def test_destroy_may_be_repeated(bench: Bench) -> None:
    bench.runtime.remove(bench.create())
    bench.runtime.destroy()
    bench.runtime.destroy()
    assert bench.runtime.containers() == ()


SERVES_ONCE_IT_HAS_DIED = """
import os, signal, sys, time
first = not (base / "died").exists()
(base / "died").touch()
print("begun", os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
if first:
    raise SystemExit(3)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
(base / "ready").write_text("1")
while True:  # no signal is lost between the line above and a sleep that begins after it
    time.sleep(0.05)
"""


@on_real_engines
def test_what_is_to_keep_running_is_started_again_and_counted(bench: Bench) -> None:
    name = bench.start(
        SERVES_ONCE_IT_HAS_DIED, command="serve", keep_running=True, address=GATEWAY, grace_seconds=20
    )  # only the gateway is sure to be started again where it left its files
    first = bench.inspect(name)
    bench.file(name, "ready")
    container = bench.inspect(name)
    assert (container.state, container.restarts, container.exit_code) == (ContainerState.RUNNING, 1, None)
    assert (container.host, container.port) == (first.host, first.port)
    assert container.last_exit
    assert (container.last_exit.code, container.last_exit.note) == (3, "")
    assert container.started_at
    assert container.last_exit.at
    assert timedelta(0) < container.started_at - container.last_exit.at < timedelta(seconds=10)
    bench.runtime.stop(name, grace_seconds=20)
    assert (ended := bench.inspect(name)).exit_code == 5, "it hears SIGTERM as at its first start"
    assert ended.last_exit
    assert ended.last_exit.code == 5
    begun = [line for line in bench.runtime.logs(name) if line.startswith("begun")]
    assert len(begun) == 2, "its log goes on"
    assert len(set(begun)) == 1, "at the port it had"
    bench.runtime.start(name)
    again = bench.inspect(name)
    assert (again.state, again.restarts, again.last_exit) == (ContainerState.RUNNING, 0, None), "counted anew"


@on_real_engines
def test_what_may_end_is_started_again_until_it_ends_well(bench: Bench) -> None:
    script = """
import sys
died = base / "died"
if died.exists():
    sys.exit(0)
died.touch()
sys.exit(3)
"""
    name = bench.start(script, command="serve", keep_running=True, may_end=True, address=GATEWAY)
    ended = bench.until(name, ContainerState.EXITED)
    assert (ended.exit_code, ended.restarts) == (0, 1)


@on_real_engines
def test_what_waits_to_be_started_again_says_since_when(bench: Bench) -> None:
    """So that it is not taken for one that has been silent for as long as it ran."""
    name = bench.start("import time; time.sleep(2); raise SystemExit(1)", command="serve", keep_running=True)
    waiting = bench.until(name, ContainerState.RESTARTING)
    assert waiting.exit_code is None
    assert waiting.last_exit
    assert waiting.started_at == waiting.last_exit.at
    (listed,) = bench.runtime.containers()
    assert listed.started_at
    assert abs(datetime.now(UTC) - listed.started_at) < timedelta(seconds=1.9)


@on_real_engines
def test_a_job_is_never_started_again(bench: Bench) -> None:
    name = bench.run("print('once'); raise SystemExit(3)")
    time.sleep(0.5)
    container = bench.inspect(name)
    assert (container.state, container.restarts, container.exit_code) == (ContainerState.EXITED, 0, 3)
    assert container.last_exit
    assert container.last_exit.code == 3
    assert list(bench.runtime.logs(name)) == ["once"]


@on_real_engines
@pytest.mark.parametrize("grace_seconds", [0, 5])
def test_stop_wins_over_a_restart(bench: Bench, grace_seconds: float) -> None:
    """Whenever it comes: while the program starts, ends, or waits to be started again."""
    names = [bench.start("raise SystemExit(1)", name=f"n{n}", command="serve", keep_running=True) for n in range(3)]
    for number, name in enumerate(names):
        wait_for(lambda name=name: bench.inspect(name).restarts >= 1 or None)  # type: ignore[misc]
        time.sleep(number * 0.07)
        bench.runtime.stop(name, grace_seconds=grace_seconds)
    stopped = [bench.inspect(name) for name in names]
    assert {container.state for container in stopped} == {ContainerState.EXITED}
    time.sleep(1.0)
    assert [bench.inspect(name) for name in names] == stopped


@on_real_engines
def test_remove_wins_over_a_restart(bench: Bench) -> None:
    name = bench.start("raise SystemExit(1)", command="serve", keep_running=True)
    wait_for(lambda: bench.inspect(name).restarts >= 1 or None)
    bench.runtime.remove(name)
    time.sleep(0.5)
    assert bench.runtime.containers() == ()


@able_to(RUNS, TELLS_MEMORY)
def test_memory_that_ran_out_is_told_of_what_runs_again(bench: Bench) -> None:
    script = """
first = not (base / "died").exists()
(base / "died").touch()
held = b"x" * 300_000_000 if first else b""
import time
time.sleep(600)
"""
    name = bench.start(script, command="serve", keep_running=True, memory=100 * 2**20)
    wait_for(lambda: bench.inspect(name).restarts >= 1 or None)
    container = bench.until(name, ContainerState.RUNNING)
    assert (container.note, container.exit_code) == ("", None)
    assert container.last_exit
    assert container.last_exit.code == 137
    assert container.last_exit.note.startswith("out of memory")


@on_every_engine
def test_calls_of_an_engine_are_counted_where_there_is_one(bench: Bench) -> None:
    before = dict(bench.runtime.calls)
    bench.runtime.containers()
    counted = bench.runtime.calls.get("done", 0) - before.get("done", 0)
    assert counted >= 1 if bench.runtime.runs_images and not bench.engine else not bench.runtime.calls
