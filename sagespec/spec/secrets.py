"""Secrets by reference: where one is kept (`secrets` in sagespec.yaml), and where one is used ({secret: NAME}).

No secret is ever in a spec. `secrets` the package asks for them, when a container is created and not before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from sagespec.spec.values import NAME_PATTERN, Text, is_name, quoted, wrong

SECRETS_FOLDER = "/run/secrets"  # where a container finds those that it gets as files

Provider = Literal["env", "file", "aws", "ssm", "command"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_FORMS = "env:HF_TOKEN, file:secrets/smtp, aws:acme/churn/db#url, ssm:/acme/churn/api or {command: [sops, …]}"


@dataclass(frozen=True)
class SecretSource:
    """Where a secret is kept. place: the variable, file, AWS secret or parameter. field: of a JSON object that an AWS
    secret is; '' for the whole. command: prints it."""

    provider: Provider
    place: str = ""
    field: str = ""
    command: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.provider == "command":
            return f"command {self.command[0]}"  # what follows may be nobody's business
        return f"{self.provider}:{self.place}" + (f"#{self.field}" if self.field else "")

    def as_json(self) -> str | dict[str, list[str]]:
        """As one writes it."""
        return {"command": list(self.command)} if self.provider == "command" else str(self)


@dataclass(frozen=True)
class SecretUse:
    """The value of a variable: a secret, by its name. as_file: the container gets a file with it, and the variable
    NAME_FILE that says where."""

    name: str
    as_file: bool = False

    def __str__(self) -> str:
        return f"secret {self.name}"

    def as_json(self) -> dict[str, str]:
        return {"secret": self.name, **({"as": "file"} if self.as_file else {})}


def _source(value: Any) -> Any:
    """The text is never repeated where it may be a secret."""
    if isinstance(value, SecretSource):
        return value
    if isinstance(value, dict):
        return _command(value)
    provider, colon, place = value.partition(":") if isinstance(value, str) else ("", "", "")
    if provider not in ("env", "file", "aws", "ssm") or not colon or not place.strip() or "\0" in place:
        raise wrong(
            "this does not say where a secret is kept; the secret itself does not belong here", f"write {_FORMS}"
        )
    if provider == "env" and not _VARIABLE.fullmatch(place):
        raise wrong(
            "this is not the name of an environment variable", "name the one that holds the secret: env:HF_TOKEN"
        )
    if provider == "file" and place.startswith("~"):
        raise wrong(f"{quoted(value)} is not a file's path", "write it relative to sagespec.yaml, or absolute")
    if provider != "aws":
        return SecretSource(provider, place)  # type: ignore[arg-type]  # one of the four
    place, hash_sign, field = place.partition("#")
    if not place or (hash_sign and not field):
        raise wrong(f"{quoted(value)} is not an AWS secret", "write its name or ARN, and for a field of it #FIELD")
    return SecretSource("aws", place, field)


def _command(value: dict[Any, Any]) -> SecretSource:
    words = value.get("command")
    if value.keys() != {"command"} or not isinstance(words, list) or not words:
        raise wrong("this does not say where a secret is kept", f"write {_FORMS}")
    if not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0].strip():
        raise wrong("a command is a list of words", 'quote each: {command: ["pass", "show", "churn/db"]}')
    return SecretSource("command", command=tuple(words))


def _shown_source(source: SecretSource) -> Any:
    return source.as_json()


AnySecretSource = Annotated[
    SecretSource,
    PlainValidator(_source),
    PlainSerializer(_shown_source),
    WithJsonSchema(
        {
            "title": "where it is kept",
            "anyOf": [
                {"type": "string", "pattern": r"^(env:[A-Za-z_][A-Za-z0-9_]*|(file|aws|ssm):.+)$"},
                {
                    "type": "object",
                    "properties": {"command": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
                    "required": ["command"],
                    "additionalProperties": False,
                },
            ],
        }
    ),
]


def _use(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    name, form = value.get("secret"), value.get("as")
    if not value.keys() <= {"secret", "as"} or not isinstance(name, str) or not is_name(name):
        raise wrong("is neither text nor a secret's name", "write a value, or {secret: NAME}")
    if "as" in value and form != "file":
        raise wrong(
            "a secret is given as a variable, or as a file", f"write {{secret: {name}, as: file}}, or leave it out"
        )
    return SecretUse(name, as_file=form == "file")


def _plain(value: str | SecretUse) -> Any:
    return value if isinstance(value, str) else value.as_json()


def _secret_or(value: Any, text: ValidatorFunctionWrapHandler) -> Any:
    return value if isinstance(value, SecretUse) else _use(value) if isinstance(value, dict) else text(value)


@dataclass(frozen=True)
class TextOrSecret:
    """In an annotation of `str | SecretUse`: text of at most so many characters, or {secret: NAME}."""

    longest: int

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = handler.generate_schema(Annotated[Text, Field(max_length=self.longest)])
        serialization = core_schema.plain_serializer_function_ser_schema(_plain)
        return core_schema.no_info_wrap_validator_function(_secret_or, text, serialization=serialization)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [handler(schema), _USE_SCHEMA]}


_USE_SCHEMA: dict[str, Any] = {
    "title": "secret",
    "type": "object",
    "properties": {
        "secret": {"type": "string", "pattern": NAME_PATTERN, "maxLength": 63},
        "as": {"const": "file"},
    },
    "required": ["secret"],
    "additionalProperties": False,
}

# Of a variable: a job's, as long as SageMaker lets it be, and a container's that serves.
TrainingValue = Annotated[str | SecretUse, TextOrSecret(512)]
ServingValue = Annotated[str | SecretUse, TextOrSecret(1024)]


def _stored(value: Any) -> Any:
    return value if isinstance(value, str | SecretUse) else _use(value)


# As a record keeps it, where nothing of a text stands for anything else any more.
StoredValue = Annotated[str | SecretUse, PlainValidator(_stored), PlainSerializer(_plain)]


def secrets_in(environment: Mapping[str, str | SecretUse]) -> tuple[SecretUse, ...]:
    """The secrets that it uses, by name."""
    return tuple(sorted({use for use in environment.values() if isinstance(use, SecretUse)}, key=str))


def secret_names(environment: Mapping[str, str | SecretUse]) -> list[str]:
    return sorted({use.name for use in secrets_in(environment)})


def variable_for(name: str) -> str:
    """A variable that could hold it.

    >>> variable_for("churn-db")
    'CHURN_DB'
    """
    return name.replace("-", "_").upper()


def as_plain(environment: Mapping[str, str | SecretUse]) -> dict[str, Any]:
    """As plain data, which hashes and records are made of."""
    return {name: _plain(value) for name, value in environment.items()}


def from_plain(environment: Mapping[str, Any]) -> dict[str, str | SecretUse]:
    """The environment that was written as plain data."""
    return {name: _stored(value) for name, value in environment.items()}


def _secret_name(value: Any) -> Any:
    """{secret: NAME}, where nothing but a secret may be. The text is never repeated: it may be one."""
    found = _use(value) if isinstance(value, dict) else value
    if not isinstance(found, SecretUse) or found.as_file:
        raise wrong("a secret does not belong in a file that others read", "name it: {secret: NAME}")
    return found


# What is always a secret, as a token or a hook's key.
SecretReference = Annotated[
    SecretUse,
    PlainValidator(_secret_name),
    PlainSerializer(_plain),
    WithJsonSchema({**_USE_SCHEMA, "properties": {"secret": _USE_SCHEMA["properties"]["secret"]}}),
]
