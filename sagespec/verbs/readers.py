"""Who reads the requests of an endpoint, by what is live: whether the columns' names are known there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sagespec.parts import Parts
from sagespec.state.addresses import Address
from sagespec.state.programs import Builtin
from sagespec.state.revision import VariantRecord, live_revision
from sagespec.verbs.bodies import Reader


def readers(parts: Parts, endpoint_name: str) -> Mapping[str, Reader]:
    """By variant; empty where nothing is live."""
    live = live_revision(parts.records.history(endpoint_name))
    return {variant.name: _reads(parts, variant) for variant in live.asked.variants} if live else {}


def reader_of(readers: Mapping[str, Reader], variant: str | None = None) -> Reader:
    """Of this variant, or what suits all that a request may reach. OWN for an endpoint that nothing is known of."""
    of_variant = readers.get(variant) if variant else None
    return of_variant or common(readers.values())


def common(readers: Iterable[Reader]) -> Reader:
    """How to write for whichever of these reads it.

    >>> common([Reader.NAMES, Reader.SCRIPT])
    <Reader.SCRIPT: 'script'>
    >>> common([Reader.NAMES, Reader.NUMBERS])
    <Reader.NUMBERS: 'numbers'>
    """
    kinds = set(readers)
    if len(kinds) < 2:
        return next(iter(kinds), Reader.OWN)
    return Reader.SCRIPT if kinds == {Reader.NAMES, Reader.SCRIPT} else Reader.NUMBERS


def _reads(parts: Parts, variant: VariantRecord) -> Reader:
    program = variant.program
    image = parts.images.get(program.name) if isinstance(program, Builtin) else None
    if image is None:
        return Reader.OWN
    job = Address.parse(variant.model.job) if variant.model.job else None
    manifest = parts.records.manifests([job]).get(job) if job else None
    if image.kind != "algorithm" or (manifest and manifest.spec.get("framework")):  # a script in an algorithm's image
        return Reader.SCRIPT
    has_names = manifest is not None and any(field.startswith("columns.") for field in manifest.key_fields)
    return Reader.NAMES if has_names else Reader.NUMBERS
