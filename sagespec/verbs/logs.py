"""The log lines of a container, a job or an endpoint."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from sagespec.runtimes.protocol import Runtime
from sagespec.state.addresses import Address
from sagespec.state.observed import Container


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

    def pump(container: Container) -> None:
        try:
            for line in runtime.logs(container.name, follow=True, tail=tail):
                lines.put((str(container.address), line))
        finally:
            lines.put(None)

    for container in containers:
        threading.Thread(target=pump, args=(container,), daemon=True).start()
    open_streams = len(containers)
    while open_streams:
        item = lines.get()
        if item is None:
            open_streams -= 1
        else:
            yield item
