"""What is named as the reason of a script's failure, for what real scripts print as they end."""

from __future__ import annotations

import subprocess
import sys

import pytest
from toolkit.reasons import exception_in, reason_of

GROUP = """
def bad():
    raise ValueError("bad row")
try:
    bad()
except ValueError as error:
    raise ExceptionGroup("two things", [error, ExceptionGroup("more", [KeyError("price")])])
"""
CLEANUP = """
try:
    raise ValueError("batch size must be positive")
finally:
    {}["tracker"]
"""

SCRIPTS = {
    "exception": ("raise ValueError('no rows')", "ValueError: no rows"),
    "warning after it": (
        "import atexit, os\natexit.register(lambda: os.write(2, b'WARNING: tracker\\n'))\nraise ValueError('no')",
        "ValueError: no",
    ),
    "cause": (
        "try: {}['a']\nexcept KeyError as error: raise RuntimeError('no column a') from error",
        "RuntimeError: no column a (after KeyError: 'a')",
    ),
    "fails again": (CLEANUP, "KeyError: 'tracker' (after ValueError: batch size must be positive)"),
    "handled before": ("try: 1 / 0\nexcept ZeroDivisionError: pass\nraise OSError('no disk')", "OSError: no disk"),
    "no Python": ("def f(:\n  pass", "SyntaxError: invalid syntax (<string>, line 1)"),
    "no Python below": (
        "x = 1\nexec('if x:\\nx')",
        "IndentationError: expected an indented block after 'if' statement on line 1 (<string>, line 2)",
    ),
    "group": (
        GROUP,
        "ExceptionGroup: two things (2 sub-exceptions): ValueError: bad row; ExceptionGroup: more (1 sub-exception); "
        "KeyError: 'price' (after ValueError: bad row)",
    ),
    "group never raised": (
        "raise ExceptionGroup('one', [ValueError()])",
        "ExceptionGroup: one (1 sub-exception): ValueError",
    ),
    "exit with a text": ("import sys; sys.exit('the rate is too high')", "the rate is too high"),
    "exit code": ("import sys; sys.exit(42)", "train.py ended with exit code 42"),
    "said on stdout": (
        "import sys; print('ERROR: no data base'); print('-' * 9); sys.exit(3)",
        "train.py ended with exit code 3; the last it printed: ERROR: no data base",
    ),
    "an exception that was handled": (
        "import logging, sys\ntry: 1 / 0\nexcept ZeroDivisionError: logging.exception('skipped')\n"
        "print('no rows left', file=sys.stderr); sys.exit(4)",
        "train.py ended with exit code 4; the last it printed: no rows left",
    ),
    "arguments": (
        "import argparse; argparse.ArgumentParser('train.py').parse_args(['--x'])",
        "train.py ended with exit code 2; the last it printed: train.py: error: unrecognized arguments: --x",
    ),
    "signal": (
        "import os; print('half done', flush=True); os.kill(os.getpid(), 11)",
        "train.py was ended by SIGSEGV (exit code 139); the last it printed: half done",
    ),
    "abort": ("import os; os.abort()", "train.py was ended by SIGABRT (exit code 134)"),
    "interrupted": (
        "raise KeyboardInterrupt",
        "train.py was ended by SIGINT (exit code 130); the last it printed: KeyboardInterrupt",
    ),
    "rules alone": ("import sys; print('=' * 40, file=sys.stderr); sys.exit(1)", "train.py ended with exit code 1"),
    "progress bar": (
        r"import os, sys; sys.stderr.write('\r 1%\r 2%'); sys.stderr.flush(); os._exit(7)",
        "train.py ended with exit code 7; the last it printed: 2%",
    ),
    "bar after the news": (
        r"import os, sys; print('step 3', flush=True); sys.stderr.write('\r 1%|# | 1/9\r 2%|# | 2/9'); "
        "sys.stderr.flush(); os._exit(7)",
        "train.py ended with exit code 7; the last it printed: step 3",
    ),
    "text of several lines": (
        r"import atexit, os; atexit.register(lambda: os.write(2, b'wandb: done\n')); "
        r"raise ValueError('two rows are bad:\n  row 1: no label\nrow 2')",
        "ValueError: two rows are bad: row 1: no label row 2",
    ),
    "text of many lines": (r"raise ValueError('1\n' * 99)", "ValueError: 1 1 1 1"),
    "module": (
        "import not_there.at_all",
        "ModuleNotFoundError: No module named 'not_there'; add not_there to requirements.txt beside the script",
    ),
    "module that another one misses": (
        'raise ImportError("`Import pyarrow` failed. Use pip or conda to install the pyarrow package.")',
        "ImportError: `Import pyarrow` failed. Use pip or conda to install the pyarrow package.; add pyarrow to "
        "requirements.txt beside the script",
    ),
    "channel": (
        "import os; os.environ['SM_CHANNEL_TRAIN']",
        "KeyError: 'SM_CHANNEL_TRAIN'; the channels of this job: training (SM_CHANNEL_TRAINING)",
    ),
    "channel's folder": (
        "open('/opt/ml/input/data/train/a.csv')",
        "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/input/data/train/a.csv'; "
        "the channels of this job: training (SM_CHANNEL_TRAINING)",
    ),
    "file of a channel": (
        "open('/opt/ml/input/data/training/a.csv')",
        "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/input/data/training/a.csv'",
    ),
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_the_reason_is_what_the_script_said_that_matters(case: str) -> None:
    script, expected = SCRIPTS[case]
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    code = ended.returncode if ended.returncode >= 0 else 128 - ended.returncode
    reason = reason_of("train.py", code, errors=ended.stderr, output=ended.stdout, channels=["training"])
    assert reason == expected


TRACEBACK = "Traceback (most recent call last):\n  File x\n"


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (f"[rank0]: {TRACEBACK}[rank0]: ValueError: no\n".replace("\n  F", "\n[rank0]:   F"), "ValueError: no"),
        (f"{TRACEBACK}ValueError: no\n{TRACEBACK}torch.errors.ChildFailedError: \n====\n", "ValueError: no"),
        (f"RuntimeError: Caught ValueError in worker.\nOriginal {TRACEBACK}ValueError: row 3\n", "ValueError: row 3"),
        ("no traceback", ""),
    ],
)
def test_the_exception_of_one_of_many_processes_is_found(printed: str, expected: str) -> None:
    assert exception_in(printed) == expected


def test_of_a_long_reason_both_ends_are_kept() -> None:
    errors = f"{TRACEBACK}ValueError: {'x' * 5000} the end that matters\n"
    reason = reason_of("train.py", 1, errors=errors, output="")
    assert reason.startswith("ValueError: xxx")
    assert reason.endswith("the end that matters")
    assert len(reason) < 1000
