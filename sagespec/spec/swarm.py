"""What sagespec.yaml says of a Docker Swarm to run on: `runtime: {swarm: {registry: …}}`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, SerializationInfo, TypeAdapter

from sagespec.spec.runtimes import NamedAlone
from sagespec.spec.values import SpecModel, quoted, wrong

_REGISTRY = re.compile(
    r"(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+|[a-z0-9.-]+(?=:))(?::\d{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
)
_MANAGER = re.compile(r"(?:tcp|ssh)://\S+|unix:///\S+")


def _check_registry(value: str) -> str:
    if "://" in value:
        raise wrong(
            f"{quoted(value)} is an address", "write it as in names of images, without https://: registry.lan:5000/acme"
        )
    if not _REGISTRY.fullmatch(value.rstrip("/")):
        raise wrong(
            f"{quoted(value)} is not a place in a registry",
            "write its host, and port, and a path in small letters if you like: registry.lan:5000/acme",
        )
    return value.rstrip("/")


def _check_engine(value: str) -> str:
    if not _MANAGER.fullmatch(value):
        raise wrong(f"{quoted(value)} is not an engine's address", "write it as for DOCKER_HOST: tcp://10.0.0.2:2376")
    return value


class SwarmSettings(SpecModel):
    """A Docker Swarm: several machines with Docker, which run the project's containers between them."""

    registry: Annotated[str, AfterValidator(_check_registry)] = Field(examples=["registry.lan:5000/acme"])
    """Where images are pushed, for all nodes to pull: a registry, and a path in it."""
    managers: tuple[Annotated[str, AfterValidator(_check_engine)], ...] = Field(
        default=(), strict=False, examples=[["tcp://10.0.0.2:2376"]]
    )
    """Engines of further managers, as for DOCKER_HOST. They are asked while the engine that is spoken to cannot answer
    for the Swarm."""
    single_operator: bool = False
    """Whether a store on a disk will do, because everything is applied and watched from one machine."""


class RuntimeSettings(SpecModel):
    """The engine is a manager of a Docker Swarm."""

    swarm: SwarmSettings = Field(examples=[{"registry": "registry.lan:5000/acme"}])
    """Which registry its nodes get images from, and who else manages it."""


_NAME: TypeAdapter[NamedAlone] = TypeAdapter(NamedAlone)


def _runtime(value: Any) -> RuntimeSettings | NamedAlone:
    """Each form by its own rules, so that what is wrong is said once, at its place."""
    if isinstance(value, dict | RuntimeSettings):
        return RuntimeSettings.model_validate(value)
    if value == "swarm":
        raise wrong("needs a registry, from which all nodes get images", "write {swarm: {registry: HOST:PORT/PATH}}")
    return _NAME.validate_python(value)


def _written(value: RuntimeSettings | NamedAlone, info: SerializationInfo) -> object:
    """Pydantic takes one form for the other, and warns, where a validator of ours has chosen."""
    return value if isinstance(value, str) else value.model_dump(mode=info.mode, exclude_unset=info.exclude_unset)


AnyRuntime = Annotated[
    RuntimeSettings | NamedAlone,
    PlainValidator(_runtime, json_schema_input_type=RuntimeSettings | NamedAlone),
    PlainSerializer(_written),
]
