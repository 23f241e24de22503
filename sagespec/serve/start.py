"""Starts one serving container with its own copy of the model.

Called by `apply.effects` for a StartInstance: `fetch` first, which takes as long as the model is large and leaves it
with the engine, and then `start_instance`, which takes a moment however large it is.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

from sagespec.contract import SERVE_GRACE_SECONDS, serving_environment
from sagespec.errors import Cancelled, WorldError
from sagespec.events import Caller, Event, EventKind
from sagespec.plan import StartInstance
from sagespec.records.archive import unpack
from sagespec.records.members import MAX_MODEL_BYTES
from sagespec.runtimes.protocol import Runtime, Tell, Volumes
from sagespec.spec.endpoint import stored_archive
from sagespec.state.desired import ArchiveModel, DesiredModel
from sagespec.state.hashes import UNTRAINED
from sagespec.state.launches import Launch, Mount
from sagespec.state.manifest import Manifest
from sagespec.state.programs import Builtin, Image, Program
from sagespec.state.sweeping import restoring
from sagespec.stores.open import open_store
from sagespec.world import World

REQUIREMENTS = ("code/requirements.txt", "requirements.txt")  # the second is of an archive that MLflow wrote


@dataclass(frozen=True)
class Fetched:
    """What an instance starts from: its program, ready to run, and the volume that has its model.

    packages: another, where the instances of its endpoint keep what requirements.txt asks for; '' if it has none.
    """

    program: Program
    volume: str
    volumes: Volumes
    packages: str = ""

    def discard(self) -> None:
        """Unless an instance has it now."""
        self.volumes.remove([self.volume])


def fetch(action: StartInstance, world: World, caller: Caller) -> Fetched:
    """The program and the model, where the engine is. Touches no container. Cancelled when the caller cancels."""

    def tell(text: str) -> None:
        caller.report(Event(EventKind.PROGRESS, str(action.about), text, action=action.verb))

    manifest = _manifest_of(action, world)
    program = _trained_with(action.variant.program, manifest)
    digest = _prepare(action, program, world.runtime, tell)
    if digest and isinstance(program, Image) and program.digest and digest != program.digest:
        text = f"{program} is now {digest}; {program.digest}, which trained the model, is no longer available"
        caller.report(Event(EventKind.NOTE, str(action.about), text, action=action.verb))
    volume = f"sagespec_{world.records.project_name}_model_{token_hex(8)}"
    with tempfile.TemporaryDirectory(dir=world.scratch, ignore_cleanup_errors=True) as folder:
        archive, model = Path(folder, "model.tar.gz"), Path(folder, "model")
        fetch_model(action, world, manifest, archive, caller)
        model.mkdir()
        name = _archive_name(action.variant.model, world)
        unpack(archive, model, max_bytes=MAX_MODEL_BYTES, name_for_people=name)
        archive.unlink()
        has_requirements = isinstance(program, Builtin) and any((model / name).is_file() for name in REQUIREMENTS)
        world.runtime.volumes.fill(volume, model)
    is_kept = has_requirements or action.variant.accelerate  # the model's fast form is kept there, too
    packages = f"sagespec_{world.records.project_name}_packages_{action.about.name}" if is_kept else ""
    fetched = Fetched(program, volume, world.runtime.volumes, packages)
    try:
        fetched.volumes.send(_launch(action, fetched), tell)
    except BaseException:
        fetched.discard()
        raise
    return fetched


def _prepare(action: StartInstance, program: Program, runtime: Runtime, tell: Tell) -> str:
    """The digest of what is made ready; '' where it is started from the image that its variant runs."""
    if not action.image:
        return runtime.prepare(program, tell)
    if not runtime.has_image(action.image):
        raise WorldError(f"{action.image} was removed from the engine just now", fix="run sagespec apply again")
    return ""


def start_instance(action: StartInstance, world: World, fetched: Fetched) -> None:
    """Start one serving container with its own copy of the model under /opt/ml/model.

    One that was created but not started is known to be unfinished, and is made again.
    """
    try:
        if not fetched.volumes.has(fetched.volume):  # a container would get an empty one
            raise WorldError("its model was removed from the engine before it could start", fix="run sagespec apply")
        world.runtime.remove(action.container)
        world.leases.unmark_leaving(action.container)
        world.runtime.create([_launch(action, fetched)])
        world.runtime.start(action.container)
    finally:
        fetched.discard()


def _launch(action: StartInstance, fetched: Fetched) -> Launch:
    variant = action.variant
    return Launch(
        name=action.container,
        address=action.about,
        hash=variant.hash,
        program=fetched.program,
        command="serve",
        environment=serving_environment(variant.environment, variant.cpus, accelerate=variant.accelerate),
        cpus=variant.cpus,
        memory=variant.memory,
        gpus=variant.gpus,
        keep_running=True,
        mounts=(
            Mount("model", volume=fetched.volume),
            *([Mount("packages", volume=fetched.packages)] if fetched.packages else []),
        ),
        image=action.image,
        model=variant.model.text,
        grace_seconds=SERVE_GRACE_SECONDS,
    )


def _manifest_of(action: StartInstance, world: World) -> Manifest | None:
    job = action.variant.job
    return world.records.manifests([job]).get(job) if job else None


def _trained_with(program: Program, manifest: Manifest | None) -> Program:
    """The program with the digest of the image that trained the model, where it is an image of the user's: a tag may
    have moved since, and a model is served by the image it was trained with."""
    if not isinstance(program, Image):
        return program
    return replace(program, digest=manifest.images.get(str(program), "") if manifest else "")


def _archive_name(model: DesiredModel, world: World) -> str:
    """As the user knows it: what lies here is a copy."""
    if isinstance(model, ArchiveModel):
        return model.uri
    return f"{world.records.store.uri}/{world.records.job_key(model.job, 'model.tar.gz')}"


def fetch_model(action: StartInstance, world: World, manifest: Manifest | None, archive: Path, caller: Caller) -> None:
    """The variant's model.tar.gz to `archive`, checked against the manifest's checksum where there is one."""
    model = action.variant.model

    def count(_bytes: int) -> None:
        if caller.cancelled.is_set():
            raise Cancelled("its model is not wanted any more")

    if isinstance(model, ArchiveModel):
        if stored := stored_archive(model.uri):
            world.records.store.download(world.records.archive_key(stored), archive, progress=count)
            return
        folder, _, name = model.uri.rpartition("/")
        source = open_store(f"{folder or '.'}/", root=world.root, create=False)
        source.download(name, archive, progress=count)
        return
    if manifest is None or "model" not in manifest.artifacts:
        raise WorldError(f"{model.job} has no model in {world.records.store.uri}", fix=f"train {model.job} again")
    artifact = manifest.artifacts["model"]
    if manifest.swept_at:
        raise WorldError(f"the model of {model.text} was swept by gc", fix=restoring(model.job, world.environment))
    if model.sha256 not in ("", UNTRAINED, artifact.sha256):
        raise WorldError(
            f"{model.job} was trained again: {model.sha256[:12]} is wanted, and the store has {artifact.sha256[:12]}",
            why="a revision serves exactly the model that it was made with",
            fix=f"`sagespec apply` serves what the store has, to any endpoint whose spec names {model.text}",
        )
    world.records.store.download(
        world.records.job_key(model.job, artifact.key), archive, sha256=artifact.sha256, progress=count
    )
