"""One Notebook spec to a DesiredNotebook: its folder and script found, its hash computed. Called by `resolve`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.facts import Facts
from sagespec.resolve.programs import portable
from sagespec.resolve.secrets import check_secrets
from sagespec.spec.notebook import Notebook
from sagespec.spec.secrets import as_plain
from sagespec.state.desired import DesiredNotebook
from sagespec.state.hashes import hash_of
from sagespec.state.programs import NOTEBOOK_PROGRAM, Image, Program


def resolve_notebook(spec: Notebook, item: LoadedSpec, facts: Facts) -> DesiredNotebook:
    check_secrets(spec.environment, "environment", item, facts)
    folder = portable(spec.folder, "folder", item, facts.root) if spec.folder else "."
    on_start = portable(spec.on_start, "on_start", item, facts.root) if spec.on_start else ""
    program: Program = Image(spec.image) if spec.image else NOTEBOOK_PROGRAM
    fields = {
        "folder": folder,
        "idle": spec.idle,
        "on_start": _checksum(facts.root / on_start) if on_start else "",
        "packages": list(spec.packages),
        "program": program.as_json(),
        "environment": as_plain(spec.environment),
        "resources": spec.resources.model_dump(mode="json"),
    }
    return DesiredNotebook(
        name=spec.name,
        folder=folder,
        is_to_run=spec.running,
        idle_seconds=spec.idle,
        on_start=on_start,
        packages=spec.packages,
        program=program,
        environment=spec.environment,
        cpus=spec.resources.cpus,
        memory=spec.resources.memory,
        gpus=spec.resources.gpus,
        hash=hash_of(fields),
        origin=item.origin,
    )


def _checksum(script: Path) -> str:
    """Of a script that is there; `load` tells of one that is not."""
    return hashlib.sha256(script.read_bytes()).hexdigest() if script.is_file() else ""
