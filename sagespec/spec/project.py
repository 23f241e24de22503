"""The Project document, sagespec.yaml: the settings of a project and its gateway."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sagespec.spec.document import DocumentSpec
from sagespec.spec.values import (
    Bytes,
    Name,
    Place,
    SpecModel,
    quoted,
    wrong,
)


def _check_host(value: Any) -> Any:
    """An IP address: engines publish ports on addresses, not on names."""
    try:
        return "127.0.0.1" if value == "localhost" else str(ip_address(value))
    except ValueError:
        raise wrong(f"{quoted(value)} is not an IP address", "write 127.0.0.1, or 0.0.0.0 for all of them") from None


class GatewaySettings(SpecModel):
    """Where to call the project's endpoints."""

    host: Annotated[str, BeforeValidator(_check_host)] = "127.0.0.1"
    """Address the gateway listens on. 0.0.0.0 opens it to the network, without authentication."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """Port the gateway listens on. Default: 8080, or the next free port if that is taken."""

    @property
    def sets_port(self) -> bool:
        """Whether sagespec.yaml names the port. One that it does not name may be any that is free."""
        return "port" in self.model_fields_set

    @property
    def url(self) -> str:
        """Where callers on this machine find it: http://127.0.0.1:8080."""
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{self.port}"


class ProjectSettings(DocumentSpec):
    """A repository's settings: sagespec.yaml at its root."""

    kind: Literal["Project"] = Field(examples=["Project"])
    """What this document describes."""
    name: Name = Field(examples=["acme-churn"])
    """Identifies what belongs to this project; two projects on one engine never touch each other."""
    store: Place = "file://.sagespec/store"
    """Where models, logs and history are kept: a path relative to this file, or s3://bucket/prefix."""
    runtime: Literal["auto", "docker", "process"] = "auto"
    """The engine: docker, process (plain local processes), or auto (docker if one is running)."""
    gateway: GatewaySettings = GatewaySettings()
    """Where to call the endpoints; http://127.0.0.1:8080 by default."""
    parallel_jobs: Annotated[int, Field(ge=1, le=64)] = 2
    """How many training jobs may run at the same time."""
    cache_size: Bytes = 50 * 2**30
    """How much data fetched from S3 to keep in .sagespec/cache; beyond that, the least recently used goes first."""
