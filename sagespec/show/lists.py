"""The shorter answers: what is valid, what doctor found, the images, how repeated calls were split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from sagespec.show.figures import counted, milliseconds_text, percent_text, size_text
from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from sagespec.records.holder import Holder
    from sagespec.runtimes.protocol import Check, ImageInfo
    from sagespec.state.addresses import Address
    from sagespec.state.manifest import Manifest
    from sagespec.verbs.plan import Validated
    from sagespec.verbs.show import Shown


def write_validated(screen: Screen, found: Validated) -> None:
    """What `validate` found well."""
    if screen.format == "json":
        screen.document(found.as_json())
        return
    files = counted(len(found.files), "file")
    told = f"{counted(found.jobs, 'job')} and {counted(found.endpoints, 'endpoint')} in {files}"
    *others, last = found.environments or ("",)
    where = f", in {', '.join(others)} and {last}" if others else f", in {last}" if last else ""
    screen.line(("valid", "good"), f": {told}{where}")
    for note in found.notes:
        screen.line(("note  ", "change"), note)


def write_shown(screen: Screen, found: Shown) -> None:
    """A spec as YAML."""
    if screen.format == "json":
        screen.document(found.as_json())
    else:
        screen.line(found.as_plain_text())


def write_checks(screen: Screen, checks: Sequence[Check]) -> None:
    """What `doctor` checked, with how to fix what failed."""
    bad = [check for check in checks if not check.ok]
    if screen.format == "json":
        screen.document({"ok": not bad, "checks": [check.as_json() for check in checks]})
        return
    rows: list[list[Cell]] = []
    for check in checks:
        mark: Cell = ("✓", "good") if check.ok else ("✗", "bad")
        fix = f"\nfix  {check.fix}" if check.fix and not check.ok else ""
        rows.append([mark, check.name, check.detail + fix])
    screen.table(rows)
    screen.line("\n", (f"{len(bad)} of {len(checks)} checks failed", "bad") if bad else ("all checks passed", "good"))


def write_imported(screen: Screen, manifest: Manifest) -> None:
    """A model that was taken into the store."""
    if screen.format == "json":
        screen.document(_imported_as_json(manifest))
        return
    address, model = f"job/{manifest.name}@{manifest.version}", manifest.artifacts["model"]
    told = f"{size_text(model.size)}, sha256 {model.sha256[:12]}, from {manifest.imported_from}"
    screen.line(("imported  ", "good"), (address, "name"), f"  {told}")


def write_brought(screen: Screen, manifests: Sequence[Manifest], files: Sequence[str], left_out: Sequence[str]) -> None:
    """What was imported from SageMaker: models, specs, and what of it no spec has a word for."""
    if screen.format == "json":
        models = [_imported_as_json(manifest) for manifest in manifests]
        screen.document({"models": models, "files": list(files), "left_out": list(left_out)})
        return
    for manifest in manifests:
        write_imported(screen, manifest)
    for file in files:
        screen.line(("wrote     ", "good"), file)
    for field in left_out:
        screen.line(("left out  ", "warn"), field)


def _imported_as_json(manifest: Manifest) -> dict[str, object]:
    model = manifest.artifacts["model"]
    address = f"job/{manifest.name}@{manifest.version}"
    return {"imported": address, "sha256": model.sha256, "size": model.size, "from": manifest.imported_from}


def write_log_line(screen: Screen, source: str, line: str, *, alone: bool) -> None:
    """One line a container printed; without the container's name when only that one is shown."""
    from sagespec.verbs.addresses import host_of

    host = host_of(source)
    if screen.format == "json":
        screen.record({"source": host, "line": line})
    else:
        screen.line(("" if alone else f"{host} | ", "dim"), line)


def write_created(screen: Screen, folder: Path, written: Sequence[Path]) -> None:
    """The files `init` wrote into a folder."""
    names = [str(path.relative_to(folder) if path.is_relative_to(folder) else path) for path in written]
    if screen.format == "json":
        screen.document({"folder": str(folder), "written": names})
        return
    for name in names:
        screen.line(("wrote  ", "good"), name)
    if not names:
        screen.line("nothing written: every file of a new project is already here")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {quote(os.path.relpath(folder))}, then "
    screen.line(("\nnext   ", "dim"), f"{enter}sagespec plan, then sagespec apply")


def write_stopped(screen: Screen, job: Address, manifest: Manifest) -> None:
    """How the job ended that was to be stopped."""
    from sagespec.state.manifest import JobStatus

    if screen.format == "json":
        result = {"status": manifest.status.value, "reason": manifest.reason, "artifacts": sorted(manifest.artifacts)}
        screen.record({"event": "result", "ok": True, "job": str(job)} | result)
    elif manifest.status is JobStatus.STOPPED:
        kept = "the contents of its model folder are kept" if "model" in manifest.artifacts else "it had no model"
        screen.line(("stopped", "good"), f": {job}; {kept}")
    else:
        screen.line(("ended", "good"), f": {job} had already ended: {manifest.verdict}")


def write_unlocked(screen: Screen, holder: Holder) -> None:
    if screen.format == "json":
        screen.document({"unlocked": holder.id, "holder": str(holder)})
    else:
        screen.line(("unlocked", "good"), f": it was held by {holder}")


def write_version(screen: Screen, version: str, python: str) -> None:
    if screen.format == "json":
        screen.document({"sagespec": version, "python": python})
    else:
        screen.line(f"sagespec {version}, Python {python}")


def write_images(screen: Screen, images: Sequence[ImageInfo], *, as_result: bool = False) -> None:
    """The built-in images, and whether the engine has them. as_result: in JSON, the last line behind events."""
    if screen.format == "json":
        found = [image.as_json() for image in images]
        if as_result:
            screen.record({"event": "result", "ok": True, "images": found})
        else:
            screen.document({"images": found})
        return
    rows: list[list[Cell]] = []
    for image in images:
        digest: Cell = image.digest.removeprefix("sha256:")[:12] or ("not built", "change")
        rows.append([image.name, digest, size_text(image.size) if image.size else "-", image.reference])
    screen.table(rows, head=("IMAGE", "DIGEST", "SIZE", "REFERENCE"))


def write_split(screen: Screen, answers: Mapping[str, Sequence[float]], failed: Mapping[str, int]) -> None:
    """How repeated calls spread over the variants. answers: milliseconds by variant; failed: how many of them
    were errors."""
    total = sum(len(times) for times in answers.values())
    found = {
        variant: {
            "answers": len(times),
            "share": round(len(times) / total, 6),
            "errors": failed.get(variant, 0),
            "p50_ms": _percentile(times, 0.5),
            "p99_ms": _percentile(times, 0.99),
        }
        for variant, times in sorted(answers.items())
    }
    if screen.format == "json":
        screen.document({"requests": total, "variants": [{"name": name} | row for name, row in found.items()]})
        return
    rows: list[list[Cell]] = []
    for name, row in found.items():
        figures: list[Cell] = [f"{row['answers']:,}", percent_text(row["share"])]
        errors: Cell = (f"{row['errors']:,}", "bad" if row["errors"] else "")
        times = (milliseconds_text(row["p50_ms"]), milliseconds_text(row["p99_ms"]))
        rows.append([name or "(none)", *figures, errors, *times])
    screen.table(rows, head=("VARIANT", "ANSWERS", "SHARE", "ERRORS", "P50", "P99"))


def _percentile(times: Sequence[float], share: float) -> float:
    return round(sorted(times)[min(len(times) - 1, int(len(times) * share))], 3)
