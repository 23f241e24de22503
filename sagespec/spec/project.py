"""The Project document, sagespec.yaml: the settings of a project and its gateway."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sagespec.spec.dashboard import DashboardSettings, Host
from sagespec.spec.document import DocumentSpec
from sagespec.spec.doors import AnyRate, Caller, HostName, Tls
from sagespec.spec.job import Resources
from sagespec.spec.notify import Notify
from sagespec.spec.prometheus import PrometheusSettings
from sagespec.spec.rules import Policy, Require
from sagespec.spec.runtimes import RuntimeChoice
from sagespec.spec.secrets import AnySecretSource
from sagespec.spec.swarm import AnyRuntime, RuntimeSettings, SwarmSettings
from sagespec.spec.values import (
    Bytes,
    Name,
    Place,
    SpecModel,
    quoted,
    wrong,
)


class GatewaySettings(SpecModel):
    """Where to call the project's endpoints."""

    host: Host = "127.0.0.1"
    """Address the gateway listens on. Any but this machine's own, such as 0.0.0.0, needs `callers`."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """Port the gateway listens on. Default: 8080, or the next free port if that is taken."""
    tls: Tls | None = None
    """A certificate, with which callers speak HTTPS: {certificate: …, key: …}, or self_signed for a first try."""
    callers: dict[Name, Caller] = Field(default_factory=dict, examples=[{"shop": {"key": {"file": "keys/shop"}}}])
    """Who may ask for predictions, by name. Where there is one, nobody is answered without a key."""
    rates: dict[Name, AnyRate] = Field(default_factory=dict, examples=[{"churn": "500/s"}])
    """How many requests an endpoint takes from all its callers, by its name: 500/s. More are answered with 429."""
    hosts: tuple[HostName, ...] = Field(default=(), strict=False, examples=[["ml.example.com"]])
    """Names under which callers reach the gateway, of a proxy in front of it too. Where any is given, requests for
    other names are refused, and those of web pages from elsewhere."""
    access_log: bool = True
    """Whether `sagespec logs gateway` has a line for each request. Those with an InferenceId have one in any case, as
    feedback needs it."""
    open: bool = False
    """Let everybody who reaches `host` ask, without a key."""

    @model_validator(mode="after")
    def _is_not_open_by_accident(self) -> GatewaySettings:
        if not self.is_local and not self.callers and not self.open:
            raise wrong(
                f"everybody who reaches {self.host} could ask for predictions",
                "name callers with their keys (docs/exposing.md), or write open: true if that is meant",
                at=("host",),
            )
        if self.callers and self.open:
            raise wrong("does not go with callers, who have keys", "remove one of the two", at=("open",))
        return self

    @property
    def sets_port(self) -> bool:
        """Whether sagespec.yaml names the port. One that it does not name may be any that is free."""
        return "port" in self.model_fields_set

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.host).is_loopback

    @property
    def checks_callers(self) -> bool:
        return bool(self.callers or self.rates)

    @property
    def url(self) -> str:
        """Where callers on this machine find it: http://127.0.0.1:8080."""
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{f'[{reachable}]' if ':' in reachable else reachable}:{self.port}"


INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]{1,30}\.[a-z0-9-]{1,30}")


def _check_instance_type(value: str) -> str:
    if not INSTANCE_TYPE.fullmatch(value):
        raise wrong(f"{quoted(value)} is not an instance type", "write one of SageMaker's, e.g. ml.g4dn.xlarge")
    return value


InstanceType = Annotated[str, AfterValidator(_check_instance_type)]


def _check_folder(value: str) -> str:
    parts = PurePosixPath(value).parts
    if not parts or value.startswith("/") or ".." in parts or parts[0] == ".sagespec":
        raise wrong(f"{quoted(value)} is not a folder of this project", "name one below sagespec.yaml: specs/notebook")
    return value


