"""`like`: a job that is another one but for some fields, put together from the two documents before it is checked.

How the two are merged, so that each field keeps its place, stands in `merge`. Called by `load`, with the documents of
all files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sagespec.errors import Problem, did_you_mean
from sagespec.load.merge import Absent, Part, map_of, parts_of, put_over
from sagespec.load.places import FieldPath, YamlDocument
from sagespec.spec.endpoint import named_job
from sagespec.spec.job import PROGRAMS
from sagespec.spec.values import cut

OWN = ("name", "version", "like", "imported_from")  # what a job never has from another


@dataclass(frozen=True)
class Likes:
    """bases: the number of the document that another is like, by its own number. wrong: documents whose `like` leads
    nowhere, with the problem; None where it may lead to a document that could not be read."""

    bases: Mapping[int, int]
    wrong: Mapping[int, Problem | None]

    def in_order(self, count: int) -> list[int]:
        """The numbers of all documents, each after the one that it is like."""
        return sorted(range(count), key=lambda number: sum(1 for _ in self._chain(number)))

    def _chain(self, number: int) -> Iterator[int]:
        while number in self.bases:
            number = self.bases[number]
            yield number


def likes_of(documents: Sequence[YamlDocument], *, all_are_read: bool) -> Likes:
    """all_are_read: whether no file holds documents that could not be read."""
    jobs: dict[str, int] = {}
    for number, document in enumerate(documents):
        if _is_job(document):
            jobs.setdefault(f"{document.data.get('name')}@{document.data.get('version')}", number)
    bases: dict[int, int] = {}
    wrong: dict[int, Problem | None] = {}
    for number, document in enumerate(documents):
        like = document.data.get("like") if _is_job(document) else None
        if like is None:
            continue
        base = jobs.get(like) if isinstance(like, str) else None
        if base is not None:
            bases[number] = base
        else:
            is_job = isinstance(like, str) and named_job(like) is not None
            wrong[number] = _leads_nowhere(document, jobs) if all_are_read or not is_job else None
    for number in list(bases):
        if circle := _circle(number, bases):
            wrong[number] = _leads_back(documents, circle)
    return Likes({number: base for number, base in bases.items() if number not in wrong}, wrong)


def _is_job(document: YamlDocument) -> bool:
    return isinstance(document.data, dict) and document.data.get("kind") == "TrainingJob"


def _leads_nowhere(document: YamlDocument, jobs: Mapping[str, int]) -> Problem:
    written, like = document.written(("like",)), document.data["like"]
    jobs = {job: number for job, number in jobs.items() if job != _name(document)}
    if not isinstance(like, str) or named_job(like) is None:
        near = _nearest([job for job in jobs if job.partition("@")[0] == like], document.data.get("version"))
        fix = f"write like: {near}" if near else "name a job of the specs with its version: like: churn@1"
        return _problem(document, f"like is {written}, but must be a job and its version", fix)
    name = like.partition("@")[0]
    known = ", ".join(sorted((job for job in jobs if job.partition("@")[0] == name), key=_version))
    names = {job.partition("@")[0] for job in jobs}
    return _problem(
        document,
        f"like is {written}, but no spec defines that job",
        (did_you_mean(name, names) if not known else "") or "name a job of the specs, or write the fields out",
        why=f"the specs define {known}" if known else "",
    )


def _nearest(jobs: Sequence[str], own_version: object) -> str:
    """The newest version below one's own, or else the newest."""
    below = [job for job in jobs if isinstance(own_version, int) and _version(job) < own_version]
    return max(below or jobs, key=_version, default="")


def _version(job: str) -> int:
    number = job.rpartition("@")[2]
    return int(number) if number.isdecimal() else 0


def _circle(number: int, bases: Mapping[int, int]) -> list[int]:
    """The documents that lead from one back to it; [] if none do."""
    chain = [number]
    while (last := bases.get(chain[-1])) is not None:
        chain.append(last)
        if last == number:
            return chain
        if last in chain[:-1]:
            return []  # the circle is further on, and told there
    return []


def _leads_back(documents: Sequence[YamlDocument], circle: Sequence[int]) -> Problem:
    names = [_name(documents[number]) for number in circle]
    return _problem(
        documents[circle[0]],
        f"like leads back to {names[0]} itself" + (f": {' -> '.join(names)}" if len(names) > 2 else ""),
        "write the fields of one of them out, without like",
    )


def _name(document: YamlDocument) -> str:
    return f"{document.data.get('name')}@{document.data.get('version')}"


def _problem(document: YamlDocument, what: str, fix: str, why: str = "", path: FieldPath = ("like",)) -> Problem:
    return Problem(what, about=f"job/{_name(document)}", why=why, fix=fix, where=document.place(path))


# -- merging ---------------------------------------------------------------------------------------


def merged(own: YamlDocument, base: YamlDocument) -> tuple[YamlDocument, list[Problem]]:
    """The job that `own` stands for, and what is wrong with each null in it that takes nothing away, and the like."""
    known = {name: part for name, part in parts_of(base.node, base.data).items() if name not in OWN}
    given = parts_of(own.node, own.data)
    given.pop("like")
    if own.data.get("name") != base.data.get("name"):
        _leave_assign(known, given)
    found = put_over(known, given, own.node, own=OWN)
    return found.document, [_not_there(own, missing) for missing in found.absent]


def _leave_assign(known: dict[str, Part], given: Mapping[str, Part]) -> None:
    """The next version of a job is to serve where the one before does; another job's model has no place there, unless
    its own spec says so."""
    retrain = known.get("retrain")
    is_said = "retrain" in given and given["retrain"].is_map and "assign" in given["retrain"].fields
    if retrain and retrain.is_map and not is_said:
        fields = {name: part for name, part in retrain.fields.items() if name != "assign"}
        known["retrain"] = map_of(fields, retrain.key, retrain.node)


def _not_there(own: YamlDocument, missing: Absent) -> Problem:
    *above, name = missing.path
    inside = f" in {'.'.join(map(str, above))}" if above else ""
    told = ".".join(cut(str(step)) for step in missing.path)
    what = f"{told} is null, which takes a field away, but" if missing.is_null else f"{told} changes a field, but"
    fix = did_you_mean(str(name), missing.known) or "remove the line"
    return _problem(own, f"{what} {own.data['like']} has no {name}{inside}", fix, path=missing.path)


def told_here(problem: Problem, own: YamlDocument, joint: YamlDocument) -> Problem:
    """What is wrong only where both are put together, at a line of `own`: the other job is right as it is."""
    place = problem.where
    inherited = [name for name in PROGRAMS if joint.data.get(name) and name not in own.data]
    if place == own.place() and inherited:
        nulls = " and ".join(f"{name}: null" for name in inherited)
        return replace(problem, fix=f"take away what is inherited from {own.data['like']} with {nulls}")
    path = next((path for path, origin in joint.origins.items() if origin == place), "")
    if place is None or not path or place in own.origins.values():
        return problem
    *above, name = path.split(".")
    null = f"{name}: null"
    for step in reversed(above):
        null = f"{step}: {{{null}}}"
    why = f"{path} is inherited from {own.data['like']} ({place.file}:{place.line})"
    fix = f"take it away with {null}, or write another value"
    return replace(problem, where=own.place(("like",)), why=f"{problem.why}; {why}" if problem.why else why, fix=fix)
