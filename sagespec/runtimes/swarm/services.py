"""A Launch as the settings of a service: limits, rights, labels, networks. Pure: nothing here asks a manager."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sagespec.runtimes.docker.files import BASE
from sagespec.runtimes.docker.launches import CAPABILITIES, PORT
from sagespec.runtimes.swarm.names import (
    LABEL_CONTAINER,
    LABEL_MADE_FROM,
    LABEL_MAY_END,
    LABEL_NODE,
    LABEL_PART,
    LABEL_PUBLISHED,
    LABEL_VOLUMES,
    NOWHERE,
    part_of,
)
from sagespec.spec.secrets import secret_names
from sagespec.state.labels import LABEL_MODEL, LABEL_SECRETS, labels_of, resource_labels
from sagespec.state.launches import Launch
from sagespec.state.programs import Builtin

SHARED_MEMORY = "/dev/shm"  # noqa: S108  # of the container
_NANO = 1_000_000_000
_RESTART_AFTER_SECONDS = 1
_MOST_PROCESSES = 4096


@dataclass(frozen=True)
class Place:
    """Where a container is put. node: the id of the one that it is bound to, '' for any. volume: what it has as its
    /opt/ml; '' for what is in its image. volumes: names by path in there. networks: ids, each with further names that
    it has there. gpus: ids, of a node that is known. secrets: ids of the Swarm's by the names of ours."""

    node: str = ""
    volume: str = ""
    volumes: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    gpus: Sequence[str] = ()
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def service_of(
    launch: Launch,
    place: Place,
    *,
    project_name: str,
    name: str,
    image: str,
    made_from: str,
    marks: Mapping[str, str],
    variables: Mapping[str, str],
) -> dict[str, Any]:
    """What is sent to /services/create, of a container that is not started. image: as every node can get it; made_from:
    as `Container.image` names it. marks: further labels; variables: the launch's with their secrets."""
    part = part_of(launch)
    labels = (
        labels_of(project_name, launch.address, launch.hash)
        | resource_labels(launch.cpus, launch.memory, place.gpus)
        | dict(marks)
        | {LABEL_CONTAINER: launch.name, LABEL_PART: part, LABEL_MADE_FROM: made_from}
        | {
            label: text
            for label, text in {
                LABEL_MODEL: launch.model,
                LABEL_SECRETS: " ".join(secret_names(launch.environment)),
                LABEL_NODE: place.node,
                LABEL_VOLUMES: " ".join(place.volumes.values()),
                LABEL_PUBLISHED: str(launch.publish[1]) if launch.publish else "",
                LABEL_MAY_END: "yes" if launch.may_end else "",
            }.items()
            if text
        }
    )
    return {
        "Name": name,
        "Labels": labels,
        "TaskTemplate": {
            "ContainerSpec": _container(launch, place, image, variables),
            "Resources": {
                "Limits": _limits(launch) | {"Pids": _MOST_PROCESSES},
                # A job's courier holds what the job needs: so both are where that is free. Of GPUs see gpus.py.
                "Reservations": {} if part == "job" else _limits(launch),
            },
            "RestartPolicy": {"Condition": _restarts(launch), "Delay": _RESTART_AFTER_SECONDS * _NANO},
            "Placement": {"Constraints": constraints(place.node)},
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m", "max-file": "3"}},
            "Networks": [{"Target": network, "Aliases": list(names)} for network, names in place.networks.items()],
            "ForceUpdate": 0,  # counts the starts
        },
        "Mode": {"Replicated": {"Replicas": 0}},
        # Never a second one beside it, and at once, whatever the first does.
        "UpdateConfig": {"Parallelism": 1, "Order": "stop-first", "FailureAction": "continue", "Monitor": _NANO},
        "EndpointSpec": {"Mode": "dnsrr", "Ports": _ports(launch)},
    }


def constraints(node: str) -> list[str]:
    return [f"node.id=={node}"] if node else []


