"""Specs to `Desired`: paths made whole, programs chosen, keys and hashes computed.

Called by `project` on every pass. Reads local files where a fingerprint needs their content (a model
archive of one's own), and the store's manifests for models whose job no spec describes any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sagespec.buildfolder import BuildFolder
from sagespec.builtins import ImageDescription, objections
from sagespec.contract import hyperparameter_text
from sagespec.errors import Origin, Problem, SpecError, WorldError, did_you_mean
from sagespec.gateway import gateway_hash
from sagespec.load import Loaded, LoadedSpec, unresolved_models
from sagespec.manifest import JobStatus, Manifest
from sagespec.sources import fingerprint_of
from sagespec.spec import Build, Channel, Endpoint, Project, TrainingJob, Variant, named_job
from sagespec.state import (
    Address,
    Desired,
    DesiredChannel,
    DesiredCheckpoints,
    DesiredCode,
    DesiredEndpoint,
    DesiredJob,
    Program,
    endpoint_from_asked,
    hash_of,
    job_address,
)

Fingerprint = Callable[[str], str]  # s3://… -> ETag or the like


def model_address(text: str) -> Address | None:
    """The job a variant's `model:` names (churn@3), or None when it is an artifact's place.

    >>> str(model_address("churn@3"))
    'job/churn@3'
    """
    named = named_job(text)
    return job_address(*named) if named else None


def wanted_manifests(loaded: Loaded) -> frozenset[Address]:
    """The jobs whose manifests `resolve` and `reconcile` need: those of the specs and those variants name."""
    wanted = set()
    for item in loaded.specs:
        match item.spec:
            case TrainingJob() as job:
                wanted.add(job_address(job.name, job.version))
            case Endpoint() as endpoint:
                wanted |= {address for v in endpoint.variants if (address := model_address(v.model))}
    return frozenset(wanted)


def resolve(
    loaded: Loaded,
    *,
    root: Path,
    images: Mapping[str, ImageDescription],
    manifests: Mapping[Address, Manifest],
    fingerprint: Fingerprint,
) -> Desired:
    """What the specs ask for, complete. SpecError with every reference that leads nowhere.

    root: the project's folder; keys hold paths relative to it, so that they are equal on every machine.
    fingerprint: what tells two states of an s3:// artifact apart.
    """
    trained = {address for address, manifest in manifests.items() if manifest.status is JobStatus.COMPLETED}
    problems = [problem for problem, address in unresolved_models(loaded) if address not in trained]
    unresolved = bool(problems)
    jobs = [
        _resolve_job(item.spec, item, root, images, manifests.get(item.address), fingerprint, problems)
        for item in loaded.specs
        if isinstance(item.spec, TrainingJob)
    ]
    by_address = {job.address: job for job in jobs}
    endpoints = [
        _resolve_endpoint(item.spec, item, root, images, by_address, manifests, fingerprint, problems)
        for item in loaded.specs
        if isinstance(item.spec, Endpoint) and not unresolved
    ]
    if problems:
        raise SpecError(sorted(problems, key=lambda problem: problem.where or Origin("")))
    return Desired(
        project_name=loaded.project.name,
        jobs=tuple(sorted(jobs, key=lambda job: job.address)),
        endpoints=tuple(sorted((e for e in endpoints if e), key=lambda endpoint: endpoint.name)),
        gateway_hash=gateway_hash(loaded.project.gateway),
        parallel_jobs=loaded.project.parallel_jobs,
    )


def empty_desired(project: Project) -> Desired:
    """Nothing wanted: what `destroy` reconciles with."""
    return Desired(project.name, gateway_hash=gateway_hash(project.gateway), parallel_jobs=project.parallel_jobs)


# -- jobs ------------------------------------------------------------------------------------------


def _resolve_job(
    spec: TrainingJob,
    item: LoadedSpec,
    root: Path,
    images: Mapping[str, ImageDescription],
    manifest: Manifest | None,
    fingerprint: Fingerprint,
    problems: list[Problem],
) -> DesiredJob:
    trained = manifest if manifest and manifest.status is JobStatus.COMPLETED else None
    if spec.build:
        program = _build_program(spec.build, item, root, trained)
    else:
        field = "framework" if spec.framework else "algorithm"
        program = _program(spec.framework or spec.algorithm, spec.image, field, item, images, problems)
    if spec.algorithm and not trained:  # what is trained is beyond objection, also that of a later release
        problems += _objections(spec, item, images)
    channels = tuple(_channel(name, channel, spec, item, root) for name, channel in sorted(spec.channels.items()))
    code = _code(spec, item, root, trained, fingerprint, problems)
    key_fields = _key_fields(spec, program, channels, code)
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
        max_runtime=spec.stopping.max_runtime,
        protect=spec.protect,
        spec=_spec_for_manifest(spec, program),
        origin=item.origin,
        field_origins=item.origins,
        code=code,
        distribution=spec.distribution or "",
        entrypoint=spec.entrypoint,
        arguments=spec.arguments,
        gpus=spec.resources.gpus,
        metrics=tuple((metric.name, metric.regex) for metric in spec.metrics),
        checkpoints=_checkpoints(spec, item, root),
        max_wait=spec.stopping.max_wait,
        retries=spec.retries,
    )


def _spec_for_manifest(spec: TrainingJob, program: Program) -> dict[str, Any]:
    """The spec as written, but the folder of a build from the project's root: a manifest knows of no spec's file, and
    what it trained is served by the program in there."""
    dumped = spec.model_dump(mode="json")
    if spec.build:
        dumped["build"]["context"] = program.build
    return dumped


def _objections(spec: TrainingJob, item: LoadedSpec, images: Mapping[str, ImageDescription]) -> Iterator[Problem]:
    description = images.get(spec.algorithm or "")
    if description is None or description.kind != "algorithm":
        return
    content_types = {name: channel.content_type for name, channel in spec.channels.items()}
    for objection in objections(spec.algorithm or "", description, spec.hyperparameters, content_types):
        yield Problem(
            what=objection.what,
            about=str(item.address),
            why=objection.why,
            fix=objection.fix,
            where=item.origin_of(objection.field),
        )


def _channel(name: str, channel: Channel, spec: TrainingJob, item: LoadedSpec, root: Path) -> DesiredChannel:
    return DesiredChannel(
        name=name,
        source=portable(channel.source, item, root),
        content_type=channel.content_type,
        sharded=channel.distribution == "sharded",
        input_mode=channel.input_mode or spec.input_mode,
        is_manifest=channel.data_type == "manifest",
        gzip=channel.compression == "gzip",
        recordio=channel.record_wrapper == "recordio",
        shuffle_seed=channel.shuffle_seed,
        writable=channel.writable,
    )


def _checkpoints(spec: TrainingJob, item: LoadedSpec, root: Path) -> DesiredCheckpoints | None:
    if spec.checkpoints is None:
        return None
    source = portable(spec.checkpoints.source, item, root) if spec.checkpoints.source else ""
    return DesiredCheckpoints(spec.checkpoints.path.removeprefix("/opt/ml/"), source)


def _code(
    spec: TrainingJob,
    item: LoadedSpec,
    root: Path,
    trained: Manifest | None,
    fingerprint: Fingerprint,
    problems: list[Problem],
) -> DesiredCode | None:
    """The job's script. Where it is gone, what a trained version was made with is taken for granted."""
    if not spec.entry_point:
        return None
    source = portable(spec.source_dir or spec.entry_point, item, root)
    entry_point = spec.entry_point if spec.source_dir else spec.entry_point.rpartition("/")[2]
    taken_for_granted = DesiredCode(entry_point, source, str(trained.key_fields.get("code", ""))) if trained else None
    if source.startswith("s3://"):
        try:
            return DesiredCode(entry_point, source, fingerprint(source))
        except WorldError:
            if taken_for_granted is None:
                raise
            return taken_for_granted
    path = root / source
    if taken_for_granted and not path.exists():
        return taken_for_granted
    if spec.source_dir and path.is_file() and not source.endswith(".tar.gz"):
        problems.append(
            Problem(
                what=f"source_dir: {spec.source_dir} is a file, and no .tar.gz",
                about=str(item.address),
                fix="name the folder of the script, or a sourcedir.tar.gz",
                where=item.origin_of("source_dir"),
            )
        )
    if path.is_dir() and not (path / entry_point).is_file():
        problems.append(
            Problem(
                what=f"entry_point: there is no {entry_point} in {spec.source_dir}",
                about=str(item.address),
                fix="name a script inside source_dir",
                where=item.origin_of("entry_point"),
            )
        )
    return DesiredCode(entry_point, source, fingerprint_of(path, through_links=True) if path.exists() else "missing")


