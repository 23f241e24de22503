"""Names and labels of what is ours in a Swarm. A service's name is short; all that it stands for is in its labels."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

from sagespec.state.launches import Launch

Part = Literal["job", "serving", "pinned"]  # the three kinds of container

LABEL_CONTAINER = "sagespec.container"  # its name, as everybody else knows it
LABEL_PART = "sagespec.part"
LABEL_MADE_FROM = "sagespec.made-from"  # the image, as `Container.image` names it
LABEL_VOLUMES = "sagespec.volumes"  # those that it shares with others
LABEL_NODE = "sagespec.node"  # the id of the node that it is bound to
LABEL_PUBLISHED = "sagespec.published"
LABEL_MAY_END = "sagespec.may-end"

NOWHERE = "node.id==none"  # the constraint of what has been stopped: its end is kept, and nothing else begins

_PROJECT_LETTERS = 20
_HASH_LETTERS = 16


def service_name(project_name: str, container_name: str) -> str:
    """At most 63 letters that a DNS name may have, however long the container's name is.

    >>> service_name("acme_eu", "sagespec_acme_eu_gateway")
    'ss-acme-eu-c47c46b18bfad8e4'
    """
    digest = hashlib.sha256(f"{project_name}\0{container_name}".encode()).hexdigest()
    return f"ss-{_slug(project_name)}-{digest[:_HASH_LETTERS]}"


def project_network(project_name: str) -> str:
    """Where the gateway reaches what serves."""
    return f"sagespec_{project_name}_serve"


def part_of(launch: Launch) -> Part:
    if launch.publish or launch.address.kind == "gateway":
        return "pinned"
    return "serving" if launch.keep_running else "job"


def _slug(project_name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", project_name.lower()).strip("-")[:_PROJECT_LETTERS].rstrip("-")
