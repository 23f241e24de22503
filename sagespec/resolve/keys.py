"""What decides a job's result: the fields its key hashes.

Called by `jobs` (and `endpoints`, for archives). These fields must stay byte for byte what they are: another key
means that a trained job counts as changed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from sagespec.contract import hyperparameter_text
from sagespec.resolve.facts import Facts
from sagespec.spec.job import TrainingJob
from sagespec.spec.secrets import as_plain
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredChannel, DesiredCode, DesiredColumns
from sagespec.state.manifest import Manifest
from sagespec.state.programs import Build, Program


def key_fields_of(
    spec: TrainingJob,
    program: Program,
    channels: tuple[DesiredChannel, ...],
    code: DesiredCode | None,
    *,
    columns: DesiredColumns | None = None,
    imported_from: str = "",
) -> dict[str, Any]:
    """What decides a job's result, by field path; `hash_of` this is the job's key.

    Hyperparameters count as the strings the container sees, so that 100 and "100" are one. Resources
    and stopping are left out: they decide whether it ends, not what it gives. So are checkpoints, metrics and
    retries, and whether data are copied or mounted. Of a secret its name counts, and never its value: one that is
    rotated leaves every model as it is. What was added in a later release counts only where it is used.
    """
    fields: dict[str, Any] = {
        name: value for name in ("algorithm", "framework", "image") if (value := getattr(spec, name))
    }
    if isinstance(program, Build):
        fields["build"] = program.context
    if code:
        fields |= {"entry_point": code.entry_point, "code": code.fingerprint}
    fields |= {name: value for name in ("entrypoint", "arguments") if (value := list(getattr(spec, name)))}
    fields |= {"distribution": spec.distribution} if spec.distribution else {}
    fields |= {"imported_from": imported_from} if imported_from else {}
    fields |= {"network": spec.network} if spec.network == "none" else {}
    fields |= {f"hyperparameters.{name}": hyperparameter_text(v) for name, v in spec.hyperparameters.items()}
    fields |= {f"environment.{name}": value for name, value in as_plain(spec.environment).items()}
    for channel in channels:
        fields |= {f"channels.{channel.name}.{name}": value for name, value in _channel_fields(channel).items()}
    if columns:
        said = {"target": columns.target, "drop": list(columns.drop), "categorical": list(columns.categorical)}
        given: dict[str, Any] = {f"columns.{name}": value for name, value in said.items() if value}
        fields |= given or {"columns.header": True}
    return fields | {"instances": spec.instances}


def sources_in_key(
    spec: TrainingJob, channels: tuple[DesiredChannel, ...], job: Address, facts: Facts
) -> dict[str, Any]:
    """The sources outside of the project that are written as relative paths, as the key holds them: from the root, so
    that they are equal on every machine.

    An earlier release held them whole. A job that it has started or trained keeps its key: what was written then is
    what is written now, wherever its project was.
    """
    outside = {c.name: c.source for c in channels if c.source.startswith("/") and not _is_whole(spec, c.name)}
    if not outside:
        return {}
    manifest = facts.manifests.get(job)
    started = {} if facts.trained(job) else facts.started(job)
    found: dict[str, Any] = {}
    for name, source in outside.items():
        field = f"channels.{name}.source"
        before = str(manifest.key_fields.get(field)) if manifest and _is_written_so(manifest, spec, name) else ""
        if before.startswith("/"):
            found[field] = before
        elif started.get(field) == source:
            found[field] = source
        else:
            found[field] = Path(os.path.relpath(source, facts.root)).as_posix()
    return found


def _is_whole(spec: TrainingJob, channel: str) -> bool:
    return spec.channels[channel].source.removeprefix("file://").startswith(("/", "~"))


def _is_written_so(manifest: Manifest, spec: TrainingJob, channel: str) -> bool:
    before = (manifest.spec.get("channels") or {}).get(channel) or {}
    return bool(before.get("source") == spec.channels[channel].source)


def _channel_fields(channel: DesiredChannel) -> dict[str, Any]:
    given = {
        "source": channel.source,
        "content_type": channel.content_type,
        "distribution": "sharded" if channel.sharded else None,
        "input_mode": "pipe" if channel.input_mode == "pipe" else None,
        "data_type": "manifest" if channel.is_manifest else None,
        "compression": "gzip" if channel.gzip else None,
        "record_wrapper": "recordio" if channel.recordio else None,
        "shuffle_seed": channel.shuffle_seed,
    }
    return {name: value for name, value in given.items() if value not in (None, "")}


def artifact_fingerprint(uri: str, facts: Facts) -> str:
    if uri.startswith(("s3://", "store://")):
        return facts.fingerprint(uri)
    if not (facts.root / uri).is_file():
        return "missing"  # `load.missing_paths` reports it where it matters
    with (facts.root / uri).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
