"""Who may ask the gateway, how often, and how it proves to callers who it is: parts of `gateway` in sagespec.yaml.

No secret is ever in a spec: keys and private keys are named by the file or variable that holds them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from sagespec.spec.values import EnvironmentName, Name, SpecModel, quoted, wrong

_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|m|h)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII)


class Rate(NamedTuple):
    """So many requests within so many seconds."""

    requests: int
    seconds: int

    def __str__(self) -> str:
        unit = next(unit for unit, seconds in _SECONDS.items() if seconds == self.seconds)
        return f"{self.requests}/{unit}"


def _parse_rate(value: Any) -> Rate:
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise wrong(f"{quoted(value)} is not a rate", "write how many requests in which time: 100/s, 6000/m, 1000/h")
    return Rate(int(match[1]), _SECONDS[match[2]])


def _not_a_literal(value: Any) -> Any:
    """The text is never repeated: it may be a key."""
    if isinstance(value, str | int | float):
        raise wrong(
            "a key does not belong in a file that others read",
            "name what holds it: {file: keys/shop}, which `sagespec key` makes; {environment: SHOP_KEY}; {secret: key}",
        )
    return value


def _is_variable(value: Any) -> Any:
    """The text is never repeated: it may be a key."""
    if isinstance(value, str) and not _VARIABLE.fullmatch(value):
        raise wrong("this is not the name of an environment variable", "name the variable that holds the key: SHOP_KEY")
    return value


def _check_file(value: str) -> str:
    if not value.strip() or "\0" in value or value.startswith("~"):
        raise wrong(f"{quoted(value)} is not a file's path", "write it relative to sagespec.yaml, or absolute")
    return value


def _check_host_name(value: str) -> str:
    if not _HOST_NAME.fullmatch(value.lower()):
        raise wrong(f"{quoted(value)} is not a host's name", "write it without scheme, port and path: ml.example.com")
    return value.lower()


AnyRate = Annotated[
    Rate,
    BeforeValidator(_parse_rate),
    WithJsonSchema({"title": "rate", "type": "string", "pattern": r"^[1-9][0-9]{0,8}/(s|m|h)$", "examples": ["100/s"]}),
]
File = Annotated[str, AfterValidator(_check_file), Field(max_length=1024)]
HostName = Annotated[str, AfterValidator(_check_host_name)]


class KeySource(SpecModel):
    """Where a key is: in a file, in an environment variable of whoever applies, or one of the project's secrets."""

    file: File | None = None
    """A file that holds the key and nothing else, relative to sagespec.yaml."""
    environment: Annotated[EnvironmentName | None, BeforeValidator(_is_variable)] = None
    """A variable of the process that applies."""
    secret: Name | None = None
    """A name among `secrets` of sagespec.yaml."""

    @model_validator(mode="after")
    def _one_place(self) -> KeySource:
        if sum(given is not None for given in (self.file, self.environment, self.secret)) != 1:
            raise wrong(
                "needs exactly one of file, environment and secret", "name what holds the key: {file: keys/shop}"
            )
        return self

    def __str__(self) -> str:
        if self.secret is not None:
            return f"secret {self.secret}"
        return self.file if self.file is not None else f"${self.environment}"


AnyKeySource = Annotated[KeySource, BeforeValidator(_not_a_literal)]


class Caller(SpecModel):
    """Somebody who may ask for predictions, known by a key."""

    key: AnyKeySource = Field(examples=[{"file": "keys/shop"}])
    """Where the caller's key is: {file: …}, {environment: …} or {secret: …}. 20 to 200 characters, which `sagespec key`
    makes."""
    next_key: AnyKeySource | None = None
    """A second key that is good as well, while a caller changes from one to the other."""
    endpoints: tuple[Name, ...] = Field(default=(), strict=False, examples=[["churn"]])
    """The endpoints that the caller may ask. Default: all."""
    rate: AnyRate | None = None
    """How many requests the caller may make: 100/s, 6000/m. More are answered with 429. Default: no limit."""
    burst: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """How many requests may come at once before `rate` counts. Default: as many as `rate` allows in its unit."""

    @model_validator(mode="after")
    def _burst_of_a_rate(self) -> Caller:
        if self.burst is not None and self.rate is None:
            raise wrong("means nothing without rate", "set rate, or remove burst", at=("burst",))
        return self


class TlsFiles(SpecModel):
    """A certificate of your own, as files in PEM form; they are read again when they change."""

    certificate: File = Field(examples=["/etc/letsencrypt/live/ml.example.com/fullchain.pem"])
    """The certificate, followed by those that lead to its authority."""
    key: File = Field(examples=["/etc/letsencrypt/live/ml.example.com/privkey.pem"])
    """Its private key, without a passphrase."""


Tls = TlsFiles | Literal["self_signed"]
