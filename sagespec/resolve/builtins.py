"""What is known of the programs under images/ without running them, and what they object to in a job.

`resolve` asks before anything starts, so that a misspelt hyperparameter is reported with its line and not by a
failed job. image.json is made from the program's own declaration (images/README.md), so both say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sagespec.contract import hyperparameter_text
from sagespec.errors import did_you_mean
from sagespec.resolve.content_types import label_size_of, name_of

PLATFORM_NAMES = ("sagemaker_", "_tuning_")  # hyperparameters that the platform and its clients add


class HyperparameterDescription(BaseModel):
    """One hyperparameter. `choices` of a number or boolean are words allowed beside its values, of a list its words."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["integer", "number", "boolean", "string", "list"] = "string"
    required: bool = False
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    description: str = ""

    def objection(self, text: str) -> str:
        """Why `text` is not a value of it, as 'must be …'; '' when it is one."""
        if self.type == "list":
            return self._objection_to_words(text)
        if text in self.choices:
            return ""
        if self.type == "string":
            return f"must be one of {', '.join(self.choices)}" if self.choices else ""
        if self.type == "boolean":
            return "" if text.lower() in ("true", "false", "1", "0") else f"must be true or false{self._or_choices}"
        return self._objection_to_number(text)

    def _objection_to_words(self, text: str) -> str:
        """Of the first word that is none of `choices`; one of these that ends in @ is followed by a number."""
        for word in (part.strip().strip("\"'").strip() for part in text.removeprefix("[").removesuffix("]").split(",")):
            if word not in self.choices and re.sub(r"@[0-9.]+$", "@", word) not in self.choices:
                meant = did_you_mean(word, self.choices)
                known = ", ".join(self.choices)
                return f"{word or 'an empty word'} is not one of its words: {meant or known}"
        return ""

    def _objection_to_number(self, text: str) -> str:
        noun = "a whole number" if self.type == "integer" else "a number"
        try:
            value = float(int(text) if self.type == "integer" else text)
        except (ValueError, OverflowError):
            return f"must be {noun}{self._or_choices}"
        if value - value != 0:
            return f"must be {noun}{self._or_choices}"
        holds = (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )
        return "" if holds else f"must be {self._limits}{self._or_choices}"

    @property
    def _limits(self) -> str:
        words = {"minimum": "at least", "above": "above", "maximum": "at most", "below": "below"}
        given = ((word, getattr(self, name)) for name, word in words.items())
        return " and ".join(f"{word} {limit:g}" for word, limit in given if limit is not None)

    @property
    def _or_choices(self) -> str:
        return "".join(f" or {choice}" for choice in self.choices)


