"""Removes images that sagespec has built and that nothing needs any more.

Of built-ins those of other releases than this one: they are built again where one is needed. Of folders of your own
those that only swept versions were trained with, as this store's records tell: images of other stores' projects are
nobody's business here, and an image whose folder has changed can never be built again. Of images with a model in them,
which a Swarm's nodes start from, those that no endpoint serves, or could still go back to. The engine itself refuses to
remove what a container has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sagespec.display import Displayed
from sagespec.parts import Parts
from sagespec.records.leases import Leases
from sagespec.records.records import Records
from sagespec.resolve.programs import program_of
from sagespec.runtimes.protocol import ImageInfo
from sagespec.state.manifest import Manifest
from sagespec.state.programs import Build
from sagespec.state.revision import live_revision
from sagespec.state.sweeping import YOUNG
from sagespec.verbs.needed import every_environment
from sagespec.verbs.rollback import rollback_targets


@dataclass(frozen=True, repr=False)
class ImagesCollected(Displayed):
    """unneeded: what nothing needs. removed: those of them that are gone now; None where nothing was removed yet."""

    unneeded: tuple[ImageInfo, ...]
    removed: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "unneeded": [image.as_json() for image in self.unneeded],
            "removed": None if self.removed is None else list(self.removed),
        }


def collect_images(parts: Parts, *, is_sweep: bool, older_than: timedelta = YOUNG) -> ImagesCollected:
    """older_than: what was built since is kept, as another release beside this one may just have built it."""
    found = unneeded(parts, datetime.now(UTC) - older_than)
    if not is_sweep:
        return ImagesCollected(found)
    return ImagesCollected(found, tuple(one.reference for one in found if parts.runtime.remove_image(one.reference)))


def unneeded(parts: Parts, old: datetime) -> tuple[ImageInfo, ...]:
    built = parts.runtime.built_images()
    if not built:
        return ()
    for _, loaded in every_environment(parts):  # all of them can be read: what they name is not swept
        assert loaded.project
    records = {manifest_key(one): one for one in _manifests(parts)}
    used = {_reference(parts, one) for one in records.values() if not one.swept_at} - {""}
    once = {_reference(parts, one) for one in records.values() if one.swept_at} - used - {""}
    swept = {(one.project, f"{one.name}@{one.version}") for one in records.values() if one.swept_at}
    served = _served(parts, swept) if any(image.model for image in built) else {}
    now = {image.reference for image in parts.runtime.images()}
    names = {image.name for image in parts.runtime.images()}
    return tuple(
        image
        for image in built
        if image.created_at < old.timestamp()
        and (
            (image.name in names and image.reference not in now)
            or (not image.name and image.reference in once)
            or (image.project in served and image.model not in served[image.project])
        )
    )


def _served(parts: Parts, swept: Collection[tuple[str, str]]) -> dict[str, set[str]]:
    """The models that endpoints serve, are about to, or can go back to, by project of the store. swept: by project and
    name, what nobody can go back to."""
    found = {}
    for project in sorted({entry.key.partition("/")[0] for entry in parts.store.entries()}):
        records = Records(parts.store, project)
        at_work = Leases(parts.store, project).look()
        asked = [rollback.asked for rollback in at_work.rollbacks.values()]
        asked += [rollout.asked for rollout in at_work.rollouts.values()]
        for name in records.endpoint_names():
            history = records.history(name)
            if live := live_revision(history):
                asked += [one.asked for one in (live, *rollback_targets(history, live))]
        models = {variant.model.text for record in asked for variant in record.variants}
        found[project] = {model for model in models if (project, model) not in swept}
    return found


def manifest_key(manifest: Manifest) -> tuple[str, str, int]:
    return manifest.project, manifest.name, manifest.version


def _manifests(parts: Parts) -> Iterator[Manifest]:
    """Of every project in the store."""
    keys = (entry.key for entry in parts.store.entries() if entry.key.endswith("/manifest.json"))
    for project in sorted({key.partition("/")[0] for key in keys}):
        records = Records(parts.store, project)
        yield from records.manifests(records.all_jobs()).values()


def _reference(parts: Parts, manifest: Manifest) -> str:
    program = program_of(manifest)
    return parts.runtime.reference_of(program) if isinstance(program, Build) else ""
