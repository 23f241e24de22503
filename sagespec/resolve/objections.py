"""What a built-in objects to in a job, as problems at the lines that can be changed.

Called by `jobs`; `builtins` knows what is wrong. What a job has from another that it is like is reported at its own
line, since the other may be right as it is, or trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sagespec.errors import Problem
from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.builtins import ImageDescription, Objection, columns_objections, objections
from sagespec.resolve.facts import Facts
from sagespec.spec.columns import columns_said, has_names
from sagespec.spec.endpoint import named_job
from sagespec.spec.job import TrainingJob
from sagespec.state.addresses import job_address
from sagespec.state.desired import DesiredColumns


def problems_with_builtin(spec: TrainingJob, item: LoadedSpec, facts: Facts) -> Iterator[Problem]:
    told = {(objection.field, objection.what) for objection in _of_the_other(item, facts)}
    found = [o for o in _objections(spec, facts.images) if (o.field, o.what) not in told]
    takes = [o for o in found if o.is_unknown and item.inherits(o.field)]
    for group in ("hyperparameters", "channels"):
        if unfit := [o for o in takes if o.field.startswith(f"{group}.")]:
            yield _unfit(group, unfit, spec, item)
    for objection in found:
        if objection not in takes:
            yield _problem(objection, item)


def _of_the_other(item: LoadedSpec, facts: Facts) -> Sequence[Objection]:
    """To the job that this one is like; it is told itself."""
    job = named_job(item.like)
    other = facts.specs.get(job_address(*job)) if job else None
    if other is None or facts.trained(other.address) or not isinstance(other.spec, TrainingJob):
        return ()
    return _objections(other.spec, facts.images)


def _objections(spec: TrainingJob, images: Mapping[str, ImageDescription]) -> Sequence[Objection]:
    description = images.get(spec.algorithm or "")
    if description is None or description.kind != "algorithm":
        return ()
    content_types = {name: channel.content_type for name, channel in spec.channels.items()}
    found = [*objections(spec.algorithm or "", description, spec.hyperparameters, content_types)]
    if columns := columns_of(spec):
        named = next(name for name, channel in spec.channels.items() if has_names(channel))
        found += columns_objections(spec.algorithm or "", description, named, has_target=bool(columns.target))
    return found


def columns_of(spec: TrainingJob) -> DesiredColumns | None:
    """What a channel says of its columns holds for all."""
    said = columns_said(spec.channels.values())
    return DesiredColumns("".join(said["target"]), said["drop"], said["categorical"]) if said else None


def _problem(objection: Objection, item: LoadedSpec) -> Problem:
    why, fix = objection.why, objection.fix
    if item.inherits(objection.field) and not objection.is_missing:
        why = "; ".join(filter(None, (_whence(objection.field, item), why)))
        fix = "; ".join(filter(None, (fix, f"in {item.address}, write another value or null")))
    is_here = objection.is_missing or item.inherits(objection.field)
    where = item.own_place(objection.field) if is_here else item.origin_of(objection.field)
    return Problem(what=objection.what, about=str(item.address), why=why, fix=fix, where=where)


def _unfit(group: str, unfit: Sequence[Objection], spec: TrainingJob, item: LoadedSpec) -> Problem:
    """One problem of all that the job has from another and its algorithm does not know."""
    names = [objection.field.partition(".")[2] for objection in unfit]
    nulls = ", ".join(f"{name}: null" for name in names)
    many = f"{group} {', '.join(names)} are not {group} of {spec.algorithm}"
    return Problem(
        what=unfit[0].what if len(unfit) == 1 else many,
        about=str(item.address),
        why=_whence(unfit[0].field, item),
        fix=f"add {nulls} to {group} of {item.address}"
        if group in item.own
        else f"add {group}: {{{nulls}}} to {item.address}",
        where=item.own_place(unfit[0].field),
    )


def _whence(field: str, item: LoadedSpec) -> str:
    place = item.origin_of(field)
    return f"inherited from {item.like} ({place.file}:{place.line})"
