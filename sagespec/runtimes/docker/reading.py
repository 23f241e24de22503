"""One file out of a container: its first bytes, however many it has.

`DockerRuntime.read` asks for it. The engine sends the file as a tar, whose header says what it is and how large. What
does not fit is left with the engine: a sparse file costs a program nothing, and could be larger than our memory.
"""

from __future__ import annotations

import re
from typing import Any

from sagespec.runtimes.docker.engine import ANSWER_SECONDS, refused
from sagespec.runtimes.docker.files import beginning, inside

_PIECE_BYTES = 1 << 16
_NO_FILE = "not a directory|too many (links|levels of symbolic links)"  # a program left something else on the way


def read_file(engine: Any, container_id: str, path: str, limit: int) -> bytes | None:
    """None when there is no regular file at `path`, below the tree of SageMaker."""
    return read_anywhere(engine, container_id, f"/{inside(path)}", limit)


def read_anywhere(engine: Any, container_id: str, path: str, limit: int) -> bytes | None:
    """The same of any file of the container."""
    # Not through the SDK's own method, whose answer cannot be closed before it is read to its end.
    with engine.get(
        f"{engine.base_url}/v{engine.api_version}/containers/{container_id}/archive",
        params={"path": path},
        stream=True,
        timeout=ANSWER_SECONDS,
    ) as response:
        if response.status_code == 404 or (not response.ok and re.search(_NO_FILE, response.text)):
            return None
        if not response.ok:
            raise refused(f"read {path}", response.text)
        return beginning(response.iter_content(_PIECE_BYTES), limit)
