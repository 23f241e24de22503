"""One TrainingJob spec to a DesiredJob: program and script found, inputs made portable, the key computed.

Called by `resolve`. What a built-in would refuse is reported here, unless the version is trained already.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sagespec.errors import Origin
from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.code import code_of
from sagespec.resolve.facts import Facts
from sagespec.resolve.keys import key_fields_of, sources_in_key
from sagespec.resolve.objections import columns_of, problems_with_builtin
from sagespec.resolve.programs import build_program, named_program, portable
from sagespec.resolve.secrets import check_secrets
from sagespec.spec.endpoint import named_job
from sagespec.spec.job import ChannelSpec, TrainingJob
from sagespec.state.addresses import job_address
from sagespec.state.desired import DesiredChannel, DesiredCheckpoints, DesiredJob
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
    if spec.algorithm and not (
        trained or spec.imported_from
    ):  # trained jobs are never rejected, not even by a later release
        facts.problems.extend(problems_with_builtin(spec, item, facts))
    if not trained:
        check_secrets(spec.environment, "environment", item, facts)
    channels = tuple(_channel(name, channel, spec, item, root) for name, channel in sorted(spec.channels.items()))
    (code, files["code"]), columns = code_of(spec, item, facts), columns_of(spec)
    imported = spec.imported_from
    archive = portable(imported.source, "imported_from.source", item, root) if imported else ""
    key_fields = key_fields_of(spec, program, channels, code, columns=columns, imported_from=archive) | sources_in_key(
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
        field_origins={**item.origins, **_origins_of_key(spec, item)},
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
        imported_from=archive,
        imported_metrics=imported.metrics if imported else {},
        like=job_address(*like) if (like := named_job(item.like)) else None,
    )


def _spec_for_manifest(spec: TrainingJob, program: Program) -> dict[str, Any]:
    """The spec as written out, but the folder of a build from the project's root: a manifest knows of no spec's file,
    and what it trained is served by the program in there."""
    dumped = spec.model_dump(
        mode="json", exclude={"like", "retrain"} | ({"imported_from"} if not spec.imported_from else set())
    )
    if isinstance(program, Build):
        dumped["build"]["context"] = program.folder
    return dumped


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


def _origins_of_key(spec: TrainingJob, item: LoadedSpec) -> dict[str, Origin]:
    """Where the spec says what the key holds under another name."""
    code = item.origins.get("source_dir" if spec.source_dir else "entry_point")
    return {name: place for name, place in (("code", code), ("like", item.own.get("like"))) if place}


def _checkpoints(spec: TrainingJob, item: LoadedSpec, root: Path) -> DesiredCheckpoints | None:
    if spec.checkpoints is None:
        return None
    written = spec.checkpoints.source
    source = portable(written, "checkpoints.source", item, root) if written else ""
    return DesiredCheckpoints(spec.checkpoints.path.removeprefix("/opt/ml/"), source)
