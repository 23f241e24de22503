"""Lists and builds the images of the built-in algorithms."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from sagespec.errors import SpecError, did_you_mean
from sagespec.events import Event, EventKind, Report
from sagespec.parts import Parts
from sagespec.runtimes.protocol import ImageInfo
from sagespec.state.programs import Builtin


def build_images(parts: Parts, names: Iterable[str], report: Report) -> tuple[ImageInfo, ...]:
    wanted = tuple(names) or tuple(parts.images)
    unknown = [name for name in wanted if name not in parts.images]
    if unknown:
        raise SpecError(f"there is no built-in image named {unknown[0]!r}", fix=did_you_mean(unknown[0], parts.images))
    for name in wanted:
        parts.runtime.prepare(Builtin(name), partial(_tell, report, name))
    return tuple(info for info in parts.runtime.images() if info.name in wanted)


def _tell(report: Report, name: str, text: str) -> None:
    report(Event(EventKind.PROGRESS, name, text))
