"""What led to a model and where it went, as lines or as a Mermaid diagram."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sagespec.show.figures import commit_text, counted, size_text, when_text
from sagespec.show.screen import Cell, Screen, clean

if TYPE_CHECKING:
    from sagespec.state.manifest import Manifest
    from sagespec.verbs.traces import Lineage, Stint, Trace


def write_lineage(screen: Screen, found: Lineage) -> None:
    if screen.format == "json":
        screen.document(found.as_json())
    elif screen.format == "mermaid":
        for line in mermaid_of(found):
            screen.line(line)
    else:
        _write_text(screen, found)


def _write_text(screen: Screen, found: Lineage) -> None:
    for number, trace in enumerate(found.traces):
        if number:
            screen.line()
        screen.line((str(trace.job), "bold"))
        screen.table(rows_of(trace), indent="  ")
    for variant, uri in found.archives.items():
        screen.line((f"{variant}: ", "dim"), f"{uri}, which no job here has made")
    for revision in found.revisions:
        about = f"endpoint/{revision.endpoint}, revision {revision.number}"
        screen.line(f"{about}: {revision.status.value.replace('_', ' ')}, {when_text(revision.started_at)}")


def rows_of(trace: Trace) -> list[list[Cell]]:
    """What led to it, then where it went."""
    rows: list[list[Cell]] = [[("status", "dim"), "not trained here"]]
    rows = list(_made(trace.manifest)) if trace.manifest else rows
    for where in [_served(stint) for stint in trace.served] or ["nowhere"]:
        rows.append([("served", "dim"), where])
    return rows


def _made(manifest: Manifest) -> Iterator[list[Cell]]:
    yield [("status", "dim"), f"{manifest.headline}, {when_text(manifest.ended_at)}"]
    if manifest.swept_at:
        yield [("swept", "dim"), f"{when_text(manifest.swept_at)}: its model is gone"]
    if manifest.imported_from:
        yield [("imported", "dim"), f"from {manifest.imported_from}{f', by {manifest.by.text}' if manifest.by else ''}"]
    yield [("commit", "dim"), commit_text(manifest.git)]
    if trained := manifest.promoted_from:
        yield [("trained in", "dim"), f"{trained.project} ({trained.store}), copied {when_text(trained.at)}"]
    yield [("key", "dim"), manifest.key]
    for name, data in manifest.inputs.items():
        size = f"{counted(data.objects, 'file')}, {size_text(data.bytes)}"
        yield [(f"channel {name}", "dim"), f"{data.source} ({size}, {data.fingerprint[:12]})"]
    for name, digest in manifest.images.items():
        yield [("image", "dim"), f"{name} {digest}".strip()]
    for name in ("code", "build"):
        if name in manifest.key_fields:
            yield [(name, "dim"), str(manifest.key_fields[name])]
    if model := manifest.artifacts.get("model"):
        yield [("model", "dim"), f"{model.key} ({size_text(model.size)}, sha256 {model.sha256[:12]})"]


def _served(stint: Stint) -> str:
    until = f"until {when_text(stint.until)}" if stint.until else "until now"
    how = ", as a candidate that was taken back" if stint.taken_back else ""
    where = f"endpoint/{stint.endpoint}/{stint.variant}, revision {stint.revision} ({commit_text(stint.git)})"
    return f"{where}: weight {stint.weight:g}, {when_text(stint.since)} {until}{how}"


def mermaid_of(found: Lineage) -> Iterator[str]:
    """A flow chart from left to right: commits, data and images, jobs, endpoints."""
    yield "flowchart LR"
    for number, trace in enumerate(found.traces):
        job = f"job{number}"
        yield _node(job, f"{trace.job.name}@{trace.job.version}")
        yield from _before(job, trace.manifest) if trace.manifest else ()
        for stint in reversed(trace.served):
            label = f"revision {stint.revision}, weight {stint.weight:g}"
            yield f"  {job} -- {_quoted(label)} --> {_name(f'{stint.endpoint}/{stint.variant}')}"
    variants = {f"{stint.endpoint}/{stint.variant}" for trace in found.traces for stint in trace.served}
    yield from (_node(_name(one), f"endpoint/{one}") for one in sorted(variants))


def _before(job: str, manifest: Manifest) -> Iterator[str]:
    before = [f"{name}: {data.source}#{data.fingerprint[:12]}" for name, data in manifest.inputs.items()]
    before += [f"{name} {digest}".strip() for name, digest in manifest.images.items()]
    before = [f"commit {commit_text(manifest.git)}", *before] if manifest.git else before
    for place, text in enumerate(before):
        yield _node(f"{job}in{place}", text)
        yield f"  {job}in{place} --> {job}"


def _node(name: str, text: str) -> str:
    return f"  {name}[{_quoted(text)}]"


def _name(text: str) -> str:
    """What Mermaid takes for the name of a node."""
    return "at_" + text.replace("-", "_").replace("/", "__")


def _quoted(text: str) -> str:
    return f'"{clean(text).replace(chr(34), "#quot;")}"'
