"""What led to a model and where it went: commit, data, image, key, model, and the revisions that served it.

From a job, an endpoint, a commit, or what an answer says in x-sagespec-model. All of it is in manifests and revisions;
takes the listings of jobs and endpoints, and one read of many records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sagespec.display import Displayed
from sagespec.errors import WorldError
from sagespec.parts import Parts
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import Git, Manifest
from sagespec.state.revision import EndpointRecord, Revision, RevisionStatus, VariantRecord, live_revision
from sagespec.state.rollout import Ending
from sagespec.verbs.lineage import histories

_COMMIT = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True)
class Stint:
    """A time in which a model had a share of an endpoint's traffic. until: None where it still has. taken_back: it was
    a candidate that was not kept."""

    endpoint: str
    revision: int
    variant: str
    weight: float
    git: Git | None
    since: datetime
    until: datetime | None
    taken_back: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "endpoint": f"endpoint/{self.endpoint}",
            "revision": self.revision,
            "variant": self.variant,
            "weight": self.weight,
            "git": _git_as_json(self.git),
            "from": self.since.isoformat(),
            "until": self.until.isoformat() if self.until else None,
            "taken_back": self.taken_back,
        }


@dataclass(frozen=True)
class Trace:
    """One job. manifest: None where the store has none any more, or none yet. served: the newest first."""

    job: Address
    manifest: Manifest | None
    served: tuple[Stint, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "job": str(self.job),
            **(_made_as_json(self.manifest) if self.manifest else {"status": None}),
            "served": [stint.as_json() for stint in self.served],
        }


@dataclass(frozen=True, repr=False)
class Lineage(Displayed):
    """of: what was asked for. archives: models of the endpoint that no job here has made, by variant. revisions: those
    that were made from the commit."""

    of: str
    traces: tuple[Trace, ...]
    archives: Mapping[str, str]
    revisions: tuple[Revision, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/lineage.md."""
        return {
            "of": self.of,
            "jobs": [trace.as_json() for trace in self.traces],
            "archives": dict(self.archives),
            "revisions": [
                {
                    "endpoint": f"endpoint/{revision.endpoint}",
                    "number": revision.number,
                    "status": revision.status.value,
                    "started_at": revision.started_at.isoformat(),
                }
                for revision in self.revisions
            ],
        }


def _git_as_json(git: Git | None) -> dict[str, Any] | None:
    return git.model_dump(mode="json", include={"commit", "dirty"}) if git else None


def _made_as_json(manifest: Manifest) -> dict[str, Any]:
    model = manifest.artifacts.get("model")
    return {
        "status": manifest.status.value,
        "key": manifest.key,
        "git": _git_as_json(manifest.git),
        "inputs": {name: one.model_dump(mode="json") for name, one in manifest.inputs.items()},
        "images": dict(manifest.images),
        "code": {name: manifest.key_fields[name] for name in ("code", "build") if name in manifest.key_fields},
        "model": model.model_dump(mode="json") if model else None,
        "metrics": dict(manifest.metrics),
        "ended_at": manifest.ended_at.isoformat(),
        **({"promoted_from": trained.model_dump(mode="json")} if (trained := manifest.promoted_from) else {}),
        **({"imported_from": manifest.imported_from} if manifest.imported_from else {}),
        **({"swept_at": manifest.swept_at.isoformat()} if manifest.swept_at else {}),
    }


def lineage_of(parts: Parts, address: Address) -> Lineage:
    """Of a job, or of the models that an endpoint (or one of its variants) serves. WorldError where there is none."""
    if address.kind not in ("job", "endpoint"):
        raise WorldError(f"{address} has no models", fix="name a job or an endpoint: churn@3, endpoint/churn")
    found = histories(parts)
    if address.kind == "job":
        return Lineage(str(address.whole), _traces(parts, [address.whole], found), {})
    asked = _asked_for(found.get(address.name, ()), address)
    jobs = dict.fromkeys(Address.parse(variant.model.job) for variant in asked if variant.model.job)
    archives = {variant.name: variant.model.uri for variant in asked if not variant.model.job}
    traces = [_within(trace, address) for trace in _traces(parts, jobs, found)]
    return Lineage(str(replace(address, instance=None)), tuple(traces), archives)


