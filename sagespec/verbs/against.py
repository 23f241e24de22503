"""The plan against another commit: what `apply` of the specs here would do, had those of the commit been applied.

Neither engine nor secrets are asked, so that anybody may make it, for a pull request of a fork, say. The store is asked
for the records of trained jobs; where it has none, or does not answer, they are taken for trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sagespec.apply.policy import Judge
from sagespec.errors import SpecError, WorldError
from sagespec.load.environments import environment_files
from sagespec.load.load import load, load_what_is_right, specs_of
from sagespec.load.loaded import PROJECT_FILE, Loaded
from sagespec.parts import Parts
from sagespec.plan import Plan
from sagespec.reconcile.assumed import as_if_applied, as_if_kept, as_if_trained
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.resolve.resolve import resolve, wanted_manifests
from sagespec.sources.trees import Trees, two_trees
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredJob
from sagespec.state.doors import Certified, Doors
from sagespec.state.hashes import hash_of, same_hash
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import Observed
from sagespec.state.suspension import Suspension
from sagespec.verbs.new_versions import with_versions

Manifests = Mapping[Address, Manifest]


@dataclass(frozen=True)
class Before:
    """What would be there had the specs of the commit been applied. notes: what is not known of it."""

    observed: Observed
    notes: tuple[str, ...] = ()
    failed: Mapping[Address, Manifest] = field(default_factory=dict)  # jobs that the store knows to be untrained
    known: Mapping[Address, Manifest] = field(default_factory=dict)  # of trained jobs, from the store
    is_store_silent: bool = False
    judge: Judge = field(default_factory=lambda: Judge(lambda: None, Path()))  # by the policy of the commit


def plan_against(parts: Parts, ref: str, options: Options | None = None) -> Plan:
    """WorldError where git does not know the commit, or its specs cannot be understood."""
    with TemporaryDirectory(dir=parts.scratch) as folder:
        trees = two_trees(parts.root, ref, Path(folder))
        root = trees.at(parts.root, trees.now)
        loaded = load(_paths(parts, trees, trees.now), root, environment=parts.environment, check_paths=False)
        now = datetime.now(UTC)
        before = _before(parts, trees, loaded, now)
        manifests = dict(before.observed.manifests)
        unknown = sorted(job for job in _named_alone(loaded) if job not in manifests)
        manifests |= {job: as_if_kept(job, loaded.project.name, now) for job in unknown}
        desired = _desired(parts, loaded, manifests)
        edited = {j.address: before.failed[j.address] for j in desired.jobs if _is_edited(j, manifests, before)}
        manifests |= edited
        desired = _desired(parts, loaded, manifests) if edited else desired
        assumed = frozenset(job for job, manifest in manifests.items() if manifest is not before.known.get(job))
        suspensions, not_known = _suspensions(parts, before)
        observed = replace(before.observed, manifests=manifests, assumed=assumed, suspensions=suspensions)
        plan = before.judge.judged(reconcile(desired, observed, now, options))
        plan = with_versions(plan, parts, before.observed.revisions, before.observed.manifests)
    notes = (f"{job} is in no spec: whether the store has its model is not known here" for job in unknown)
    return replace(plan, against=trees.commit, notes=(*before.notes, *not_known, *plan.notes, *notes))


def _paths(parts: Parts, trees: Trees, tree: Path) -> Sequence[Path]:
    here = trees.at(parts.root, tree)
    return [trees.at(path, tree) for path in parts.given_specs] or specs_of(here, parts.environment)


def _before(parts: Parts, trees: Trees, loaded: Loaded, now: datetime) -> Before:
    short, root = trees.commit[:12], trees.at(parts.root, trees.before)
    if not (root / PROJECT_FILE).is_file():
        return Before(Observed(), (f"there is no {PROJECT_FILE} at {short}, so everything is new",))
    try:
        if parts.environment and parts.environment not in environment_files(root):
            note = f"there is no environment {parts.environment} at {short}, so everything is new"
            return _all_new(load([], root, check_paths=False), note, root)
        earlier, problems = load_what_is_right(_paths(parts, trees, trees.before), root, parts.environment)
        if earlier.project.name != loaded.project.name:
            note = f"the project was called {earlier.project.name} at {short}: everything is new"
            return _all_new(earlier, note, root)
        found, note = _found(parts, {*wanted_manifests(earlier), *wanted_manifests(loaded)})
        kept = {job: manifest for job, manifest in found.items() if manifest.status is JobStatus.COMPLETED}
        manifests = _as_trained(parts, earlier, kept, now)
        observed = as_if_applied(_desired(parts, earlier, manifests), manifests, now, _numbers(parts))
    except SpecError as error:
        raise WorldError(
            f"the specs at {short} cannot be compared with: {error.problems[0]}",
            fix="compare with a commit whose specs were applied",
        ) from None
    wrong = f"the specs at {short} have problems, {len(problems)} in all: what is wrong there counts as not there"
    failed = {job: manifest for job, manifest in found.items() if job not in kept}
    notes = tuple(said for said in (wrong if problems else "", note) if said)
    judge = Judge(lambda: earlier.project.policy, root)
    return Before(observed, notes, failed, kept, is_store_silent=bool(note), judge=judge)


def _all_new(earlier: Loaded, note: str, root: Path) -> Before:
    """By the policy that the commit has all the same: to rename something is no way around it."""
    return Before(Observed(), (note,), judge=Judge(lambda: earlier.project.policy, root))


def _found(parts: Parts, wanted: set[Address]) -> tuple[Manifests, str]:
    """The manifests that the store has, and why it could not be asked."""
    try:
        return parts.records.manifests(wanted), ""
    except WorldError as error:
        return {}, f"the store was not asked: {error.problems[0].what}"


def _suspensions(parts: Parts, before: Before) -> tuple[tuple[Suspension, ...], tuple[str, ...]]:
    """What is suspended now, whatever the commits say; a note where the store did not tell."""
    if not before.is_store_silent:
        with suppress(WorldError):
            return parts.leases().look().suspensions, ()
    return (), ("whether something is suspended is not known: the store was not asked",)


def _numbers(parts: Parts) -> Mapping[str, int]:
    """Of the newest revision of each endpoint that the store knows."""
    with suppress(WorldError):
        return {name: revisions[-1].number for name, revisions in parts.records.revisions().items() if revisions}
    return {}


def _is_edited(job: DesiredJob, manifests: Manifests, before: Before) -> bool:
    """Whether it has failed, and its spec is another than that of the commit: then it is not as if it were trained."""
    return (
        job.address in before.failed and job.address in manifests and not same_hash(job.key, manifests[job.address].key)
    )


def _as_trained(parts: Parts, earlier: Loaded, kept: Manifests, now: datetime) -> Manifests:
    """Manifests of all jobs that the specs of the commit name: those of the store, unless they are of other specs."""
    project = earlier.project.name
    gone = {job: kept.get(job) or as_if_kept(job, project, now) for job in _named_alone(earlier)}
    jobs = {job.address: job for job in _desired(parts, earlier, gone).jobs}
    assumed = {
        address: kept[address]
        if address in kept and same_hash(job.key, kept[address].key)
        else as_if_trained(job, project, now)
        for address, job in jobs.items()
    }
    return {**kept, **gone, **assumed}


def _named_alone(loaded: Loaded) -> set[Address]:
    """The jobs whose models are served and which no spec has."""
    return set(wanted_manifests(loaded)) - {item.address for item in loaded.specs}


def _desired(parts: Parts, loaded: Loaded, manifests: Manifests) -> Desired:
    found = resolve(
        loaded, root=loaded.root, images=parts.images, manifests=manifests, fingerprint=lambda _: "not asked"
    )
    return replace(found, doors=_as_written(found.doors, loaded.project.gateway) if found.doors else None)


def _as_written(doors: Doors, settings: GatewaySettings) -> Doors:
    """In place of keys and certificates, where the settings say that they are."""
    keys = {
        name: caller.model_dump(mode="json", include={"key", "next_key"}) for name, caller in settings.callers.items()
    }
    callers = tuple(replace(one, hashes=(hash_of(keys[one.name]),), unread=False) for one in doors.callers)
    tls = settings.model_dump(mode="json")["tls"]
    return replace(doors, callers=callers, certificate=Certified(hash_of(tls)) if tls else None, problems=())
