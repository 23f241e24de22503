"""An environment put over the settings and the specs, as YAML, before they are checked: environments/NAME.yaml.

Called by `load`. What is wrong with a patch is told at its line; how it is merged stands in `merge`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sagespec.errors import Origin, Problem, SpecError, did_you_mean
from sagespec.load.documents import Read, clear, describe, read
from sagespec.load.files import holds, shown_name
from sagespec.load.merge import Absent, Merged, Part, parts_of, put_over, text_part
from sagespec.load.places import FieldPath, YamlDocument
from sagespec.load.words import about
from sagespec.spec.document import API_VERSION
from sagespec.spec.environment import ENVIRONMENTS, NAMED_LISTS, NOT_IN_THE_KEY, Environment
from sagespec.spec.project import ProjectSettings
from sagespec.spec.values import cut, is_name, quoted

_ENDINGS = (".yaml", ".yml")
_NEVER_PATCHED = ("apiVersion", "kind", "name", "version", "like")  # what a document is


def environment_files(root: Path) -> dict[str, Path]:
    """The files of the environments, by name, sorted."""
    folder = root / ENVIRONMENTS
    if not holds(folder.is_dir):
        return {}
    files = sorted(file for file in folder.iterdir() if file.suffix in _ENDINGS and not file.name.startswith("."))
    return {file.stem: file for file in files if holds(file.is_file)}


def chosen(root: Path, name: str) -> Chosen:
    """The environment of this name. SpecError when there is none, or with all that is wrong with it."""
    files = environment_files(root)
    if name not in files:
        known = f"the environments are {', '.join(files)}" if files else f"there is no file in {ENVIRONMENTS}/"
        start = f"apiVersion: {API_VERSION}, kind: Environment and name: {cut(name)}"
        fix = did_you_mean(name, files) or f"write {ENVIRONMENTS}/{cut(name)}.yaml, with {start}"
        what = f"there is no environment {cut(name) if is_name(name) else quoted(name)}"
        raise SpecError(what, why=known, fix=fix)
    return _checked(read(files[name], root), files[name], root)


def _checked(found: Read, file: Path, root: Path) -> Chosen:
    shown, problems, spec = shown_name(file, root), list(found.problems), None
    for document in found.documents[:1]:
        described, wrong = describe(document)
        problems += clear(wrong, found.problems)
        if isinstance(described, Environment):
            spec = described
        elif described:
            fix = "write kind: Environment, or move it to specs/"
            problems.append(Problem(f"{shown} holds no environment", fix=fix, where=document.place(("kind",))))
    if spec and spec.name != file.stem:
        fix = f"write name: {file.stem}, or rename the file to {spec.name}{file.suffix}"
        what = f"name is {spec.name}, but the file is {shown}"
        problems.append(Problem(what, fix=fix, where=found.documents[0].place(("name",))))
    for document in found.documents[1:]:
        fix = "move this document to a file of its own"
        problems.append(Problem(f"{shown} holds one document, the environment", fix=fix, where=document.place()))
    if not found.documents and not problems:
        fix = f"start it with apiVersion: {API_VERSION}, kind: Environment and name: {file.stem}"
        problems.append(Problem("holds no document", fix=fix, where=Origin(shown)))
    if problems or spec is None:
        raise SpecError(problems)
    made = Chosen(spec, found.documents[0], found.folder, shown)
    if problems := [*made.wrong_patches(), *made.wrong_models_from(environment_files(root))]:
        raise SpecError(problems)
    return made


@dataclass(frozen=True)
class Chosen:
    """The environment that was asked for. file: as origins name it."""

    spec: Environment
    document: YamlDocument
    folder: Path
    file: str

    # -- what it says of itself

    def wrong_patches(self) -> Iterator[Problem]:
        """Patches that say what a document is, or what decides a model that is trained elsewhere."""
        for address, patch in self.spec.patches.items():
            for name, value in patch.items():
                path = ("patches", address, name)
                if name in _NEVER_PATCHED:
                    yield self._wrong(path, f"{name} is what {address} is, and no patch changes it", "remove the line")
                elif address.startswith("job/") and self.spec.models_from and name not in NOT_IN_THE_KEY:
                    what = f"{name} decides what {address.removeprefix('job/')} is, which models_from takes as it is"
                    free = f"a patch of a job may change {', '.join(NOT_IN_THE_KEY)}"
                    yield self._wrong(path, what, "remove it, or change the spec of the job", why=free)
                elif name in NAMED_LISTS and isinstance(value, dict):
                    renamed = (item for item, said in value.items() if isinstance(said, dict) and "name" in said)
                    for item in renamed:
                        what = f"{name}.{item} is known by its name, and no patch changes it"
                        yield self._wrong((*path, item, "name"), what, "remove the line")

    def wrong_models_from(self, files: Collection[str]) -> Iterator[Problem]:
        name = self.spec.models_from.environment if self.spec.models_from else None
        if name is not None and (name not in files or name == self.spec.name):
            what = f"models_from is {name}, which is {'this' if name == self.spec.name else 'no'} environment"
            others = [other for other in files if other != self.spec.name]
            fix = did_you_mean(name, others) or f"the others are {', '.join(others) or 'none'}"
            yield self._wrong(("models_from",), what, fix)

    def _wrong(self, path: FieldPath, what: str, fix: str, why: str = "", *, of_key: bool = True) -> Problem:
        place = self.document.place(path, of_key=of_key)
        return Problem(what, about=f"environment {self.spec.name}", why=why, fix=fix, where=place)

    # -- over the settings

    def over_settings(self, base: YamlDocument) -> tuple[Merged, list[Problem]]:
        """sagespec.yaml as it is in this environment."""
        given = self._part(("project",))
        over = {name: part for name, part in given.items() if name not in ("apiVersion", "kind")}
        problems = [
            self._wrong(("project", name), f"project.{name} cannot change", "remove the line")
            for name in ("apiVersion", "kind")
            if name in given
        ]
        if self.spec.secrets:
            over["secrets"] = self._whole(("secrets",))
        if "name" not in over and isinstance(base.data.get("name"), str):
            there = self._whole(("name",))
            key = parts_of(base.node, base.data)["name"].key
            over["name"] = text_part(f"{base.data['name']}-{self.spec.name}", there.node, key=key)
        found = put_over(parts_of(base.node, base.data), over, base.node)
        problems += [self._not_there(missing, ("project",), "sagespec.yaml") for missing in found.absent]
        return found, problems

    def wrong_project(self, base: ProjectSettings, here: object, root: Path) -> Iterator[Problem]:
        """Where this environment is the same project as another one, and yet not quite."""
        if not isinstance(here, ProjectSettings):
            return
        if here.name == base.name and here.store != base.store:
            what = f"the project is {here.name} as in sagespec.yaml, but its store is another"
            why = "what runs carries the name of its project: each would take the other's containers for its own"
            fix = f"remove project.name: it is then {base.name}-{self.spec.name}"
            yield self._wrong(("project", "store"), what, fix, why)
        for other, file in environment_files(root).items():
            if other != self.spec.name and here.name == _name_in(file, other, base, root):
                what = f"the project is {here.name}, as in environment {other}"
                why = "they would undo each other's work"
                path = ("project", "name") if "name" in self.spec.project else ("name",)
                yield self._wrong(path, what, "give each environment a project name of its own", why)

    # -- over the specs

    def leaves_out(self, address: str) -> bool:
        return address in self.spec.leave_out

    def patches(self, document: YamlDocument) -> bool:
        return isinstance(document.data, dict) and _address(document) in self.spec.patches

    def over_spec(self, base: YamlDocument) -> tuple[Merged, list[Problem]]:
        """A document as it is in this environment, which patches it."""
        path = ("patches", _address(base))
        found = put_over(parts_of(base.node, base.data), self._part(path), base.node)
        return found, [self._not_there(missing, path, path[1]) for missing in found.absent]

    def told_there(self, problem: Problem, document: YamlDocument) -> Problem:
        """What is wrong only since `document` is patched, at the patch: the spec is right as it is."""
        if problem.where is None or problem.where.file == self.file:
            return problem
        why = f"it is right without what this environment changes; see {problem.where}"
        place = self.document.place(("patches", _address(document)), of_key=True)
        return replace(problem, where=place, why=f"{problem.why}; {why}" if problem.why else why)

    def of_nothing(self, addresses: Collection[str]) -> list[Problem]:
        """Patches, and specs to leave out, that no spec of these addresses is meant by."""
        said: list[tuple[FieldPath, str]] = [(("patches", address), address) for address in self.spec.patches]
        said += [(("leave_out", number), address) for number, address in enumerate(self.spec.leave_out)]
        return [
            self._wrong(path, f"no spec is {address}", did_you_mean(address, addresses) or _known(address, addresses))
            for path, address in said
            if address not in addresses
        ]

    def _not_there(self, missing: Absent, above: FieldPath, whose: str) -> Problem:
        *inside, name = missing.path
        there = f"{whose} has no {cut(str(name))}" + (f" in {'.'.join(map(str, inside))}" if inside else "")
        what = f"{there} that null could take away" if missing.is_null else there
        fix = did_you_mean(str(name), missing.known) or _names(missing.known)
        return self._wrong((*above, *missing.path), what, fix)

    def _whole(self, path: FieldPath) -> Part:
        key, node, data = None, self.document.node, self.document.data
        for step in path:
            part = parts_of(node, data)[str(step)]
            key, node, data = part.key, part.node, part.data
        return Part(key, node, data)

    def _part(self, path: FieldPath) -> dict[str, Part]:
        """The fields of a map of this document; none of one that it lacks."""
        data: Any = self.document.data
        for step in path:
            data = data.get(step)
            if not isinstance(data, dict):
                return {}
        return self._whole(path).fields


def _name_in(file: Path, environment: str, base: ProjectSettings, root: Path) -> str:
    """The project's name in another environment, whatever else is wrong there."""
    documents = read(file, root).documents
    data = documents[0].data if documents and isinstance(documents[0].data, dict) else {}
    settings = data.get("project")
    name = settings.get("name") if isinstance(settings, dict) else None
    return name if isinstance(name, str) else f"{base.name}-{environment}"


def _address(document: YamlDocument) -> str:
    return about(document.data)


def _names(known: Collection[str]) -> str:
    return f"there is {', '.join(map(cut, known))}" if known else "remove the line"


def _known(address: str, addresses: Collection[str]) -> str:
    kind = address.partition("/")[0]
    return _names(sorted(other for other in addresses if other.startswith(f"{kind}/"))[:10])
