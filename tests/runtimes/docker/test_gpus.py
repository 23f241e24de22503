"""GPUs by id, in what engines say of themselves; the answers are those of Docker's API documentation and issues.

No machine of ours has a GPU: the settings are checked as an engine takes them, and never ran on one.
"""

from __future__ import annotations

from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.docker.gpus import device_requests, gpu_ids
from sagespec.runtimes.machine import choose_gpus, visible

# Engine 28.3 and later, with NVIDIA's container toolkit: each device under its index, its UUID, and all of them.
DISCOVERED = {
    "DiscoveredDevices": [
        {"Source": "cdi", "ID": "nvidia.com/gpu=GPU-45cbf7b3-f919-7228-7a26-b06628ebefa1"},
        {"Source": "cdi", "ID": "nvidia.com/gpu=10"},
        {"Source": "cdi", "ID": "nvidia.com/gpu=2"},
        {"Source": "cdi", "ID": "nvidia.com/gpu=all"},
        {"Source": "cdi", "ID": "vendor.com/net=eth7"},
    ],
    "Runtimes": {"runc": {}, "nvidia": {}},
}
GENERIC = {
    "GenericResources": [
        {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 3}},
        {"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": "GPU-45cbf7"}},
        {"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": "GPU-a1b2c3"}},
        {"NamedResourceSpec": {"Kind": "FPGA", "Value": "one"}},
    ]
}


@pytest.mark.parametrize(
    ("info", "ids"),
    [
        (DISCOVERED, ("nvidia.com/gpu=2", "nvidia.com/gpu=10")),
        ({"DiscoveredDevices": DISCOVERED["DiscoveredDevices"][:1]}, (DISCOVERED["DiscoveredDevices"][0]["ID"],)),  # type: ignore[index]
        (GENERIC, ("GPU-45cbf7", "GPU-a1b2c3")),
        ({"DiscoveredDevices": None, "GenericResources": None, "Runtimes": {"nvidia": {}}}, ("GPU-here",)),
        ({"Runtimes": {"runc": {}}}, ()),
        ({}, ()),
    ],
)
def test_an_engine_tells_its_gpus_in_one_of_three_ways(info: dict[str, Any], ids: tuple[str, ...]) -> None:
    assert gpu_ids(info, lambda: ("GPU-here",)) == ids


def test_gpus_are_asked_for_as_the_docker_command_does_it() -> None:
    assert device_requests(()) is None
    assert device_requests(["nvidia.com/gpu=0", "nvidia.com/gpu=1"]) == [
        {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]}
    ]
    assert device_requests(["GPU-45cbf7"]) == [
        {"Driver": "nvidia", "DeviceIDs": ["GPU-45cbf7"], "Capabilities": [["gpu"]]}
    ]


def test_nobody_is_given_what_somebody_has() -> None:
    assert choose_gpus(1, ("a", "b", "c"), {"a": "job/x@1"}, "job/y@1") == ("b",)
    assert choose_gpus(0, (), {}, "job/y@1") == ()
    with pytest.raises(WorldError) as raised:
        choose_gpus(2, ("a", "b"), {"a": "job/x@1", "of another driver": "job/z@1"}, "job/y@1#0")
    assert str(raised.value) == (
        "job/y@1#0 needs 2 GPUs of its own, and of 2 there is 1 free\n"
        "  why  a GPU is never shared: job/x@1 has a\n"
        "  fix  apply again when one is free, or remove what holds it; `sagespec doctor` shows what the engine has"
    )


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        (None, ("GPU-a", "GPU-b")),
        ("", ()),
        ("1,0", ("GPU-b", "GPU-a")),
        ("0,7,1", ("GPU-a",)),
        ("-1", ()),
        ("GPU-b", ("GPU-b",)),
        ("NoDevFiles", ()),
    ],
)
def test_gpus_hidden_from_us_are_hidden_from_ours(asked: str | None, left: tuple[str, ...]) -> None:
    assert visible(("GPU-a", "GPU-b"), asked) == left
