"""A control plane that listens, as tests ask it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from sagespec.api.key import Key, read_key
from sagespec.api.serve import Listening


@dataclass
class Plane:
    """A control plane that listens. told: what it has said to the person at the terminal."""

    root: Path
    listening: Listening
    told: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.listening.url

    @property
    def key(self) -> Key:
        found = read_key(self.root / ".sagespec")
        assert found
        return found

    def client(self, service: str, **more: Any) -> Any:
        given: dict[str, Any] = {
            "endpoint_url": self.url,
            "region_name": "us-east-1",
            "aws_access_key_id": self.key.access,
            "aws_secret_access_key": self.key.secret,
            "config": Config(retries={"total_max_attempts": 1}),
        }
        session: Any = boto3.Session()
        return session.client(service, **given | more)