class ApiSettings(SpecModel):
    """What `sagespec api` offers to SageMaker's clients on this machine."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8081
    """Port it listens on, on 127.0.0.1. Default: 8081, or the next free port if that is taken."""
    auth: Literal["aws", "none"] = "aws"
    """Who may use it: aws, who signs requests with the key that `sagespec env` prints; or none, every program on this
    machine."""
    specs: Annotated[str, AfterValidator(_check_folder)] = "specs/notebook"
    """Folder for the specs that it and the Python verbs write, relative to this file."""
    instance_types: dict[InstanceType, Resources] = Field(
        default_factory=dict, examples=[{"ml.g4dn.xlarge": {"gpus": 1}}]
    )
    """Resources that stand for an instance type, by its name. A type that is not named here asks for none."""

    @property
    def sets_port(self) -> bool:
        """Whether sagespec.yaml names the port. One that it does not name may be any that is free."""
        return "port" in self.model_fields_set


class ProjectSettings(DocumentSpec):
    """A repository's settings: sagespec.yaml at its root."""

    kind: Literal["Project"] = Field(examples=["Project"])
    """What this document describes."""
    name: Name = Field(examples=["acme-churn"])
    """Identifies what belongs to this project; two projects on one engine never touch each other."""
    store: Place = "file://.sagespec/store"
    """Where models, logs and history are kept: a path relative to this file, or s3://bucket/prefix."""
    runtime: AnyRuntime = "auto"
    """The engine: docker, process (plain local processes), auto (docker if one is running), or a Docker Swarm:
    {swarm: {registry: …}}."""
    gateway: GatewaySettings = GatewaySettings()
    """Where to call the endpoints; http://127.0.0.1:8080 by default."""
    api: ApiSettings = ApiSettings()
    """SageMaker's control plane on this machine: `sagespec api`."""
    dashboard: DashboardSettings = DashboardSettings()
    """Where `sagespec dashboard` listens, and for whom; http://127.0.0.1:8082 by default."""
    notify: tuple[Notify, ...] = Field(default=(), strict=False)
    """Who gets a message when a state changes, while `sagespec watch` or `sagespec up` runs."""
    prometheus: PrometheusSettings | None = None
    """Figures of the gateway and the loop for Prometheus, while `sagespec watch` or `sagespec up` runs. {}: at
    http://127.0.0.1:9464/metrics."""
    secrets: dict[Name, AnySecretSource] = Field(default_factory=dict, examples=[{"churn-db": "env:CHURN_DB_URL"}])
    """Where secrets are kept, by the names that specs use: env:VARIABLE, file:PATH, aws:NAME#FIELD, ssm:NAME, or
    {command: […]} that prints it. They are asked for when a container is created, and kept nowhere."""
    parallel_jobs: Annotated[int, Field(ge=1, le=64)] = 2
    """How many training jobs may run at the same time."""
    cache_size: Bytes = 50 * 2**30
    """How much data fetched from S3 to keep in .sagespec/cache; beyond that, the least recently used goes first."""
    require: Require = Require()
    """What must be so before anything is changed: signed commits, few removals."""
    policy: Policy | None = None
    """A program that allows or refuses each plan before it is carried out: {command: [./ci/policy.sh]}."""
    drift: Literal["repair", "report"] = "repair"
    """What `watch` does where something is no longer as it was applied: repair it, or only say so (report)."""
    require_environment: bool = False
    """Refuse whatever is not for an environment (`--env`): then nobody applies the specs as they are by accident."""

    @model_validator(mode="after")
    def _shares_its_records(self) -> ProjectSettings:
        if self.swarm and not self.swarm.single_operator and not self.store.startswith("s3://"):
            raise wrong(
                "the store is a folder, which whoever applies from another machine would not see",
                "write store: s3://…, or below runtime.swarm single_operator: true, if all is done from one machine",
                at=("store",) if "store" in self.model_fields_set else ("runtime",),
            )
        return self

    @model_validator(mode="after")
    def _can_publish(self) -> ProjectSettings:
        if self.swarm and self.gateway.is_local:
            given = ("gateway",) if "gateway" in self.model_fields_set else ("runtime",)
            raise wrong(
                "a Swarm publishes on all addresses of a node, so the gateway cannot listen on "
                f"{self.gateway.host} alone",
                "set gateway.host to an address of the manager's machine, and name callers (docs/exposing.md)",
                at=("gateway", "host") if "host" in self.gateway.model_fields_set else given,
            )
        return self

    @property
    def runtime_name(self) -> RuntimeChoice:
        return "swarm" if isinstance(self.runtime, RuntimeSettings) else self.runtime

    @property
    def swarm(self) -> SwarmSettings | None:
        """What a Swarm needs to be told; None where the project names none."""
        return self.runtime.swarm if isinstance(self.runtime, RuntimeSettings) else None
