"""Has the engine build an image or pull one, and tells what it prints meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import docker
from docker.errors import APIError

from sagespec.errors import WorldError
from sagespec.runtimes.docker.engine import engine_address, explanation
from sagespec.runtimes.docker.files import Entry, tar
from sagespec.runtimes.protocol import Tell


def build(engine: Any, members: Iterable[Entry], reference: str, tell: Tell, *, fix: str, **options: Any) -> None:
    """Build `reference` from a stream of files; each line that the engine prints goes to `tell`."""
    tell(f"building {reference}")
    last_lines: deque[str] = deque(maxlen=20)
    refusal = ""
    steps = engine.build(
        fileobj=tar(members), custom_context=True, tag=reference, rm=True, forcerm=True, decode=True, **options
    )
    for step in steps:
        for line in str(step.get("stream", "")).splitlines():
            if line.strip():
                last_lines.append(line.rstrip())
                tell(line.rstrip())
        refusal = refusal or str(step.get("error", "")).strip()
    if refusal:  # said when the stream is read to its end, so that its connection is free
        raise WorldError(
            f"the image {reference} could not be built: {refusal}",
            why="the build ended with\n" + "\n".join(f"       {line}" for line in last_lines),
            fix=fix,
        )


def pull(engine: Any, reference: str, tell: Tell) -> None:
    tell(f"pulling {reference}")
    repository, tag = docker.utils.parse_repository_tag(reference)
    told = set()
    try:
        for step in engine.pull(repository, tag=tag or "latest", stream=True, decode=True):
            if "error" in step:
                raise _image_missing(reference, str(step["error"]))
            line = ": ".join(str(step[field]) for field in ("id", "status") if field in step)
            if line not in told:  # one line a layer and stage, not one a percent
                told.add(line)
                tell(line)
    except APIError as error:
        raise _image_missing(reference, explanation(error)) from error


def _image_missing(reference: str, said: str) -> WorldError:
    return WorldError(
        f"the image {reference} is not on the engine and could not be pulled: {said}",
        fix="check the name; for a private registry `docker login` first; an image of your own must be built on, "
        f"or loaded into, the engine at {engine_address()}",
    )
