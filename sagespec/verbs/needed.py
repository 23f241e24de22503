"""Which models are still needed, and why: by specs of any environment, by endpoints and their roll-backs, by aliases.

`gc` keeps all that is named here. Read from the specs as they are in every environment, and from the records of every
project in the store; whatever cannot be read stops it, as it may name anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from sagespec.errors import SpecError
from sagespec.load.checkout import not_checked_out
from sagespec.load.environments import environment_files
from sagespec.load.load import load
from sagespec.load.loaded import Loaded
from sagespec.parts import Parts
from sagespec.records.leases import Leases
from sagespec.records.records import Records
from sagespec.resolve.resolve import wanted_manifests
from sagespec.spec.endpoint import Endpoint
from sagespec.spec.job import TrainingJob
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import Manifest
from sagespec.state.revision import EndpointRecord, Revision, RevisionStatus, live_revision
from sagespec.state.rollout import Ending
from sagespec.state.sweeping import EARLIER_KEPT
from sagespec.verbs.refused_models import jobs_of
from sagespec.verbs.rollback import rollback_target

Reasons = dict[Address, list[str]]
_ARCHIVE = re.compile(r'"(s3://[^"/]+/[^"]+/[^"]+/model\.tar\.gz)"')
_OF_A_JOB = re.compile(r"/jobs/([a-zA-Z0-9-]+)/([1-9]\d{0,15})(?:/|$)")


def every_environment(parts: Parts) -> Iterator[tuple[str, Loaded]]:
    """The specs as they are in each, and without one where that may be. SpecError with what is wrong with any."""
    if parts.given_specs:
        raise SpecError("gc looks at all specs", why="a model that others name is needed, too", fix="leave out -f")
    bare = load([], parts.root, check_paths=False).project
    names = [*environment_files(parts.root), *([] if bare.require_environment else [""])]
    for name in sorted(names):
        one = Parts(parts.root, environment=name, state_dir=parts.home)
        if missing := not_checked_out(one.specs, parts.root):
            raise SpecError(
                f"{missing[0]} is not checked out here, and may name models", fix="check it out, then run gc again"
            )
        yield name, one.load()


def of_specs(environments: Iterable[tuple[str, Loaded]]) -> Reasons:
    found: Reasons = {}
    for name, loaded in environments:
        where = f"the specs of {name}" if name else "the specs"
        for job in (*wanted_manifests(loaded), *_by_place(loaded)):
            found.setdefault(job, []).append(f"named by {where}")
        for model in loaded.registry:
            for alias, version in model.aliases.items():
                found.setdefault(job_address(model.name, version), []).append(f"{alias} in {where}")
            for version in model.protect:
                found.setdefault(job_address(model.name, version), []).append(f"protected by {where}")
    return found


def _by_place(loaded: Loaded) -> Iterator[Address]:
    """Jobs whose folders in a store are the data of others, or whose archives are served as such."""
    for item in loaded.specs:
        match item.spec:
            case TrainingJob() as job:
                places = [channel.source for channel in job.channels.values()]
                places += [job.checkpoints.source] if job.checkpoints and job.checkpoints.source else []
            case Endpoint() as endpoint:
                places = [variant.model for variant in endpoint.variants]
            case _:
                places = []
        yield from filter(None, map(_job_at, places))


def _job_at(place: str) -> Address | None:
    match = _OF_A_JOB.search(place)
    return job_address(match[1], int(match[2])) if match else None


def _served(record: EndpointRecord) -> set[Address]:
    """The jobs whose models it serves, by name or from where they lie in a store."""
    at = {job for variant in record.variants if (job := _job_at(variant.model.uri))}
    return {*jobs_of(record), *at}


def of_project(records: Records, old: datetime) -> Reasons:
    """By what its endpoints serve, go back to, or are asked for, and by what runs. old: what ended before that time is
    over for good."""
    found: Reasons = {}

    def add(record: EndpointRecord, why: str) -> None:
        for job in _served(record):
            found.setdefault(job, []).append(why)

    for name in records.endpoint_names():
        for revision, why in kept_revisions(records.history(name), old):
            add(revision.asked, f"endpoint/{name} of {records.project_name} {why} (revision {revision.number})")
    at_work = Leases(records.store, records.project_name).look()
    for rollback in at_work.rollbacks.values():
        add(rollback.asked, f"endpoint/{rollback.endpoint} of {records.project_name} is asked to go back to it")
    for progress in at_work.rollouts.values():
        add(progress.asked, f"endpoint/{progress.endpoint} of {records.project_name} is being rolled out with it")
    for job in at_work.followers:
        found.setdefault(job, []).append("it is running")
    for job, model in _of_sdks(records):
        found.setdefault(job, []).append(f"the SageMaker model {model} has it")
    return found


def _of_sdks(records: Records) -> Iterator[tuple[Address, str]]:
    """The jobs whose archives SDKs made models of (CreateModel), served or not, with those models' names."""
    kept = f"{records.project_name}/sagemaker"
    models = records.store.read_many(entry.key for entry in records.store.entries(f"{kept}/models/"))
    for key, data in sorted(models.items()):
        for place in _ARCHIVE.findall(data.decode(errors="replace")):
            job = _job_at(place) or _job_of_sdk(records, f"{kept}/training-jobs/{place.split('/')[-3]}.json")
            if job:
                yield job, key.rpartition("/")[2].removesuffix(".json")


