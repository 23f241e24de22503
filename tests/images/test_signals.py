"""SIGTERM that reaches a training program in a thread other than its main one, as the kernel may decide."""

from __future__ import annotations

import ctypes
import signal
from pathlib import Path
from typing import Any

import pytest

# What C code does that starts threads: the signal goes to the algorithm's own thread and to no other.
TRAIN = """
import signal, threading, time
from dataclasses import dataclass
from toolkit.hyperparameters import Declaration
from toolkit.training import main

@dataclass(frozen=True)
class Hyperparameters(Declaration):
    has_model: bool = False

def train(job):
    if job.hyperparameters.has_model:
        job.stop.keep_model()
    time.sleep(0.3)  # the main thread waits by now
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    give_up_at = time.monotonic() + 20
    while not job.stop.requested:
        assert time.monotonic() < give_up_at, "the signal was not handled"
        time.sleep(0.01)
    (job.model_folder / "half").write_text("")

main(train, Hyperparameters)
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A folder like an image's, with an algorithm that is stopped while it works."""
    (tmp_path / "train").write_text(TRAIN)
    return str(tmp_path)


def test_stop_before_there_is_a_model_ends_the_job_at_once(program: Any, make_tree: Any) -> None:
    tree = make_tree(program)
    code, printed = tree.train()
    assert (code, "stopped before there was a model to keep" in printed) == (143, True), printed
    assert not tree.failure, "the algorithm waited in vain"


def test_stop_with_a_model_is_seen_by_the_algorithm(program: Any, make_tree: Any) -> None:
    tree = make_tree(program, {"has_model": "true"})
    code, printed = tree.train()
    assert (code, "the model so far is kept" in printed) == (0, True), printed
    assert (tree.model / "half").exists()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "tgkill"), reason="only Linux signals a thread of another process")
def test_stop_is_passed_on_to_a_script(make_tree: Any) -> None:
    tree = make_tree("sklearn", {"sagemaker_program": "train.py"})
    code = tree.base / "code"
    code.mkdir(parents=True)
    (code / "train.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(20)\n")
    with tree.start("train") as process:
        next(line for line in process.stdout if line == "ready\n")
        threads = {int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()}
        other = (threads - {process.pid}).pop()
        assert ctypes.CDLL(None).tgkill(process.pid, other, signal.SIGTERM) == 0
        process.communicate(timeout=15)
        assert process.returncode == 128 + signal.SIGTERM
