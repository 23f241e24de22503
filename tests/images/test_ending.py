"""How a script's Python ends: not while a thread of gloo is at work, and otherwise as ever.

The threads are Python's own here, by gloo's name; tests/scenarios/test_frameworks.py has gloo itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.images.conftest import IMAGES
from tests.images.test_script import bring

WORKER = """
import sys, threading, time

def work():
    with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as name:
        name.write("pt_gloo_runloop")
    begun.set()
    time.sleep(SECONDS)
    print("the work is done", flush=True)
    queue = threading.Lock()
    queue.acquire()
    queue.acquire()

begun = threading.Event()
threading.Thread(target=work, daemon=True).start()
begun.wait()
"""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="what threads wait for is known on Linux alone")


@on_linux
@pytest.mark.parametrize(
    ("last_line", "code", "said"),
    [("", 0, ""), ("sys.exit(3)", 3, ""), ("raise ValueError('bad rows')", 1, "ValueError: bad rows")],
)
def test_the_work_of_gloo_is_done_before_the_end(make_tree: Any, last_line: str, code: int, said: str) -> None:
    tree = bring(make_tree("sklearn"), {"train.py": WORKER.replace("SECONDS", "0.5") + last_line})
    ended, printed = tree.train()
    assert ended == code, printed
    assert "the work is done" in printed
    assert said in printed
    assert "sitecustomize" not in printed


@on_linux
def test_work_that_never_ends_does_not_hold_up_the_end(make_tree: Any) -> None:
    tree = bring(make_tree("sklearn"), {"train.py": WORKER.replace("SECONDS", "3600") + "sys.exit(3)"})
    ended, printed = tree.train()
    assert (ended, "the work is done" in printed) == (3, False), printed


def test_another_sitecustomize_is_loaded_as_without_ours(make_tree: Any, tmp_path: Path) -> None:
    script = "import sitecustomize, sys\nprint(sitecustomize.__file__, sys.argv, __name__, __file__, sys.path[0])\n"
    tree = bring(make_tree("sklearn"), {"train.py": script}, epochs=3)
    (tmp_path / "theirs").mkdir()
    theirs = tmp_path / "theirs" / "sitecustomize.py"
    theirs.write_text("print('loaded', __name__)\n")
    code, printed = tree.train(PYTHONPATH=os.pathsep.join([str(IMAGES), str(theirs.parent)]))
    assert code == 0, printed
    folder = tree.base / "code"
    names = f"{theirs} ['train.py', '--epochs', '3'] __main__ {folder / 'train.py'} {folder}"
    assert printed.splitlines()[-2:] == ["loaded sitecustomize", names]
