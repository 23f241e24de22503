"""What runs in a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Program:
    """What runs in a container: a folder of images/ (`builtin`), a container image of the user's (`image`), or a
    folder from which the engine builds one (`build`).

    build: the folder as sources are held: relative to the project's root, or absolute. context: the hash of what is
    in it, of the Dockerfile's name and of the arguments. digest: what the engine knew `image` by when a version was
    trained with it, for whoever serves that version; it decides nothing, so it is in no hash.
    """

    builtin: str = ""
    image: str = ""
    build: str = ""
    context: str = ""
    dockerfile: str = ""
    args: tuple[tuple[str, str], ...] = ()
    digest: str = ""

    def __str__(self) -> str:
        return self.builtin or self.image or f"{self.build}@{self.context}"

    @property
    def is_users_own(self) -> bool:
        """Whether it was not made by us: no built-in."""
        return not self.builtin

    def as_json(self) -> dict[str, Any]:
        """Plain data, as revisions keep it; what is not set is left out, but for the two oldest fields."""
        more = {"build": self.build, "context": self.context, "dockerfile": self.dockerfile, "args": dict(self.args)}
        more["digest"] = self.digest
        return {"builtin": self.builtin, "image": self.image} | {name: value for name, value in more.items() if value}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Program:
        return Program(**{**value, "args": tuple(sorted(dict(value.get("args", ())).items()))})