def _job_of_sdk(records: Records, key: str) -> Address | None:
    """Where an archive has the address that SageMaker gives it: …/<TrainingJobName>/output/model.tar.gz."""
    found = records.store.read(key)
    address = json.loads(found[0]).get("address") if found else ""
    return Address.parse(address) if address else None


def kept_revisions(history: Sequence[Revision], old: datetime) -> Iterator[tuple[Revision, str]]:
    """What an endpoint serves, and what it may go back to: what `rollback` would choose, the last few that were live,
    and the last few that were not taken back, each told from the next by what it asked for."""
    live = live_revision(tuple(history))
    last = history[-1] if history else None
    if live is None and (last is None or (last.ended_at or last.started_at) < old):
        return
    if live:
        yield live, "serves it"
    earlier = [one for one in reversed(history) if was_live(one) and (live is None or one.number < live.number)]
    stayed = [one for one in earlier if one.status is RevisionStatus.LIVE]
    kept: dict[int, Revision] = {}
    for group in (earlier, stayed):
        by_hash = {one.hash: one for one in reversed(group) if live is None or one.hash != live.hash}
        newest = sorted(by_hash.values(), key=lambda one: one.number)[-EARLIER_KEPT:]
        kept |= {one.number: one for one in newest}
    with suppress(SpecError):  # there is none
        kept |= {one.number: one for one in ([rollback_target(history, live, None)] if live else [])}
    for one in kept.values():
        yield one, "can go back to it"


def was_live(revision: Revision) -> bool:
    is_cancelled = revision.rollout is not None and revision.rollout.ending is Ending.CANCELLED
    return revision.status in (RevisionStatus.LIVE, RevisionStatus.ROLLED_BACK) and not is_cancelled


def of_manifests(manifests: Mapping[Address, Manifest], old: datetime) -> Reasons:
    """What is protected, or too young."""
    found: Reasons = {}
    for job, manifest in manifests.items():
        why = ["protect: true when it was trained"] if manifest.protect else []
        why += [f"ended {manifest.ended_at:%Y-%m-%d}, which is not long ago"] if manifest.ended_at >= old else []
        if why:
            found[job] = why
    return found


def together(*found: Reasons) -> dict[Address, tuple[str, ...]]:
    jobs = dict.fromkeys(job for one in found for job in one)
    return {job: tuple(dict.fromkeys(why for one in found for why in one.get(job, ()))) for job in jobs}
