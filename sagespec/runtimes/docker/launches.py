"""A Launch as the settings of a container: limits, rights, labels, network.

`DockerRuntime.create` passes them on. Everything that makes our containers as safe as they are is here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from sagespec.runtimes.docker.files import inside
from sagespec.runtimes.docker.gpus import device_requests
from sagespec.spec.secrets import secret_names
from sagespec.state.labels import LABEL_MODEL, LABEL_PROJECT, LABEL_SECRETS, labels_of, resource_labels
from sagespec.state.launches import Launch, Mount
from sagespec.state.programs import Builtin

PORT = 8080  # where SageMaker's contract has every container listen; the gateway's image keeps to it too

# What images made for SageMaker do as root, and no more. nginx and gunicorn open their files, hand them
# to www-data, change to that user and later signal their workers; pip and apt do likewise when a script
# brings requirements; MPI starts its workers over an sshd, which locks itself into an empty root.
# Not in it, of Docker's own choice: raw sockets, device nodes, file capabilities, the audit log.
# Programs of images/ need none.
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SYS_CHROOT")


def settings_of(
    engine: Any,
    launch: Launch,
    *,
    project_name: str,
    network_name: str,
    address: str,
    hosts: Mapping[str, str],
    gpus: Sequence[str],
    marks: Mapping[str, str],
    variables: Mapping[str, str],
) -> dict[str, Any]:
    """All arguments of the SDK's create_container but the image. `hosts` are addresses by alias, `gpus` ids, `marks`
    further labels, `variables` the launch's with their secrets.

    Without an address it is in no network, where its own name has to be given, too.
    """
    is_users_own = not isinstance(launch.program, Builtin)
    host_config = engine.create_host_config(
        network_mode="host" if launch.folders else network_name if address else "none",
        extra_hosts=dict(hosts) if address else {launch.alias: "127.0.0.1"} if launch.alias else None,
        dns=["127.0.0.1"] if launch.isolated else None,  # else the engine asks its own for names of the internet
        port_bindings={PORT: launch.publish} if launch.publish else None,
        restart_policy={"Name": _restart_policy(launch)},
        log_config={"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        cap_drop=["ALL"],
        cap_add=list(CAPABILITIES) if is_users_own and not launch.folders else None,
        security_opt=["no-new-privileges"],
        pids_limit=4096,
        # Data loaders pass batches through /dev/shm; Docker's 64 MiB is where they break. It is counted
        # as the container's memory, and half of that is what Linux itself would give.
        shm_size=max(64 << 20, launch.memory // 2) if launch.memory else 2 << 30,
        # As in SageMaker the entrypoint is process 1. An init before it would reap zombies, but some
        # entrypoints (s6) refuse to start as anything else.
        init=False,
        mounts=[*(_mount(mount, project_name) for mount in launch.mounts), *map(_folder, launch.folders)],
        device_requests=device_requests(gpus),
        **_limits(launch),
    )
    networking = {network_name: engine.create_endpoint_config(ipv4_address=address)} if address else {}
    return {
        "command": launch.words,
        "entrypoint": list(launch.entrypoint) or None,
        "name": launch.name,
        "hostname": launch.alias or None,
        "user": _user(launch, is_users_own=is_users_own),
        "environment": dict(variables),
        "labels": labels_of(project_name, launch.address, launch.hash)
        | resource_labels(launch.cpus, launch.memory, gpus)
        | dict(marks)
        | ({LABEL_MODEL: launch.model} if launch.model else {})
        | ({LABEL_SECRETS: " ".join(names)} if (names := secret_names(launch.environment)) else {}),
        "ports": [PORT] if launch.publish else None,
        "host_config": host_config,
        "networking_config": engine.create_networking_config(networking),
        "stop_signal": "SIGTERM",  # SageMaker's, whatever the image asks for (nginx: SIGQUIT)
        "healthcheck": {"test": ["NONE"]},  # /ping is what counts, and is the gateway's to ask
    }


def _user(launch: Launch, *, is_users_own: bool) -> str | None:
    if launch.folders:
        return f"{os.getuid()}:{os.getgid()}"  # what it writes there is to be ours
    return "0:0" if is_users_own else None  # SageMaker runs every image as root


def _folder(folder: str) -> dict[str, Any]:
    return {"Target": folder, "Source": folder, "Type": "bind", "ReadOnly": False}


def _restart_policy(launch: Launch) -> str:
    if not launch.keep_running:
        return "no"
    return "on-failure" if launch.may_end else "unless-stopped"


def _limits(launch: Launch) -> dict[str, int]:
    limits = {"nano_cpus": round(launch.cpus * 1e9)} if launch.cpus is not None else {}
    if launch.memory is not None:
        limits["mem_limit"] = limits["memswap_limit"] = launch.memory  # equal: no swap on top
    return limits


def _mount(mount: Mount, project_name: str) -> dict[str, Any]:
    """As the engine's API has it, never for writing: that only a notebook's own folders are."""
    target = f"/{inside(mount.path)}"
    if mount.volume:
        labels = {"Labels": {LABEL_PROJECT: project_name}, "NoCopy": True}
        return {"Target": target, "Source": mount.volume, "Type": "volume", "VolumeOptions": labels}
    return {"Target": target, "Source": mount.source, "Type": "bind", "ReadOnly": True}
