"""Which program a spec means: a built-in, an image or a folder to build.

Called by `jobs` and `endpoints`; also which job a variant's model names, and how a path is held on every machine.
"""

from __future__ import annotations

from pathlib import Path

from sagespec.errors import Problem, did_you_mean
from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.facts import Facts
from sagespec.sources.build import BuildFolder
from sagespec.spec.endpoint import named_job
from sagespec.spec.job import BuildSpec
from sagespec.state.addresses import Address, job_address
from sagespec.state.listing import Counted, Listing, kept
from sagespec.state.manifest import Manifest
from sagespec.state.programs import Build, Builtin, Image, Program


def model_address(text: str) -> Address | None:
    """The job a variant's `model:` names (churn@3), or None when it is an artifact's place.

    >>> str(model_address("churn@3"))
    'job/churn@3'
    """
    named = named_job(text)
    return job_address(*named) if named else None


def portable(source: str, field: str, item: LoadedSpec, root: Path) -> str:
    """A source as keys hold it: s3:// as it is, a path under the root relative to the root, another absolute."""
    path = item.local_path(source, field)
    if path is None:
        return source
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def named_program(
    builtin: str | None,
    image: str | None,
    field: str,
    item: LoadedSpec,
    facts: Facts,
) -> Program:
    images = facts.images
    if field.endswith("framework"):
        known = [name for name, description in images.items() if description.runs_scripts]
        offered = known
    else:
        known = [name for name, description in images.items() if description.kind in ("algorithm", "test")]
        offered = [name for name in known if images[name].kind == "algorithm"]
    if builtin and builtin not in known:
        word = "framework" if field.endswith("framework") else "built-in"
        facts.problems.append(
            Problem(
                what=f"there is no {word} named {builtin!r}",
                about=field,
                why=f"the {word}s are {', '.join(offered)}",
                fix=did_you_mean(builtin, known) or "name one of them, or give a container with image:",
                where=item.origin_of(field),
            )
        )
    return Image(image) if image else Builtin(builtin or "")


def build_program(build: BuildSpec, item: LoadedSpec, facts: Facts) -> tuple[Build, Listing]:
    """A container built from a folder, and the files in it; where the folder is gone, the one a trained version was
    made with."""
    folder, trained = portable(build.context, "build.context", item, facts.root), facts.trained(item.address)
    path = facts.root / folder
    if trained and not path.is_dir():
        found = Counted(str(trained.key_fields.get("build", "")), trained.files.get("build", {}))
    else:
        found = facts.counted(BuildFolder(path, build.dockerfile, build.args).counted, path, item, "build")
    return Build(folder, found.fingerprint, build.dockerfile, tuple(sorted(build.args.items()))), kept(found.files)


def program_of(manifest: Manifest) -> Program:
    spec, key_fields = manifest.spec, manifest.key_fields
    if build := spec.get("build"):
        args = tuple(sorted(build["args"].items()))
        return Build(build["context"], key_fields.get("build", ""), build["dockerfile"], args)
    if image := spec.get("image"):
        return Image(image)
    return Builtin(spec.get("algorithm") or spec.get("framework") or "")
