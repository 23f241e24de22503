"""Removes images that sagespec has built and that nothing needs any more.

Of built-ins those of other releases than this one: they are built again where one is needed. Of folders of your own
those that only swept versions were trained with, as this store's records tell: images of other stores' projects are
nobody's business here, and an image whose folder has changed can never be built again. The engine itself refuses to
remove what a container has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sagespec.display import Displayed
from sagespec.parts import Parts
from sagespec.records.records import Records
from sagespec.resolve.programs import program_of
from sagespec.runtimes.protocol import ImageInfo
from sagespec.state.manifest import Manifest
from sagespec.state.programs import Build
from sagespec.state.sweeping import YOUNG
from sagespec.verbs.needed import every_environment


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
    now = {image.reference for image in parts.runtime.images()}
    names = {image.name for image in parts.runtime.images()}
    return tuple(
        image
        for image in built
        if image.created_at < old.timestamp()
        and ((image.name in names and image.reference not in now) or (not image.name and image.reference in once))
    )


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