def _key_fields(
    spec: TrainingJob, program: Program, channels: tuple[DesiredChannel, ...], code: DesiredCode | None
) -> dict[str, Any]:
    """What decides a job's result, by field path; `hash_of` this is the job's key.

    Hyperparameters count as the strings the container sees, so that 100 and "100" are one. Resources
    and stopping are left out: they decide whether it ends, not what it gives. So are checkpoints, metrics and
    retries, and whether data are copied or mounted. What was added in a later release counts only where it is used.
    """
    fields: dict[str, Any] = {
        name: value for name in ("algorithm", "framework", "image") if (value := getattr(spec, name))
    }
    if spec.build:
        fields["build"] = program.context
    if code:
        fields |= {"entry_point": code.entry_point, "code": code.fingerprint}
    fields |= {name: value for name in ("entrypoint", "arguments") if (value := list(getattr(spec, name)))}
    fields |= {"distribution": spec.distribution} if spec.distribution else {}
    fields |= {f"hyperparameters.{name}": hyperparameter_text(v) for name, v in spec.hyperparameters.items()}
    fields |= {f"environment.{name}": value for name, value in spec.environment.items()}
    for channel in channels:
        fields |= {f"channels.{channel.name}.{name}": value for name, value in _channel_fields(channel).items()}
    return fields | {"instances": spec.instances}


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


