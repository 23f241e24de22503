"""A control plane that is killed while a client waits for a job, and started again."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import sdks
from tests.api.test_commands import running, until
from tests.api.test_jobs import FIT, SCRIPT
from tests.ports import free_port

SAGESPEC = (sys.executable, "-m", "sagespec")


@pytest.mark.sdk2
@pytest.mark.slow(80)
def test_a_fit_of_sdk_2_goes_on_and_shows_every_line_once(root: Path, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT.format(lines=30, seconds=1))
    with (root / "sagespec.yaml").open("a") as settings:  # a port of its own, which is the same after a death
        settings.write(f"api: {{port: {free_port()}}}\n")
    words = ("--runtime", "process", "api")
    with ExitStack() as planes:
        first = planes.enter_context(running(root, *words))
        shown = tmp_path / "shown.log"
        with shown.open("w") as log:
            fit = subprocess.Popen(
                [*SAGESPEC, "-C", str(root), "env", "--", str(sdks.python("sdk2")), "-u", "-c", FIT],
                stdout=log, stderr=log, cwd=tmp_path,
            )  # fmt: skip
        until(lambda: "line 4 " in shown.read_text() or fit.poll() is not None, 240)
        first.send_signal(signal.SIGKILL)
        first.wait()
        (root / ".sagespec" / "api.json").unlink()
        planes.enter_context(running(root, *words))
        assert fit.wait(240) == 0, shown.read_text()
        lines = re.findall(r"^line (\d+) ", shown.read_text(), re.MULTILINE)
        assert lines == [str(number) for number in range(30)]
        assert "Completed - Training job completed" in shown.read_text()
