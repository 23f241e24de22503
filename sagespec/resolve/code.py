"""The script of a job: the files that are its code now, and their fingerprint.

Called by `jobs`. What an earlier release counted in the same files still counts where a job was begun with it, so that
an upgrade changes no key.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sagespec.errors import Problem, WorldError
from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.facts import Facts
from sagespec.resolve.programs import portable
from sagespec.sources.code import counted_like, is_left_out
from sagespec.sources.ignored import IGNORE_FILE
from sagespec.spec.job import TrainingJob
from sagespec.state.desired import DesiredCode
from sagespec.state.listing import Counted, Listing, kept


def code_of(spec: TrainingJob, item: LoadedSpec, facts: Facts) -> tuple[DesiredCode | None, Listing]:
    """The job's script, and the files beside it. Where it is gone, what a trained version was made with is taken for
    granted."""
    if not spec.entry_point:
        return None, {}
    trained = facts.trained(item.address)
    field = "source_dir" if spec.source_dir else "entry_point"
    source = portable(spec.source_dir or spec.entry_point, field, item, facts.root)
    entry_point = spec.entry_point if spec.source_dir else spec.entry_point.rpartition("/")[2]
    before = str(trained.key_fields.get("code", "")) if trained else ""
    if source.startswith("s3://"):
        try:
            return DesiredCode(entry_point, source, facts.fingerprint(source)), {}
        except WorldError:
            if trained is None:
                raise
            return DesiredCode(entry_point, source, before), {}
    path = facts.root / source
    if trained and not path.exists():
        return DesiredCode(entry_point, source, before), trained.files.get("code", {})
    found = Counted("missing")
    if path.exists():
        found = facts.counted(lambda: counted_like(path, partial(_begun_with, item, facts)), path, item, field)
    facts.problems.extend(_misplaced(spec, item, path, entry_point))
    return DesiredCode(entry_point, source, found.fingerprint), kept(found.files)


def _begun_with(item: LoadedSpec, facts: Facts) -> str:
    """The fingerprint of the code that the job was trained or begun with; '' for none."""
    manifest = facts.manifests.get(item.address)
    key_fields = manifest.key_fields if manifest and facts.trained(item.address) else facts.started(item.address)
    return str((key_fields or (manifest.key_fields if manifest else {})).get("code", ""))


def _misplaced(spec: TrainingJob, item: LoadedSpec, path: Path, entry_point: str) -> Iterator[Problem]:
    """Why there is no script where the spec says it is. path: of its source."""
    if spec.source_dir and path.is_file() and not path.name.endswith(".tar.gz"):
        yield Problem(
            what=f"source_dir: {spec.source_dir} is a file but not a .tar.gz",
            about=str(item.address),
            fix="name the folder of the script, or a sourcedir.tar.gz",
            where=item.origin_of("source_dir"),
        )
    if not path.is_dir():
        return
    if not (path / entry_point).is_file():
        yield Problem(
            what=f"entry_point: there is no {entry_point} in {spec.source_dir}",
            about=str(item.address),
            fix="name a script inside source_dir",
            where=item.origin_of("entry_point"),
        )
    elif is_left_out(path, entry_point):
        yield Problem(
            what=f"entry_point: {entry_point} is left out of {spec.source_dir}",
            about=str(item.address),
            why=f"{IGNORE_FILE} names it, or it is in a folder of tools",
            fix=f"take the line out of {IGNORE_FILE}, or add one to it: !{entry_point}",
            where=item.origin_of("entry_point"),
        )