class ChannelDescription(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    required: bool = False
    labelled: bool = False  # whether rows need a label
    content_types: tuple[str, ...] = ()
    description: str = ""


class MetricDescription(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    regex: str


class Requirement(BaseModel):
    """What the process runtime must find installed: Python modules, and the extra of sagespec that brings them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    modules: tuple[str, ...] = ()
    extra: str = ""


class ImageDescription(BaseModel):
    """image.json of a folder under images/. framework: whether an algorithm runs scripts of the user's, too."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["algorithm", "framework", "gateway", "notebook", "test", "feeder", "courier"]
    description: str = ""
    framework: bool = False
    hyperparameters: Mapping[str, HyperparameterDescription] = Field(default_factory=dict)
    ignored_hyperparameters: Mapping[str, str] = Field(default_factory=dict)
    channels: Mapping[str, ChannelDescription] = Field(default_factory=dict)
    metrics: tuple[MetricDescription, ...] = ()
    requires: Requirement = Requirement()

    @property
    def runs_scripts(self) -> bool:
        return self.kind == "framework" or self.framework


def describe_images(images: Path) -> dict[str, ImageDescription]:
    """The built-ins by folder name."""
    return {
        file.parent.name: ImageDescription.model_validate_json(file.read_bytes())
        for file in sorted(images.glob("*/image.json"))
    }


@dataclass(frozen=True)
class Objection:
    """What an algorithm objects to: field is the path in the job's spec. is_unknown: the field is none of its own.
    is_missing: something that belongs there is."""

    field: str
    what: str
    why: str = ""
    fix: str = ""
    is_unknown: bool = False
    is_missing: bool = False


def objections(
    algorithm: str,
    description: ImageDescription,
    hyperparameters: Mapping[str, Any],
    content_types: Mapping[str, str | None],
) -> Iterator[Objection]:
    """What the algorithm will refuse in a job: its hyperparameters, and its channels with their content types."""
    yield from _of_hyperparameters(algorithm, description, hyperparameters)
    yield from _of_channels(algorithm, description, content_types)


def _of_hyperparameters(algorithm: str, description: ImageDescription, given: Mapping[str, Any]) -> Iterator[Objection]:
    known = description.hyperparameters
    listed = f"; known are {', '.join(sorted(known))}"  # said once
    for name, value in given.items():
        text = hyperparameter_text(value).strip()
        if name in known:
            if objection := known[name].objection(text):
                yield Objection(
                    f"hyperparameters.{name}",
                    f"hyperparameters.{name} is {text or 'empty'}, but {objection}",
                    why=known[name].description,
                    fix=_as_whole(text) if known[name].type == "integer" else "",
                )
        elif known and name not in description.ignored_hyperparameters and not name.startswith(PLATFORM_NAMES):
            yield Objection(
                f"hyperparameters.{name}",
                f"hyperparameters.{name} is not one of {algorithm}",
                fix=did_you_mean(name, known) or f"remove it{listed}",
                is_unknown=True,
            )
            listed = "" if not did_you_mean(name, known) else listed
    for name, declared in known.items():
        if declared.required and name not in given:
            example = declared.choices[0] if declared.choices else "…"
            yield Objection(
                "hyperparameters",
                f"hyperparameters.{name} is missing",
                why=f"{algorithm} requires it: {declared.description[:1].lower()}{declared.description[1:]}",
                fix=f"add {name}: {example}",
                is_missing=True,
            )


def _as_whole(text: str) -> str:
    """What to write for 10.0, which YAML's 1e1 is, too."""
    try:
        return f"write {float(text):.0f}" if float(text).is_integer() else ""
    except ValueError:
        return ""


def _of_channels(
    algorithm: str, description: ImageDescription, content_types: Mapping[str, str | None]
) -> Iterator[Objection]:
    known = description.channels
    for name, content_type in content_types.items():
        declared = known.get(name)
        if declared is None:
            if known:
                yield Objection(
                    f"channels.{name}",
                    f"channels.{name} is not a channel of {algorithm}",
                    fix=did_you_mean(name, known) or f"the channels are {', '.join(known)}",
                    is_unknown=True,
                )
        elif content_type and declared.content_types and name_of(content_type) not in declared.content_types:
            yield Objection(
                f"channels.{name}.content_type",
                f"channels.{name}.content_type is {content_type}, which {algorithm} does not read",
                fix=f"it reads {', '.join(declared.content_types)}",
            )
        elif content_type and declared.content_types:
            yield from _of_label_size(algorithm, declared, name, label_size_of(content_type))
    for name, declared in known.items():
        if declared.required and name not in content_types:
            yield Objection(
                "channels",
                f"channels.{name} is missing",
                why=f"{algorithm} requires it: {declared.description[:1].lower()}{declared.description[1:]}",
                fix=f"add {name}: ./data.csv",
                is_missing=True,
            )


def _of_label_size(algorithm: str, declared: ChannelDescription, name: str, label_size: str) -> Iterator[Objection]:
    field, what = f"channels.{name}.content_type", f"channels.{name}.content_type has label_size={label_size}"
    if label_size not in ("0", "1"):
        yield Objection(field, f"{what}, which must be 0 or 1")
    elif label_size == "0" and declared.labelled:
        yield Objection(
            field,
            f"{what}, but {algorithm} learns from labels",
            fix="put the label in the first column, without label_size",
        )


def columns_objections(
    algorithm: str, description: ImageDescription, channel: str, *, has_target: bool
) -> Iterator[Objection]:
    """What the algorithm objects to where a spec names columns; it does so on `channel`."""
    known = description.channels.values()
    if known and not any("text/csv" in declared.content_types for declared in known):
        yield Objection(
            f"channels.{channel}",
            f"channels.{channel} names columns, but {algorithm} reads no tables",
            fix="remove target, drop, categorical and header",
        )
    elif not has_target and any(declared.labelled for declared in known):
        yield Objection(
            f"channels.{channel}",
            f"channels.{channel}.target is missing",
            why=f"{algorithm} learns from labels, and only the spec can say which of the named columns holds them",
            fix="name the column to predict: target: …",
            is_missing=True,
        )