def started(spec: dict[str, Any], start: int, image: str = "") -> None:
    """Have it run as its start number `start`, where it is bound to."""
    template = spec["TaskTemplate"]
    template["ForceUpdate"] = start
    template.setdefault("Placement", {})["Constraints"] = constraints(spec["Labels"].get(LABEL_NODE, ""))
    spec["Mode"]["Replicated"]["Replicas"] = 1
    if image:
        template["ContainerSpec"]["Image"] = image


def stopped(spec: dict[str, Any]) -> None:
    """Have it end, and keep its end."""
    spec["TaskTemplate"].setdefault("Placement", {})["Constraints"] = [NOWHERE]


def is_stopped(spec: Mapping[str, Any]) -> bool:
    return NOWHERE in ((spec["TaskTemplate"].get("Placement") or {}).get("Constraints") or ())


def start_of(spec: Mapping[str, Any]) -> int:
    """How often it has been started; 0 for what was not."""
    return int(spec["TaskTemplate"].get("ForceUpdate") or 0) if spec["Mode"]["Replicated"].get("Replicas") else 0


def _container(launch: Launch, place: Place, image: str, variables: Mapping[str, str]) -> dict[str, Any]:
    is_users_own = not isinstance(launch.program, Builtin)
    gpus = {"NVIDIA_VISIBLE_DEVICES": ",".join(place.gpus)} if place.gpus else {}
    settings: dict[str, Any] = {
        "Image": image,
        "Args": launch.words,
        "Env": [f"{name}={value}" for name, value in (dict(variables) | gpus).items()],
        "Labels": {LABEL_CONTAINER: launch.name} | ({LABEL_MODEL: launch.model} if launch.model else {}),
        "StopSignal": "SIGTERM",  # SageMaker's, whatever the image asks for
        "StopGracePeriod": round(launch.grace_seconds * _NANO),
        "Healthcheck": {"Test": ["NONE"]},  # /ping is what counts, and is the gateway's to ask
        "CapabilityDrop": ["ALL"],
        "CapabilityAdd": [f"CAP_{name}" for name in CAPABILITIES] if is_users_own else [],
        "Privileges": {"NoNewPrivileges": True},  # heard from API 1.44 on; before, the engine's own setting counts
        "Init": False,
        "Mounts": _mounts(launch, place),
        "Secrets": [
            {
                "SecretID": secret_id,
                "SecretName": secret_name,
                "File": {"Name": name, "UID": "0", "GID": "0", "Mode": 0o444},
            }
            for name, (secret_id, secret_name) in place.secrets.items()
        ],
    }
    if launch.entrypoint:
        settings["Command"] = list(launch.entrypoint)
    if launch.alias:
        settings["Hostname"] = launch.alias
    if is_users_own:
        settings["User"] = "0:0"  # SageMaker runs every image as root
    return settings


def _mounts(launch: Launch, place: Place) -> list[dict[str, Any]]:
    shared_memory = max(64 << 20, launch.memory // 2) if launch.memory else 2 << 30
    own = {"": place.volume} if place.volume else {}
    return [
        {"Type": "tmpfs", "Target": SHARED_MEMORY, "TmpfsOptions": {"SizeBytes": shared_memory}},
        *(volume_mount(volume, path) for path, volume in (own | dict(place.volumes)).items()),
    ]


def volume_mount(volume: str, path: str = "") -> dict[str, Any]:
    """path: below /opt/ml."""
    target = f"{BASE}/{path}".rstrip("/")
    return {"Type": "volume", "Source": volume, "Target": target, "VolumeOptions": {"NoCopy": True}}


def _limits(launch: Launch) -> dict[str, Any]:
    cpus = {"NanoCPUs": round(launch.cpus * _NANO)} if launch.cpus is not None else {}
    return cpus | ({"MemoryBytes": launch.memory} if launch.memory is not None else {})


def _restarts(launch: Launch) -> str:
    if not launch.keep_running:
        return "none"
    return "on-failure" if launch.may_end else "any"


def _ports(launch: Launch) -> list[dict[str, Any]]:
    if not launch.publish:
        return []
    return [{"Protocol": "tcp", "TargetPort": PORT, "PublishedPort": launch.publish[1], "PublishMode": "host"}]