def lineage_of_commit(parts: Parts, commit: str) -> Lineage:
    """All that was trained and served from it: jobs and revisions. WorldError where nothing was."""
    if not _COMMIT.fullmatch(commit):
        raise WorldError(f"{commit} is no commit", fix="give four of its letters or more: `git log --oneline`")
    manifests = parts.records.manifests(parts.records.all_jobs())
    jobs = [job for job, manifest in sorted(manifests.items()) if _is_from(manifest.git, commit)]
    found = histories(parts)
    revisions = [one for history in found.values() for one in history if _is_from(one.git, commit)]
    if not jobs and not revisions:
        raise WorldError(
            f"nothing in {parts.store.uri} was made from a commit {commit}",
            fix="`sagespec history` shows the commits of what was made",
        )
    commits = sorted({g.commit for g in [*(manifests[j].git for j in jobs), *(r.git for r in revisions)] if g})
    if len(commits) > 1:
        raise WorldError(f"{commit} may be one of {', '.join(commits)}", fix="give more of its letters")
    return Lineage(commits[0], _traces(parts, jobs, found), {}, tuple(revisions))


def _is_from(git: Git | None, commit: str) -> bool:
    return git is not None and git.commit.startswith(commit)


def _asked_for(revisions: Sequence[Revision], address: Address) -> tuple[VariantRecord, ...]:
    """The variants of the live revision, or of the last there was."""
    live = live_revision(tuple(revisions)) or next(iter(reversed(revisions)), None)
    asked = live.asked if live else EndpointRecord()
    found = tuple(one for one in asked.variants if address.variant in ("", one.name))
    if not found:
        raise WorldError(
            f"{replace(address, instance=None)} has served nothing", fix="see `sagespec history` for what has"
        )
    return found


def _within(trace: Trace, address: Address) -> Trace:
    return replace(
        trace,
        served=tuple(
            one for one in trace.served if one.endpoint == address.name and address.variant in ("", one.variant)
        ),
    )


def _traces(parts: Parts, jobs: Iterable[Address], found: Mapping[str, tuple[Revision, ...]]) -> tuple[Trace, ...]:
    jobs = list(jobs)
    manifests = parts.records.manifests(jobs)
    served: dict[Address, list[Stint]] = {}
    for history in found.values():
        for job, stint in stints_of(history):
            served.setdefault(job, []).append(stint)
    return tuple(
        Trace(job, manifests.get(job), tuple(sorted(served.get(job, ()), key=lambda one: one.since, reverse=True)))
        for job in jobs
    )


def stints_of(history: Sequence[Revision]) -> Iterator[tuple[Address, Stint]]:
    """The times in which jobs' models had traffic of one endpoint, whose revisions are given oldest first."""
    for place, revision in enumerate(history):
        taken_back = _was_candidate_only(revision)
        if revision.status in (RevisionStatus.FAILED, RevisionStatus.REMOVED) and not taken_back:
            continue
        later = (_live_since(one) for one in history[place + 1 :] if _replaces(one))
        has_ended = taken_back or revision.status is RevisionStatus.ROLLED_BACK
        until = revision.ended_at if has_ended else next(later, None)
        for variant in revision.asked.variants:
            if variant.model.job:
                yield (
                    job_address_of(variant),
                    Stint(
                        endpoint=revision.endpoint,
                        revision=revision.number,
                        variant=variant.name,
                        weight=variant.weight,
                        git=revision.git,
                        since=_live_since(revision),
                        until=until,
                        taken_back=taken_back,
                    ),
                )


def job_address_of(variant: VariantRecord) -> Address:
    parsed = Address.parse(variant.model.job)
    return job_address(parsed.name, parsed.version)


def _was_candidate_only(revision: Revision) -> bool:
    """Whether it had a share for a time, as a candidate, and never went live."""
    ending = revision.rollout.ending if revision.rollout else None
    return ending in (Ending.TAKEN_BACK, Ending.ABORTED, Ending.CANCELLED)


def _live_since(revision: Revision) -> datetime:
    """When it first had traffic, as far as the record tells: that of a rolled-back one ends with the roll-back."""
    begins_at_once = revision.rollout is not None or revision.status is RevisionStatus.ROLLED_BACK
    return revision.started_at if begins_at_once else revision.ended_at or revision.started_at


def _replaces(revision: Revision) -> bool:
    """Whether it took the place of what was live before it."""
    return revision.status is not RevisionStatus.FAILED and not _was_candidate_only(revision)
