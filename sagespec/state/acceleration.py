"""What has come of `accelerate` of a variant, as `status` shows it; `verbs.accelerations` reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Acceleration:
    """Of a variant. asked: `onnx`. is_on: of all its instances; None while none has said. text: what, or why not."""

    asked: str
    is_on: bool | None
    text: str

    def __str__(self) -> str:
        word = {True: "on", False: "off", None: "not known yet"}[self.is_on]
        return f"accelerate: {self.asked} is {word}" + (f": {self.text}" if self.text else "")