def portable(source: str, item: LoadedSpec, root: Path) -> str:
    """A source as keys hold it: s3:// as it is, a path under the root relative to the root, another absolute."""
    path = item.local_path(source)
    if path is None:
        return source
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _program(
    builtin: str | None,
    image: str | None,
    field: str,
    item: LoadedSpec,
    images: Mapping[str, ImageDescription],
    problems: list[Problem],
) -> Program:
    if field.endswith("framework"):
        known = [name for name, description in images.items() if description.runs_scripts]
        offered = known
    else:
        known = [name for name, description in images.items() if description.kind in ("algorithm", "test")]
        offered = [name for name in known if images[name].kind == "algorithm"]
    if builtin and builtin not in known:
        word = "framework" if field.endswith("framework") else "built-in"
        problems.append(
            Problem(
                what=f"there is no {word} named {builtin!r}",
                about=field,
                why=f"the {word}s are {', '.join(offered)}",
                fix=did_you_mean(builtin, known) or "name one of them, or give a container with image:",
                where=item.origin_of(field),
            )
        )
    return Program(builtin=builtin or "", image=image or "")


def _build_program(build: Build, item: LoadedSpec, root: Path, trained: Manifest | None) -> Program:
    """A container built from a folder; where the folder is gone, the one a trained version was made with."""
    folder = portable(build.context, item, root)
    if trained and not (root / folder).is_dir():
        context = str(trained.key_fields.get("build", ""))
    else:
        context = BuildFolder(root / folder, build.dockerfile, build.args).hash()
    return Program(build=folder, context=context, dockerfile=build.dockerfile, args=tuple(sorted(build.args.items())))


# -- endpoints -------------------------------------------------------------------------------------


