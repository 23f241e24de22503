"""SageMaker's training contract as data: the files under /opt/ml/input/config and the environment.

`train` writes them into each container. Pure. Facts: AWS developer guide, "How Amazon SageMaker
Provides Training Information"; the SM_* names are those of sagemaker-training (params.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sagespec.state import DesiredChannel, DesiredJob, Launch, container_name

MASTER_PORT = 7777  # what SageMaker's own drivers use for torchrun and alike
INSTANCE_TYPE = "local"
NETWORK_INTERFACE = "eth0"
REGION = "us-east-1"
ACCOUNT = "000000000000"
LOG_LEVEL = 20  # logging.INFO, what SageMaker's SDK asks for
CODE_FOLDER = "code"  # where the toolkits expect the user's scripts

STOP_GRACE_SECONDS = 120.0  # between SIGTERM and SIGKILL of a training container
SERVE_GRACE_SECONDS = 30.0  # the same for a serving one
FAILURE_REASON_LENGTH = 1024  # characters of output/failure that become the FailureReason


def host_names(job: DesiredJob) -> tuple[str, ...]:
    """algo-1 … algo-N, sorted as SageMaker sorts them: by text."""
    return tuple(sorted(f"algo-{number}" for number in range(1, job.instances + 1)))


def training_job_name(job: DesiredJob) -> str:
    """A legal TrainingJobName (63 letters, digits, hyphens) for `name@version`."""
    suffix = f"-{job.version}"
    return job.name[: 63 - len(suffix)].rstrip("-") + suffix


def hyperparameter_text(value: Any) -> str:
    """A hyperparameter as the string the container gets: strings as they are, all else as JSON."""
    return value if isinstance(value, str) else _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def config_files(job: DesiredJob, host: str, base_dir: str) -> Mapping[str, bytes]:
    """The documents of input/config for one host whose /opt/ml is at `base_dir`, by path: hyperparameters.json,
    inputdataconfig.json, resourceconfig.json, and checkpointconfig.json for a job with checkpoints."""
    documents: dict[str, Any] = {
        "input/config/hyperparameters.json": hyperparameter_texts(job, base_dir),
        "input/config/inputdataconfig.json": _input_data_config(job),
        "input/config/resourceconfig.json": _resource_config(job, host),
    }
    if job.checkpoints:
        documents["input/config/checkpointconfig.json"] = {"LocalPath": f"{base_dir}/{job.checkpoints.path}"}
    return {path: json.dumps(document, indent=1).encode() for path, document in documents.items()}


def hyperparameter_texts(job: DesiredJob, base_dir: str) -> dict[str, str]:
    """hyperparameters.json: name to string, sorted by name.

    For a job with a script, values are JSON texts (strings keep their quotes) and the toolkit's own are added, as
    SageMaker's SDK sends them.
    """
    if job.code is None:
        return {name: hyperparameter_text(value) for name, value in sorted(job.hyperparameters.items())}
    own: dict[str, Any] = {
        "sagemaker_program": job.code.entry_point,
        "sagemaker_submit_directory": f"{base_dir}/{CODE_FOLDER}",
        "sagemaker_container_log_level": LOG_LEVEL,
        "sagemaker_job_name": training_job_name(job),
        "sagemaker_region": REGION,
    }
    if job.distribution:
        own[f"sagemaker_{job.distribution}_enabled"] = True
    return {name: _compact(value) for name, value in sorted((own | dict(job.hyperparameters)).items())}


_INPUT_MODES = {"file": "File", "fastfile": "FastFile", "pipe": "Pipe"}


def _input_data_config(job: DesiredJob) -> dict[str, dict[str, str]]:
    return {channel.name: _channel_config(channel) for channel in job.channels}


def _channel_config(channel: DesiredChannel) -> dict[str, str]:
    config = {
        "TrainingInputMode": _INPUT_MODES[channel.input_mode],
        "S3DistributionType": "ShardedByS3Key" if channel.sharded else "FullyReplicated",
        "RecordWrapperType": "RecordIO" if channel.recordio else "None",
    }
    return config | ({"ContentType": channel.content_type} if channel.content_type else {})


def _resource_config(job: DesiredJob, host: str) -> dict[str, Any]:
    hosts = list(host_names(job))
    group = "homogeneousCluster"
    return {
        "current_host": host,
        "current_instance_type": INSTANCE_TYPE,
        "current_group_name": group,
        "hosts": hosts,
        "instance_groups": [{"instance_group_name": group, "instance_type": INSTANCE_TYPE, "hosts": hosts}],
        "network_interface_name": NETWORK_INTERFACE,
    }


def training_launches(project_name: str, job: DesiredJob) -> tuple[Launch, ...]:
    """One launch for each host of the job, the master first; `environment` still without paths."""
    hosts = host_names(job)
    addresses = [replace(job.address, instance=index) for index in range(job.instances)]
    names = tuple(container_name(project_name, address, job.key) for address in addresses)
    return tuple(
        Launch(
            name=name,
            address=address,
            hash=job.key,
            program=job.program,
            command="train",
            environment=dict(job.environment),
            cpus=job.cpus,
            memory=job.memory,
            alias=host,
            hosts=names,
            entrypoint=job.entrypoint,
            arguments=job.arguments,
        )
        for name, address, host in zip(names, addresses, hosts, strict=True)
    )


def training_environment(job: DesiredJob, host: str, base_dir: str) -> dict[str, str]:
    """Variables of one training container whose /opt/ml is at `base_dir`; the job's own ones win.

    TRAINING_JOB_* and the region are the platform's. The SM_* ones are what SageMaker's toolkit would set
    for a script, given to every program here so that one without the toolkit has them too. The runtime
    replaces SM_MASTER_ADDR where host names do not resolve. A hyperparameter that cannot name a variable (a=b)
    is in SM_HPS alone.
    """
    hosts = host_names(job)
    name = training_job_name(job)
    channels = sorted(channel.name for channel in job.channels)
    values: dict[str, Any] = {
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name.lower()}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "SM_HOSTS": hosts,
        "SM_CURRENT_HOST": host,
        "SM_HOST_COUNT": str(len(hosts)),
        "SM_CURRENT_HOST_RANK": str(hosts.index(host)),
        "SM_MASTER_ADDR": hosts[0],
        "SM_MASTER_PORT": str(MASTER_PORT),
        "SM_NETWORK_INTERFACE_NAME": NETWORK_INTERFACE,
        "SM_CURRENT_INSTANCE_TYPE": INSTANCE_TYPE,
        "SM_HPS": dict(job.hyperparameters),
        "SM_RESOURCE_CONFIG": _resource_config(job, host),
        "SM_INPUT_DATA_CONFIG": _input_data_config(job),
        "SM_INPUT_DIR": f"{base_dir}/input",
        "SM_INPUT_CONFIG_DIR": f"{base_dir}/input/config",
        "SM_OUTPUT_DIR": f"{base_dir}/output",
        "SM_OUTPUT_DATA_DIR": f"{base_dir}/output/data",
        "SM_OUTPUT_INTERMEDIATE_DIR": f"{base_dir}/output/intermediate",
        "SM_MODEL_DIR": f"{base_dir}/model",
        "SM_CHANNELS": channels,
    }
    values |= {f"SM_CHANNEL_{channel.upper()}": f"{base_dir}/input/data/{channel}" for channel in channels}
    nameable = {hp: value for hp, value in job.hyperparameters.items() if not {"=", "\0"} & set(hp)}
    values |= {f"SM_HP_{hp.upper()}": value for hp, value in sorted(nameable.items())}
    return {key: _variable(value) for key, value in values.items()} | dict(job.environment)


def _variable(value: Any) -> str:
    return "" if value is None else hyperparameter_text(value)


def shard(objects: Sequence[str], host_index: int, host_count: int) -> list[str]:
    """The objects of one host under ShardedByS3Key: about 1/n of them, every n-th in key order."""
    return sorted(objects)[host_index::host_count]


def serving_environment(environment: Mapping[str, str], cpus: float | None) -> dict[str, str]:
    """Variables of one serving container; as many model server workers as it has CPUs, unless it says otherwise."""
    workers = {"SAGEMAKER_MODEL_SERVER_WORKERS": str(max(1, round(cpus)))} if cpus else {}
    return {**workers, **environment}
