"""What the project at hand can do, for the translation of requests."""

from __future__ import annotations

from typing import Any

from sagespec.api.sagemaker.translate.hosted import Engine
from sagespec.api.sagemaker.translate.jobs import Setting
from sagespec.api.service import Service
from sagespec.parts import Parts
from sagespec.spec.job import Resources
from sagespec.spec.values import written_size


def engine_of(service: Service) -> Engine:
    return engine_for(service.project.parts)


def engine_for(parts: Parts) -> Engine:
    builtins = frozenset(name for name, image in parts.images.items() if image.kind in ("algorithm", "framework"))
    return Engine(builtins, parts.runtime.has_image, takes_images=parts.runtime.runs_images)


def setting_of(service: Service) -> Setting:
    return setting_for(service.project.parts)


def setting_for(parts: Parts) -> Setting:
    resources = {name: _written(given) for name, given in parts.settings.api.instance_types.items()}
    return Setting(engine_for(parts), resources, isolates=parts.runtime.runs_images)


def _written(given: Resources) -> dict[str, Any]:
    """As a spec says them."""
    found = given.model_dump(exclude_unset=True, exclude_none=True)
    if "memory" in found:
        found["memory"] = written_size(found["memory"])
    return found
