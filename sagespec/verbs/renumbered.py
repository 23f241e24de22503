"""What names the spec of a job by its version, and has to follow it when that is raised: `like` of other jobs, and what
environments say of it. What names a trained model stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sagespec.documents.edit import Edit, read_documents
from sagespec.errors import SpecError
from sagespec.load.environments import environment_files
from sagespec.load.files import find_files, read_text, shown_name
from sagespec.load.load import specs_of
from sagespec.load.places import YamlDocument
from sagespec.parts import Parts
from sagespec.state.addresses import Address
from sagespec.verbs.written import Beside


def with_new_number(parts: Parts, old: Address, new: Address) -> list[Beside]:
    """The changes that go with the new version of a spec, in all files of all environments."""
    return [*_likes(parts, old, new), *_of_environments(parts, old, new)]


def likes(parts: Parts, job: Address) -> Iterator[tuple[str, int, YamlDocument]]:
    """The documents that are like this job: file, number in it, and the document."""
    for path in _spec_files(parts):
        file, documents = _documents(path, parts.root)
        for number, document in enumerate(documents):
            data = document.data if isinstance(document.data, dict) else {}
            if data.get("kind") == "TrainingJob" and data.get("like") == f"{job.name}@{job.version}":
                yield file, number, document


def _likes(parts: Parts, old: Address, new: Address) -> Iterator[Beside]:
    for file, number, document in likes(parts, old):
        about = f"job/{document.data.get('name')}@{document.data.get('version')}"
        edit = Edit(("like",), f"{new.name}@{new.version}")
        yield Beside(file, number, edit, f"like of {about}", document.data["like"])


def _of_environments(parts: Parts, old: Address, new: Address) -> Iterator[Beside]:
    for name, path in environment_files(parts.root).items():
        file, documents = _documents(path, parts.root)
        data = documents[0].data if documents and isinstance(documents[0].data, dict) else {}
        patches, left_out = data.get("patches"), data.get("leave_out")
        if isinstance(patches, dict) and str(old) in patches:
            edit = Edit(("patches", str(old)), str(new), of_key=True)
            yield Beside(file, 0, edit, f"patches of environment {name}", str(old))
        for index, one in enumerate(left_out if isinstance(left_out, list) else ()):
            if one == str(old):
                edit = Edit(("leave_out", index), str(new))
                yield Beside(file, 0, edit, f"leave_out of environment {name}", one)


def _spec_files(parts: Parts) -> list[Path]:
    """Those of all environments; given ones alone where some are given."""
    paths = list(parts.given_specs)
    for name in ("", *environment_files(parts.root)) if not paths else ():
        with suppress(SpecError):  # said when that environment is loaded
            paths += specs_of(parts.root, name)
    found, _ = find_files(list(dict.fromkeys(paths)), parts.root)
    return list(dict.fromkeys(found))


def _documents(path: Path, root: Path) -> tuple[str, list[YamlDocument]]:
    file = shown_name(path, root)
    with suppress(SpecError):
        return file, read_documents(read_text(path, file), file)
    return file, []
