"""One spec, or the settings, as they are in an environment: the YAML put together, each value with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sagespec.display import Displayed
from sagespec.documents.emit import emit
from sagespec.errors import Origin
from sagespec.load.loaded import PROJECT_FILE, Loaded, LoadedSpec, Written
from sagespec.parts import Parts
from sagespec.state.addresses import endpoint_address
from sagespec.state.secrets import is_secret_field
from sagespec.verbs.addresses import resolve_address

PROJECT = "project"
FIRST = ("apiVersion", "kind", "name", "version", "like")  # whatever the order in which the files say it
MASK = "(hidden)"


@dataclass(frozen=True, repr=False)
class Shown(Displayed):
    """What a document says in an environment ('' for none). data: secrets are hidden. places: of every value, by its
    path. home: the file that most of it is in. taken_away: what the environment takes away, by path."""

    about: str
    environment: str
    data: Mapping[str, Any] = field(repr=False)
    places: Mapping[str, Origin]
    home: str
    taken_away: Mapping[str, Origin]

    @property
    def from_elsewhere(self) -> Mapping[str, Origin]:
        """The places, by path, of what another file than its own says; of a map that is all from there, the map's."""
        return dict(_from_elsewhere(self.data, (), self.places, self.home))

    def as_plain_text(self) -> str:
        named = f", environment {self.environment}" if self.environment else ""
        notes = {path: str(place) for path, place in self.from_elsewhere.items()}
        heading = [f"{self.about}{named}: {self.home}"]
        heading += [f"{place} takes away {path}" for path, place in self.taken_away.items()]
        return emit(self.data, heading=heading, notes=notes).rstrip("\n")

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/commands.md."""
        return {
            "about": self.about,
            "environment": self.environment,
            "spec": self.data,
            "places": {path: place.as_json() for path, place in self.places.items()},
            "taken_away": {path: place.as_json() for path, place in self.taken_away.items()},
        }


def show(parts: Parts, name: str) -> Shown:
    """The spec that `name` may mean, or of `project` the settings. WorldError where there is none."""
    loaded = parts.load()
    if name == PROJECT:
        return _shown(PROJECT, parts, loaded.written, loaded.project_origins, home=PROJECT_FILE)
    item = _find(name, loaded)
    return _shown(str(item.address), parts, item.written, item.origins, home=item.origin.file)


def _find(name: str, loaded: Loaded) -> LoadedSpec:
    """An endpoint before a job of the same name, whatever runs."""
    items = (*loaded.specs, *loaded.models)
    known, endpoint = [item.address for item in items], endpoint_address(name)
    address = endpoint if endpoint in known else resolve_address(name, known)
    return next(item for item in items if item.address == address.whole)


def _shown(about: str, parts: Parts, written: Written, places: Mapping[str, Origin], *, home: str) -> Shown:
    data = {name: written.data[name] for name in FIRST if name in written.data} | dict(written.data)
    return Shown(about, parts.environment, _without_secrets(data, ()), dict(places), home, written.taken_away)


def _without_secrets(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_secrets(one, (*path, name)) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_secrets(one, (*path, str(number))) for number, one in enumerate(value)]
    in_variant = path[2:] if path[:1] == ("variants",) else path
    return MASK if isinstance(value, str) and is_secret_field(".".join(in_variant), value) else value


def _from_elsewhere(
    value: Any, path: tuple[str, ...], places: Mapping[str, Origin], home: str
) -> Iterator[tuple[str, Origin]]:
    below = [(".".join(step), one, step) for step, one in _inside(value, path)]
    for here, one, step in below:
        leaves = list(_leaves(one, step))
        if here in places and leaves and all(places[leaf].file != home for leaf in leaves if leaf in places):
            yield here, places[here]
        else:
            yield from _from_elsewhere(one, step, places, home)


def _inside(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        yield from (((*path, name), one) for name, one in value.items())
    elif isinstance(value, list):
        yield from (((*path, str(number)), one) for number, one in enumerate(value))


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    inside = list(_inside(value, path))
    if not inside:
        yield ".".join(path)
    for step, one in inside:
        yield from _leaves(one, step)
