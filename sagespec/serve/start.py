"""Starts one serving container with its own copy of the model.

Called by `apply.effects` for a StartInstance.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from sagespec.contract import serving_environment
from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.plan import StartInstance
from sagespec.records.archive import unpack
from sagespec.state.desired import ArchiveModel
from sagespec.state.launches import Launch
from sagespec.state.manifest import Manifest
from sagespec.state.programs import Image, Program
from sagespec.stores.open import open_store
from sagespec.world import World

MAX_MODEL_BYTES = 64 * 2**30  # an unpacked model larger than this is treated as a zip bomb


def start_instance(action: StartInstance, world: World, report: Report) -> None:
    """Start one serving container with its own copy of the model under /opt/ml/model.

    The order matters: a container is started only when its model is in it whole, so one that was
    created but not started is known to be unfinished, and is made again.
    """
    variant = action.variant

    def tell(text: str) -> None:
        report(Event(EventKind.PROGRESS, str(action.about), text, action=action.verb))

    manifest = _manifest_of(action, world)
    program = _trained_with(variant.program, manifest)
    digest = world.runtime.prepare(program, tell)
    if isinstance(program, Image) and program.digest and digest != program.digest:
        text = f"{program} is now {digest}; {program.digest}, which trained the model, is no longer available"
        report(Event(EventKind.NOTE, str(action.about), text, action=action.verb))
    world.runtime.remove(action.container)
    launch = Launch(
        name=action.container,
        address=action.about,
        hash=variant.hash,
        program=program,
        command="serve",
        environment=serving_environment(variant.environment, variant.cpus),
        cpus=variant.cpus,
        memory=variant.memory,
        gpus=variant.gpus,
        keep_running=True,
    )
    world.runtime.create([launch])
    with tempfile.TemporaryDirectory(dir=world.scratch) as folder:
        archive, model = Path(folder, "model.tar.gz"), Path(folder, "model")
        fetch_model(action, world, manifest, archive)
        model.mkdir()
        unpack(archive, model, max_bytes=MAX_MODEL_BYTES)
        world.runtime.put(action.container, "model", model)
    world.runtime.start(action.container)


def _manifest_of(action: StartInstance, world: World) -> Manifest | None:
    job = action.variant.job
    return world.records.manifests([job]).get(job) if job else None


def _trained_with(program: Program, manifest: Manifest | None) -> Program:
    """The program with the digest of the image that trained the model, where it is an image of the user's: a tag may
    have moved since, and a model is served by the image it was trained with."""
    if not isinstance(program, Image):
        return program
    return replace(program, digest=manifest.images.get(str(program), "") if manifest else "")


def fetch_model(action: StartInstance, world: World, manifest: Manifest | None, archive: Path) -> None:
    """The variant's model.tar.gz to `archive`, checked against the manifest's checksum where there is one."""
    model = action.variant.model
    if isinstance(model, ArchiveModel):
        folder, _, name = model.uri.rpartition("/")
        source = open_store(folder or ".", root=world.root, create=False)
        source.download(name, archive)
        return
    if manifest is None or "model" not in manifest.artifacts:
        raise WorldError(f"{model.job} has no model in {world.records.store.uri}", fix=f"train {model.job} again")
    artifact = manifest.artifacts["model"]
    world.records.store.download(world.records.job_key(model.job, artifact.key), archive, sha256=artifact.sha256)
