"""A Docker engine's GPUs: their ids in what it says of itself, and some of them as a container's setting.

`DockerRuntime.capacity` and `create` ask here. No machine of ours had a GPU: this is held by what engines' own
documentation says they answer, and never ran on one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sagespec.runtimes.machine import choose_gpus
from sagespec.state.launches import Launch

# CDI names: vendor/class=device. A GPU has several, beside its index its UUID, and `all` names all of them.
_CDI_GPU = re.compile(r"[\w.-]+/gpu=(?P<device>.+)")


def gpu_ids(info: Mapping[str, Any], ask_this_machine: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Ids by which this engine takes GPUs, from its answer to GET /info.

    In this order: the CDI devices it has found (DiscoveredDevices, Engine 28.3), what daemon.json declares as
    node-generic-resources (GenericResources), and what `ask_this_machine` finds, where an engine has NVIDIA's
    runtime.
    """
    return (
        _cdi_gpus([str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or ()])
        or _generic_gpus(info.get("GenericResources") or ())
        or (ask_this_machine() if "nvidia" in (info.get("Runtimes") or {}) else ())
    )


def gpus_by_container(
    launches: Sequence[Launch], gpus: tuple[str, ...], taken: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """GPUs by container name, of those that no container of any project has. taken: holder by id."""
    chosen: dict[str, tuple[str, ...]] = {}
    held = dict(taken)
    for launch in launches:
        chosen[launch.name] = choose_gpus(launch.gpus, gpus, held, str(launch.address))
        held |= dict.fromkeys(chosen[launch.name], str(launch.address))
    return chosen


def _cdi_gpus(names: Sequence[str]) -> tuple[str, ...]:
    devices = {name: match["device"] for name in names if (match := _CDI_GPU.fullmatch(name))}
    by_index = [name for name, device in devices.items() if device.isdecimal()]
    by_uuid = [name for name, device in devices.items() if device.startswith("GPU-")]
    return tuple(sorted(by_index, key=lambda name: (name.partition("=")[0], int(devices[name])))) or tuple(by_uuid)


def _generic_gpus(resources: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Only named ones (NVIDIA-GPU=GPU-45cbf7…): a mere number has no ids."""
    named = [resource.get("NamedResourceSpec") or {} for resource in resources]
    return tuple(str(spec["Value"]) for spec in named if "gpu" in str(spec.get("Kind", "")).lower())


def device_requests(gpus: Sequence[str]) -> list[dict[str, Any]] | None:
    """The container's DeviceRequests, as `docker run --device` (CDI) and `--gpus device=…` send them."""
    if not gpus:
        return None
    if all(_CDI_GPU.fullmatch(gpu) for gpu in gpus):
        return [{"Driver": "cdi", "DeviceIDs": list(gpus)}]
    return [{"Driver": "nvidia", "DeviceIDs": list(gpus), "Capabilities": [["gpu"]]}]
