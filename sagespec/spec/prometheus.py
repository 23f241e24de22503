"""The settings of the address that Prometheus reads, under `prometheus` in sagespec.yaml."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

from pydantic import Field, model_validator

from sagespec.spec.dashboard import Host
from sagespec.spec.values import SpecModel, wrong


class PrometheusSettings(SpecModel):
    """Where the loop shows figures of the gateway and of itself, for Prometheus."""

    host: Host = "127.0.0.1"
    """Address it listens on. Any but this machine's own needs `token_file`."""
    port: Annotated[int, Field(ge=1, le=65535)] = 9464
    """Port it listens on, at /metrics."""
    token_file: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """File with a token, relative to this file; only who sends it (Authorization: Bearer …) gets an answer. It is read
    for every request."""
    hosts: Annotated[tuple[str, ...], Field(max_length=100)] = Field(default=(), strict=False)
    """Further names under which it is reached, with their port unless it is the usual one: ml.example.com:9464."""

    @model_validator(mode="after")
    def _is_not_open_by_accident(self) -> PrometheusSettings:
        if not self.is_local and self.token_file is None:
            raise wrong(
                f"everybody who reaches {self.host} could read the names of your models and how they are used",
                "add token_file, or leave out host",
                at=("host",),
            )
        return self

    @property
    def is_local(self) -> bool:
        return ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/metrics"
