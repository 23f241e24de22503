"""Runs JupyterLab, and ends it when the process that started it is gone, however that ended.

    python -m sagespec.notebook.child OPTIONS       with a pipe from its parent as standard input

Only the pipe tells of a `kill -9`; it does so on every system.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from sagespec.notebook.jupyter import STOP_SECONDS


def end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # Jupyter ends its kernels
    time.sleep(STOP_SECONDS)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    from jupyterlab.labapp import main as lab

    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    sys.argv[0] = "jupyter-lab"
    try:
        lab()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)  # what its extensions have started, such as language servers


if __name__ == "__main__":
    main()