def _resolve_endpoint(
    spec: Endpoint,
    item: LoadedSpec,
    root: Path,
    images: Mapping[str, ImageDescription],
    jobs: Mapping[Address, DesiredJob],
    manifests: Mapping[Address, Manifest],
    fingerprint: Fingerprint,
    problems: list[Problem],
) -> DesiredEndpoint | None:
    before = len(problems)
    variants = []
    for index, variant in enumerate(spec.variants):
        field = f"variants.{index}"
        model, program = _model(variant, field, item, root, images, jobs, manifests, fingerprint, problems)
        variants.append(
            {
                "name": variant.name,
                "model": model,
                "program": program.as_json(),
                "weight": variant.weight,
                "instances": variant.instances,
                "environment": {**_script(variant, model, jobs, manifests), **variant.environment},
                "cpus": variant.resources.cpus,
                "memory": variant.resources.memory,
                **({"gpus": variant.resources.gpus} if variant.resources.gpus else {}),
            }
        )
    if len(problems) > before:
        return None
    asked = {"variants": variants, "rollout": _rollout(spec), "protect": spec.protect}
    return endpoint_from_asked(spec.name, asked, item.origin)


def _rollout(spec: Endpoint) -> dict[str, Any]:
    rollout = spec.rollout
    return {
        "healthy_within": rollout.healthy_within,
        "min_healthy": rollout.min_healthy,
        "drain_within": rollout.drain_within,
        "replace": rollout.replace,
    }


def _model(
    variant: Variant,
    field: str,
    item: LoadedSpec,
    root: Path,
    images: Mapping[str, ImageDescription],
    jobs: Mapping[Address, DesiredJob],
    manifests: Mapping[Address, Manifest],
    fingerprint: Fingerprint,
    problems: list[Problem],
) -> tuple[dict[str, str], Program]:
    """The model's part of `asked`, and the program that serves it."""
    address = model_address(variant.model)
    if address is None:
        uri = portable(variant.model, item, root)
        which = "framework" if variant.framework else "algorithm"
        builtin = variant.framework or variant.algorithm
        program = _program(builtin, variant.image, f"{field}.{which}", item, images, problems)
        identity = f"{uri}:{_artifact_fingerprint(uri, root, fingerprint)}"
        return {"text": variant.model, "identity": identity, "job": "", "uri": uri}, program
    manifest, job = manifests.get(address), jobs.get(address)
    if manifest and manifest.status is JobStatus.COMPLETED:
        key, trained_by = manifest.key, _program_of(manifest)
    elif job:
        key, trained_by = job.key, job.program
    else:
        return {}, Program()  # said by `unresolved_models` with its place
    program = Program(image=variant.image) if variant.image else trained_by
    return {"text": variant.model, "identity": f"{address}:{key}", "job": str(address), "uri": ""}, program


def _program_of(manifest: Manifest) -> Program:
    spec, key_fields = manifest.spec, manifest.key_fields
    if build := spec.get("build"):
        return Program.from_json(
            {
                "build": build["context"],
                "context": key_fields.get("build", ""),
                "dockerfile": build["dockerfile"],
                "args": build["args"],
            }
        )
    return Program(builtin=spec.get("algorithm") or spec.get("framework") or "", image=spec.get("image") or "")


def _script(
    variant: Variant,
    model: Mapping[str, str],
    jobs: Mapping[Address, DesiredJob],
    manifests: Mapping[Address, Manifest],
) -> dict[str, str]:
    """What tells a serving container which script is in its model's code/, as SageMaker's SDK does; {} for none."""
    entry_point = variant.entry_point or ""
    if not entry_point and model.get("job"):
        address = Address.parse(model["job"])
        manifest, job = manifests.get(address), jobs.get(address)
        if manifest and manifest.status is JobStatus.COMPLETED:
            entry_point = str(manifest.key_fields.get("entry_point", ""))
        elif job and job.code:
            entry_point = job.code.entry_point
    return {"SAGEMAKER_PROGRAM": entry_point} if entry_point else {}


def _artifact_fingerprint(uri: str, root: Path, fingerprint: Fingerprint) -> str:
    if uri.startswith("s3://"):
        return fingerprint(uri)
    if not (root / uri).is_file():
        return "missing"  # `load.missing_paths` tells where it matters
    with (root / uri).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
