"""Scripts on several hosts wait with this until the hosts can find each other."""

from __future__ import annotations

import json
import os

import sagespec_toolkit  # noqa: F401
from toolkit.hosts import address_of


def _wait_hostname_resolution() -> None:
    wait_for(json.loads(os.environ.get("SM_HOSTS", "[]")))


def wait_for(hosts: list[str]) -> None:
    """Until the name of each host is known. Local processes meet at SM_MASTER_ADDR, and their hosts have no names."""
    meeting_point = os.environ.get("SM_MASTER_ADDR")
    for name in hosts if meeting_point in (None, "", *hosts) else [meeting_point]:
        address_of(str(name))
