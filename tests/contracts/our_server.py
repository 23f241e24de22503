"""Our S3 face alone, on a free port (`python -m tests.contracts.our_server FOLDER`)."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from sagespec.s3.app import S3App
from sagespec.web.server import Server
from tests.ports import free_port


def main() -> None:
    server = Server(S3App(Path(sys.argv[1])), "127.0.0.1", [free_port()])
    server.start()
    print(server.url, file=sys.stderr, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop()


if __name__ == "__main__":
    main()
