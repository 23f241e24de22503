"""What a script is given: its arguments, the SM_* variables, and those that its launcher reads.

Facts: sagemaker-training 5.1 (mapping.py, environment.py, params.py); TF_CONFIG as the hosted TensorFlow container
writes it. The platform sets most of SM_* for every program; here they are made whole, and from what the container
itself can see, so that an image of ours runs on any platform that keeps the contract.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from toolkit.script_job import PREFIX, Script

# Those of sagemaker_* that are the platform's own; the others are parameters of the framework.
PLATFORM_PARAMETERS = frozenset(
    PREFIX + name
    for name in ("program", "submit_directory", "container_log_level", "job_name", "region", "s3_output", "base_dir")
)
ONLY_IN_TRAINING_ENV = frozenset(
    {
        "additional_framework_parameters",
        "channel_input_dirs",
        "distribution_hosts",
        "hyperparameters",
        "is_master",
        "job_name",
        "master_hostname",
    }
)
MULTI_WORKER_MIRRORED = "sagemaker_multi_worker_mirrored_strategy_enabled"
INFO = 20


def arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """Sorted `--name value`; a one-letter name takes one dash, a map becomes k=v,k=v.

    >>> arguments({"epochs": 3, "b": True, "sizes": {"y": 2, "x": 1}})
    ['-b', 'True', '--epochs', '3', '--sizes', 'x=1,y=2']
    """
    return [word for name in sorted(hyperparameters) for word in (_option(name), _argument(hyperparameters[name]))]


def _option(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}"


def _argument(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={value[key]}" for key in sorted(value))
    return "" if value is None else str(value)


def environment(script: Script) -> dict[str, str]:
    """All that the toolkit sets for a script: SM_*, and the launcher's own variables."""
    facts = _facts(script)
    values = {
        **{name: value for name, value in facts.items() if name not in ONLY_IN_TRAINING_ENV},
        "hps": script.hyperparameters,
        "channels": sorted(script.inputs),
        "framework_params": facts["additional_framework_parameters"],
        "user_args": arguments(script.hyperparameters),
        "training_env": facts,
        **{f"channel_{name}": path for name, path in facts["channel_input_dirs"].items()},
        **{f"hp_{name}": value for name, value in script.hyperparameters.items() if not {"=", "\0"} & set(name)},
    }
    return {f"SM_{name.upper()}": _variable(value) for name, value in values.items()} | _launcher_variables(script)


def _facts(script: Script) -> dict[str, Any]:
    """The toolkit's training environment: what SM_TRAINING_ENV holds."""
    base, resources = script.base, script.resources
    groups = resources.get("instance_groups", [])
    group = resources.get("current_group_name", "homogeneousCluster")
    framework_parameters = {name: value for name, value in script.settings.items() if name not in PLATFORM_PARAMETERS}
    is_distributed = any(value is True and name.endswith("_enabled") for name, value in framework_parameters.items())
    return {
        "additional_framework_parameters": framework_parameters,
        "channel_input_dirs": {name: f"{base}/input/data/{name}" for name in script.inputs},
        "current_host": script.hosts.current,
        "current_instance_group": group,
        "current_instance_group_hosts": next((g["hosts"] for g in groups if g["instance_group_name"] == group), []),
        "current_instance_type": resources.get("current_instance_type", "local"),
        "distribution_hosts": list(script.hosts.names) if is_distributed else [],
        "distribution_instance_groups": [group] if is_distributed else [],
        "framework_module": os.environ.get("SAGEMAKER_TRAINING_MODULE") or _framework_module(script.framework),
        "hosts": list(script.hosts.names),
        "hyperparameters": script.hyperparameters,
        "input_config_dir": f"{base}/input/config",
        "input_data_config": script.inputs,
        "input_dir": f"{base}/input",
        "instance_groups": [g["instance_group_name"] for g in groups],
        "instance_groups_dict": {g["instance_group_name"]: g for g in groups},
        "is_hetero": len(groups) > 1,
        "is_master": script.hosts.is_master,
        "job_name": script.settings.get(f"{PREFIX}job_name"),
        "log_level": script.settings.get(f"{PREFIX}container_log_level", INFO),
        "master_hostname": script.hosts.names[0],
        "model_dir": f"{base}/model",
        "module_dir": str(script.code),
        "module_name": script.entry_point.removesuffix(".py"),
        "network_interface_name": script.network_interface,
        "num_cpus": os.cpu_count() or 1,
        "num_gpus": gpu_count(),
        "num_neurons": 0,
        "output_data_dir": f"{base}/output/data",
        "output_dir": f"{base}/output",
        "output_intermediate_dir": f"{base}/output/intermediate",
        "resource_config": resources,
        "user_entry_point": script.entry_point,
    }


def _framework_module(framework: str) -> str:
    return f"sagemaker_{'pytorch' if framework == 'huggingface' else framework}_container.training:main"


def _variable(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _launcher_variables(script: Script) -> dict[str, str]:
    address, port = script.master
    values = {
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": script.network_interface,
        "NCCL_SOCKET_IFNAME": script.network_interface,
    }
    if script.settings.get(MULTI_WORKER_MIRRORED):
        values["TF_CONFIG"] = json.dumps(tf_config(script))
    return values


def tf_config(script: Script) -> dict[str, Any]:
    """TF_CONFIG of MultiWorkerMirroredStrategy: every host a worker, the first its chief.

    The worker of rank r listens on the master's port + r, since in local processes all share one address.
    """
    names = script.hosts.names
    address, port = script.master
    addresses = names if address == names[0] else [address] * len(names)
    workers = [f"{host}:{port + rank}" for rank, host in enumerate(addresses)]
    return {
        "cluster": {"worker": workers},
        "environment": "cloud",
        "task": {"index": script.rank, "type": "worker"},
    }


def gpu_count() -> int:
    if not shutil.which("nvidia-smi"):
        return 0
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
