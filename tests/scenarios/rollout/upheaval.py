"""Rollouts under load while gateway, `watch` and the `apply` that follows are killed at random; what callers saw.

What counts as lost: every request that got no answer, or one that its model did not give, unless the gateway was down.
It is down from the moment it is killed until it answers 200 again, and requests that were under way or begun then are
counted by themselves: whoever kills a proxy cuts its connections. Nothing is tried again.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sagespec.state.revision import Revision, RevisionStatus
from tests.scenarios.rollout.calling import callers, mark_in, spec
from tests.scenarios.workspace import Workspace, wait_until

STEPS = {
    "all_at_once": "strategy: all_at_once, bake: 6s",  # a single step: longer than a gateway is down
    "canary": "strategy: canary, size: 20%, wait: 2s, bake: 1s",
    "linear": "strategy: linear, size: 50%, wait: 1s, bake: 1s",
    "rolling": "strategy: rolling, size: 50%, wait: 1s, bake: 1s",
}
INSTANCES = 2
CALLERS = 4
SHARE_OF_PEAK = 0.8
ROLLOUT_SECONDS = 90.0
BAD = "bad"


@dataclass
class Seen:
    """answered: with 200. by_models: errors that a model gave, which was made to. gateway_down: without an answer, or
    with none of a model's, while the gateway was down. lost: all others, by what came instead."""

    rate: float = 0.0
    peak: float = 0.0
    answered: int = 0
    by_models: int = 0
    gateway_down: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    down_seconds: float = 0.0


class Load:
    """Requests at a steady rate. down: since when the gateway is, None while it is up."""

    def __init__(self, port: int, rate: float, seen: Seen) -> None:
        self._port, self._pause, self.seen = port, CALLERS / rate, seen
        self._lock, self._over = threading.Lock(), threading.Event()
        self._kills: list[list[float]] = []  # when the gateway was to be killed, was dead, and answered again
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(CALLERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.seen.down_seconds = sum(up - killed for killed, _, up in self._kills if up < float("inf"))

    def gateway_is_killed(self) -> None:
        with self._lock:
            self._kills.append([time.monotonic(), float("inf"), float("inf")])

    def gateway_is_dead(self) -> None:
        """What is answered from here on, another one has answered."""
        with self._lock:
            self._kills[-1][1] = time.monotonic()

    def _call(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        due = time.monotonic()
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                connection.request("POST", "/endpoints/answers/invocations", b"1,2", {"Content-Type": "text/csv"})
                answer = connection.getresponse()
                self._note(begun, answer.status, mark_in(answer.read()))
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._note(begun, 0, repr(error))
            due = max(due + self._pause, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
        connection.close()

    def _note(self, begun: float, status: int, what: str) -> None:
        with self._lock:
            now, seen = time.monotonic(), self.seen
            if status == 200:
                seen.answered += 1
                for kill in self._kills:
                    if begun > kill[1]:
                        kill[2] = min(kill[2], now)
            elif status == 424 and what == BAD:
                seen.by_models += 1
            elif any(begun <= up and now >= killed for killed, _, up in self._kills):
                seen.gateway_down += 1
            else:
                seen.lost[f"{status} {what}"] += 1


@dataclass
class Upheaval:
    """Kills at random, about each `every_seconds`. watch and apply are processes of the workspace."""

    workspace: Workspace
    load: Load
    chance: random.Random
    every_seconds: float = 4.0

    def __post_init__(self) -> None:
        self.watch, self.follower = self._start("watch", "--every", "1s"), self._start("status")

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.workspace.command(*words),
            cwd=self.workspace.root,
            env=self.workspace.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def roll_out(self, text: str, number: int) -> Revision:
        """The revision of that number, once its rollout has ended. Whoever was killed is started again."""
        self.workspace.write(text)
        self.follower.wait()
        self.follower = self._start("apply")
        end, due = time.monotonic() + ROLLOUT_SECONDS, self._next()
        victims = ["gateway", "watch", "follower"]
        while (revision := self._ended(number)) is None:
            assert time.monotonic() < end, f"revision {number} has not ended within {ROLLOUT_SECONDS} s"
            time.sleep(0.1)
            if time.monotonic() >= due:
                victim = self.chance.choice(victims)
                self._kill(victim)
                if victim == "gateway":
                    victims.remove(victim)  # again and again, nothing would be seen of what is rolled out
                due = self._next()
        with suppress(subprocess.TimeoutExpired):
            self.follower.wait(30)
        self.follower.kill()
        self.follower.wait()
        return revision

    def _next(self) -> float:
        return time.monotonic() + self.chance.expovariate(1 / self.every_seconds)

    def _ended(self, number: int) -> Revision | None:
        return next((one for one in self.workspace.records().history("answers") if one.number == number), None)

    def _kill(self, what: str) -> None:
        if what == "gateway":
            pids = envoys(self.workspace.root)
            if not pids:
                return  # it is starting
            self.load.gateway_is_killed()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not any(map(is_running, pids)), 10)
            self.load.gateway_is_dead()
        else:
            victim = self.watch if what == "watch" else self.follower
            victim.kill()
            victim.wait()
            if what == "watch":
                self.watch = self._start("watch", "--every", "1s")
            else:
                self.follower = self._start("apply")
        self.load.seen.killed[what] += 1

    def stop(self) -> None:
        for process in (self.watch, self.follower):
            process.kill()
            process.wait()


def envoys(root: Path) -> list[int]:
    """The gateway's own processes, by what they were started with."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            if Path(words[0]).name == "envoy" and str(root) in (folder / "environ").read_text() + " ".join(words):
                found.append(int(folder.name))
    return found


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def run(workspace: Workspace, *, of_each: int, seed: int = 0) -> Seen:
    """of_each: how many rollouts of each strategy; every third is of a model that fails, and is taken back."""
    chance, seen = random.Random(seed), Seen()
    workspace.write(spec("first", rollout=STEPS["canary"], instances=INSTANCES))
    workspace.run("apply")
    with callers(workspace, count=CALLERS, pause_seconds=0) as found:
        time.sleep(3)
    seen.peak = sum(found.by.values()) / 3
    seen.rate = SHARE_OF_PEAK * seen.peak
    with Load(workspace.port, seen.rate, seen) as load:
        upheaval = Upheaval(workspace, load, chance)
        try:
            number = 1
            for _ in range(of_each):
                for strategy, steps in STEPS.items():
                    number += 1
                    is_bad = number % 3 == 0
                    text = spec(
                        BAD if is_bad else f"good-{number}", rollout=steps, instances=INSTANCES, fails=float(is_bad)
                    )
                    revision = upheaval.roll_out(text, number)
                    wanted = RevisionStatus.FAILED if is_bad else RevisionStatus.LIVE
                    assert revision.status is wanted, (strategy, revision.reason)
                    seen.ended[f"{strategy} {revision.rollout.ending if revision.rollout else revision.status}"] += 1
        finally:
            upheaval.stop()
    return seen
