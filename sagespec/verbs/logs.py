"""The log lines of a container, a job or an endpoint."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from sagespec.errors import WorldError
from sagespec.parts import Parts
from sagespec.run.bars import shown
from sagespec.runtimes.protocol import Runtime
from sagespec.state.addresses import Address
from sagespec.state.observed import Container
from sagespec.verbs.history import manifest


def logs(parts: Parts, address: Address, *, follow: bool, tail: int | None) -> Iterator[tuple[str, str]]:
    containers = [c for c in parts.runtime.containers() if is_within(c.address, address)]
    if not containers and address.kind != "job":
        raise WorldError(f"{address} has no containers", fix="see `sagespec status` for what is running")
    if containers:
        lines = merged(parts.runtime, containers, follow=follow, tail=tail)
    else:
        lines = _stored(parts, address.whole, tail)
    yield from ((name, shown(line)) for name, line in lines)


def _stored(parts: Parts, job: Address, tail: int | None) -> Iterator[tuple[str, str]]:
    """The lines that were kept when the job ended, one container after the other."""
    for name, artifact in sorted(manifest(parts, job).artifacts.items()):
        if not name.startswith("logs/"):
            continue
        content = parts.store.read(parts.records.job_key(job, artifact.key))
        lines = content[0].decode(errors="replace").removesuffix("\n").split("\n") if content and content[0] else []
        yield from ((name.removeprefix("logs/"), line) for line in (lines[-tail:] if tail else lines))


def is_within(container: Address, asked: Address) -> bool:
    """Whether a container's address is the one asked for, or a part of it."""
    return (
        container.whole == asked.whole
        and (asked.variant == container.variant or (not asked.variant and not container.is_companion))
        and asked.instance in (None, container.instance)
    )


def merged(
    runtime: Runtime, containers: Sequence[Container], *, follow: bool, tail: int | None
) -> Iterator[tuple[str, str]]:
    """The lines of several containers as they come; one after the other when not followed."""
    if not follow or len(containers) == 1:
        for container in containers:
            for line in runtime.logs(container.name, follow=follow, tail=tail):
                yield str(container.address), line
        return
    from queue import SimpleQueue

    lines: SimpleQueue[tuple[str, str] | None] = SimpleQueue()
    left = threading.Event()  # nobody takes what is put there any longer

    def pump(container: Container) -> None:
        try:
            for line in runtime.logs(container.name, follow=True, tail=tail):
                if left.is_set():
                    return
                lines.put((str(container.address), line))
        finally:
            lines.put(None)

    for container in containers:
        threading.Thread(target=pump, args=(container,), daemon=True).start()
    open_streams = len(containers)
    try:
        while open_streams:
            item = lines.get()
            if item is None:
                open_streams -= 1
            else:
                yield item
    finally:
        left.set()
