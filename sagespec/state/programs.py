"""What runs in a container: a built-in, an image, or a folder from which the engine builds one.

`resolve` finds out which a spec means, revisions keep it, and a runtime makes a container of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Builtin:
    """A folder of images/."""

    name: str

    def __str__(self) -> str:
        return self.name

    def as_json(self) -> dict[str, Any]:
        return {"builtin": self.name, "image": ""}


@dataclass(frozen=True)
class Image:
    """A container image of the user's.

    digest: what the engine knew it by when a version was trained with it, for whoever serves that version; it decides
    nothing, so it is in no hash.
    """

    reference: str
    digest: str = ""

    def __str__(self) -> str:
        return self.reference

    def as_json(self) -> dict[str, Any]:
        digest = {"digest": self.digest} if self.digest else {}
        return {"builtin": "", "image": self.reference} | digest


@dataclass(frozen=True)
class Build:
    """A folder of the user's, relative to the project's root, or absolute, from which the engine builds an image.

    context: the hash of what is in it, of the Dockerfile's name and of the arguments.
    """

    folder: str
    context: str
    dockerfile: str
    args: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.folder}@{self.context}"

    def as_json(self) -> dict[str, Any]:
        more = {"build": self.folder, "context": self.context, "dockerfile": self.dockerfile, "args": dict(self.args)}
        return {"builtin": "", "image": ""} | {name: value for name, value in more.items() if value}


Program = Builtin | Image | Build
GATEWAY_PROGRAM = Builtin("gateway")
NOTEBOOK_PROGRAM = Builtin("notebook")


def program_from_json(value: Mapping[str, Any]) -> Program:
    """The program as revisions keep it: {builtin, image}, one of them '', or both and {build, context, …}."""
    if folder := value.get("build"):
        args = tuple(sorted(dict(value.get("args", ())).items()))
        return Build(folder, value.get("context", ""), value.get("dockerfile", ""), args)
    if image := value.get("image"):
        return Image(image, value.get("digest", ""))
    return Builtin(value.get("builtin", ""))
