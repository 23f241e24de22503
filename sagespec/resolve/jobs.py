"""One TrainingJob spec to a DesiredJob: program and script found, inputs made portable, the key computed.

Called by `resolve`. What a built-in would refuse is reported here, unless the version is trained already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sagespec.errors import Origin, Problem
from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.builtins import ImageDescription, columns_objections, objections
from sagespec.resolve.code import code_of
from sagespec.resolve.facts import Facts
from sagespec.resolve.keys import key_fields_of, sources_in_key
from sagespec.resolve.programs import build_program, named_program, portable
from sagespec.spec.columns import columns_said, has_names
from sagespec.spec.job import ChannelSpec, TrainingJob
from sagespec.state.desired import DesiredChannel, DesiredCheckpoints, DesiredColumns, DesiredJob
from sagespec.state.hashes import hash_of
from sagespec.state.listing import Listing
from sagespec.state.programs import Build, Program


def resolve_job(spec: TrainingJob, item: LoadedSpec, facts: Facts) -> DesiredJob:
    root, trained = facts.root, facts.trained(item.address)
    program: Program
    files: dict[str, Listing] = {}
    if spec.build:
        program, files["build"] = build_program(spec.build, item, facts)
    else:
        field = "framework" if spec.framework else "algorithm"
        program = named_program(spec.framework or spec.algorithm, spec.image, field, item, facts)
    if spec.algorithm and not trained:  # trained jobs are never rejected, not even by a later release
        facts.problems.extend(_objections(spec, item, facts.images))
    channels = tuple(_channel(name, channel, spec, item, root) for name, channel in sorted(spec.channels.items()))
    (code, files["code"]), columns = code_of(spec, item, facts), _columns(spec)
    key_fields = key_fields_of(spec, program, channels, code, columns=columns) | sources_in_key(
        spec, channels, item.address, facts
    )
    return DesiredJob(
        name=spec.name,
        version=spec.version,
        key=hash_of(key_fields),
        key_fields=key_fields,
        program=program,
        hyperparameters=spec.hyperparameters,
        channels=channels,
        instances=spec.instances,
        environment=spec.environment,
        cpus=spec.resources.cpus,
        memory=spec.resources.memory,
        max_runtime_seconds=spec.stopping.max_runtime,
        protect=spec.protect,
        spec=_spec_for_manifest(spec, program),
        origin=item.origin,
        field_origins={**item.origins, **_columns_origins(spec, item)},
        files={field: listing for field, listing in files.items() if listing},
        code=code,
        distribution=spec.distribution or "",
        entrypoint=spec.entrypoint,
        arguments=spec.arguments,
        gpus=spec.resources.gpus,
        metrics=tuple((metric.name, metric.regex) for metric in spec.metrics),
        checkpoints=_checkpoints(spec, item, root),
        max_wait_seconds=spec.stopping.max_wait,
        retries=spec.retries,
        isolated=spec.network == "none",
        columns=columns,
    )


def _spec_for_manifest(spec: TrainingJob, program: Program) -> dict[str, Any]:
    """The spec as written out, but the folder of a build from the project's root: a manifest knows of no spec's file,
    and what it trained is served by the program in there."""
    dumped = spec.model_dump(mode="json", exclude={"like"})
    if isinstance(program, Build):
        dumped["build"]["context"] = program.folder
    return dumped


def _objections(spec: TrainingJob, item: LoadedSpec, images: Mapping[str, ImageDescription]) -> Iterator[Problem]:
    description = images.get(spec.algorithm or "")
    if description is None or description.kind != "algorithm":
        return
    content_types = {name: channel.content_type for name, channel in spec.channels.items()}
    found = [*objections(spec.algorithm or "", description, spec.hyperparameters, content_types)]
    if columns := _columns(spec):
        named = next(name for name, channel in spec.channels.items() if has_names(channel))
        found += columns_objections(spec.algorithm or "", description, named, has_target=bool(columns.target))
    for objection in found:
        yield Problem(
            what=objection.what,
            about=str(item.address),
            why=objection.why,
            fix=objection.fix,
            where=item.origin_of(objection.field),
        )


def _channel(name: str, channel: ChannelSpec, spec: TrainingJob, item: LoadedSpec, root: Path) -> DesiredChannel:
    return DesiredChannel(
        name=name,
        source=portable(channel.source, f"channels.{name}.source", item, root),
        content_type=channel.content_type,
        sharded=channel.distribution == "sharded",
        input_mode=channel.input_mode or spec.input_mode,
        is_manifest=channel.data_type == "manifest",
        gzip=channel.compression == "gzip",
        recordio=channel.record_wrapper == "recordio",
        shuffle_seed=channel.shuffle_seed,
        writable=channel.writable,
    )


def _columns(spec: TrainingJob) -> DesiredColumns | None:
    """What a channel says of its columns holds for all."""
    said = columns_said(spec.channels.values())
    return DesiredColumns("".join(said["target"]), said["drop"], said["categorical"]) if said else None


def _columns_origins(spec: TrainingJob, item: LoadedSpec) -> dict[str, Origin]:
    """Where the spec says what the key holds of the columns."""
    return {
        f"columns.{field}": origin
        for name in reversed(spec.channels)
        for field in ("target", "drop", "categorical", "header")
        if (origin := item.origins.get(f"channels.{name}.{field}"))
    }


def _checkpoints(spec: TrainingJob, item: LoadedSpec, root: Path) -> DesiredCheckpoints | None:
    if spec.checkpoints is None:
        return None
    written = spec.checkpoints.source
    source = portable(written, "checkpoints.source", item, root) if written else ""
    return DesiredCheckpoints(spec.checkpoints.path.removeprefix("/opt/ml/"), source)
