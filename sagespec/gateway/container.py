"""What the gateway's container is given before it starts, and what one was given: asked of the engine, whether Envoy
runs or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sagespec.gateway.answers import table_in
from sagespec.gateway.certificates import TLS
from sagespec.gateway.documents import CDS, RDS, EnvoyFile, contents
from sagespec.gateway.table import Table
from sagespec.runtimes.protocol import Runtime
from sagespec.state.doors import Doors


def documents_of(runtime: Runtime, name: str) -> dict[str, bytes]:
    """The configuration of its routes and pools; {} if it did not get all of it."""
    documents = {path: runtime.read(name, path) for path in (CDS, RDS)}
    return {path: content for path, content in documents.items() if content} if all(documents.values()) else {}


def kept_of(runtime: Runtime, names: Iterable[str]) -> tuple[dict[str, bytes], bytes | None]:
    """What the next container takes over from these: the configuration, and the certificate with its key."""
    documents: dict[str, bytes] = {}
    secret: bytes | None = None
    for name in names:
        documents = documents_of(runtime, name) or documents
        secret = runtime.read(name, TLS) or secret
    return documents, secret


def first_documents(
    kept: Mapping[str, bytes], doors: Doors | None, written: Callable[[Table], Iterable[EnvoyFile]]
) -> dict[str, bytes]:
    """What a new container is given: all that the one before had, with the doors of now, which its first request meets.
    written: the files for a table."""
    if kept and doors is None:
        return dict(kept)
    table = table_in(kept[RDS]) if kept else Table()
    now = doors.over(table.doors) if doors else table.doors
    return dict(kept) if kept and now == table.doors else contents(written(replace(table, doors=now)))
