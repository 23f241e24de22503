"""SageMaker's contract as data: the files under /opt/ml/input/config, the environment, and its limits.

`run` and `serve` give them to each container. Pure. Facts: AWS developer guide, "How Amazon SageMaker
Provides Training Information"; the SM_* names are those of sagemaker-training (params.py).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sagespec.spec.secrets import SecretUse
from sagespec.state.desired import DesiredChannel, DesiredColumns, DesiredJob

LARGEST_BODY_BYTES = 25 * 2**20  # of a request to an endpoint; images/gateway enforces it
MASTER_PORT = 7777  # what SageMaker's own drivers use for torchrun and the like
INSTANCE_TYPE = "local"
NETWORK_INTERFACE = "eth0"
REGION = "us-east-1"
ACCOUNT = "000000000000"
LOG_LEVEL = 20  # logging.INFO, what SageMaker's SDK asks for
CODE_FOLDER = "code"  # where the toolkits expect the user's scripts
FOLDERS = ("input/data", "model", "output/data")  # there before a program starts, so that it need not make them
LONGEST_VARIABLE = 128 * 1024 - 1  # characters with the name; one more and Linux starts no program with it

# Threads of OpenMP and OpenBLAS that wait for each other spin by default: those of two jobs on the same CPUs keep each
# other waiting, and both take many times as long. Libraries read these when they are loaded.
_IDLE_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "OPENBLAS_THREAD_TIMEOUT": "4"}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

# Hyperparameters of the toolkit's own that it keeps from scripts and from SM_FRAMEWORK_PARAMS (its params.py).
_TOOLKIT_OWN = frozenset(
    {
        *("sagemaker_program", "sagemaker_submit_directory", "sagemaker_enable_cloudwatch_metrics"),
        *("sagemaker_region", "sagemaker_container_log_level", "sagemaker_job_name", "sagemaker_s3_output"),
        *("default_user_module_name", "_tuning_objective_metric"),
    }
)
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
    inputdataconfig.json, resourceconfig.json, and checkpointconfig.json for a job with checkpoints. Not SageMaker's
    is columnsconfig.json, for a job whose spec names columns."""
    documents: dict[str, Any] = {
        "input/config/hyperparameters.json": hyperparameter_texts(job, base_dir),
        "input/config/inputdataconfig.json": _input_data_config(job),
        "input/config/resourceconfig.json": _resource_config(job, host),
    }
    if job.checkpoints:
        documents["input/config/checkpointconfig.json"] = {"LocalPath": f"{base_dir}/{job.checkpoints.path}"}
    if job.columns:
        documents["input/config/columnsconfig.json"] = _columns_config(job.columns)
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


def _columns_config(columns: DesiredColumns) -> dict[str, Any]:
    target = {"target": columns.target} if columns.target else {}
    return {"header": True, **target, "drop": list(columns.drop), "categorical": list(columns.categorical)}


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


def training_environment(job: DesiredJob, host: str, base_dir: str, *, processors: int) -> dict[str, str | SecretUse]:
    """Variables of one training container whose /opt/ml is at `base_dir`; the job's own ones win.

    TRAINING_JOB_* and the region are the platform's. The SM_* ones are what SageMaker's toolkit, and the drivers of
    its SDK 3, would set for a script, spelt as they spell them; given to every program here, so that one without
    them has them too. The runtime replaces SM_MASTER_ADDR where host names do not resolve. A hyperparameter that
    cannot name a variable (a=b) is in SM_HPS alone. processors: of the engine's machine, where the job has no limit.
    """
    name = training_job_name(job)
    platform = {
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name.lower()}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }
    facts = _toolkit_facts(job, host, base_dir, processors)
    toolkit = {variable: facts[variable] for variable in _TOOLKIT_VARIABLES}
    toolkit["FRAMEWORK_PARAMS"] = facts["ADDITIONAL_FRAMEWORK_PARAMETERS"]
    toolkit["CHANNELS"] = sorted(facts["CHANNEL_INPUT_DIRS"])
    toolkit |= {f"CHANNEL_{channel.upper()}": path for channel, path in facts["CHANNEL_INPUT_DIRS"].items()}
    nameable = {hp: value for hp, value in facts["HYPERPARAMETERS"].items() if not {"=", "\0"} & set(hp)}
    toolkit |= {f"HP_{hp.upper().replace('-', '_')}": value for hp, value in nameable.items()}  # the drivers' spelling
    toolkit |= {f"HP_{hp.upper()}": value for hp, value in nameable.items()}  # the toolkit's
    toolkit["HPS"] = facts["HYPERPARAMETERS"]
    toolkit["USER_ARGS"] = user_arguments(facts["HYPERPARAMETERS"])
    toolkit["TRAINING_ENV"] = {fact.lower(): value for fact, value in facts.items()}
    toolkit |= _driver_variables(job, host, base_dir)
    spelt = {f"SM_{variable}": _variable(value) for variable, value in toolkit.items()}
    passable = {variable: text for variable, text in spelt.items() if len(variable) + len(text) < LONGEST_VARIABLE}
    return platform | passable | thread_environment(job.cpus) | dict(job.environment)


def thread_environment(cpus: float | None) -> dict[str, str]:
    """Threads that sleep while they wait, so that jobs share CPUs well; as many as the job has CPUs, if it says so."""
    return _IDLE_THREADS | (dict.fromkeys(_THREADS, str(math.ceil(cpus))) if cpus else {})


def user_arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """The arguments a script is called with: sorted `--name value` pairs, as the toolkit spells them.

    >>> user_arguments({"lr": 0.1, "k": 3, "layers": {"a": 1, "b": 2}, "none": None})
    ['-k', '3', '--layers', 'a=1,b=2', '--lr', '0.1', '--none', '']
    """
    arguments = []
    for name, value in sorted(hyperparameters.items()):
        if isinstance(value, Mapping):
            value = ",".join(f"{key}={item}" for key, item in sorted(value.items()))
        arguments += [f"--{name}" if len(name) > 1 else f"-{name}", "" if value is None else str(value)]
    return arguments


_TOOLKIT_VARIABLES = (  # those that are in SM_TRAINING_ENV, too
    *(
        "CURRENT_HOST",
        "HOSTS",
        "NETWORK_INTERFACE_NAME",
        "RESOURCE_CONFIG",
        "INPUT_DATA_CONFIG",
        "CURRENT_INSTANCE_TYPE",
    ),
    *("CURRENT_INSTANCE_GROUP", "CURRENT_INSTANCE_GROUP_HOSTS", "INSTANCE_GROUPS", "INSTANCE_GROUPS_DICT"),
    *("DISTRIBUTION_INSTANCE_GROUPS", "IS_HETERO", "NUM_CPUS", "NUM_GPUS", "NUM_NEURONS", "LOG_LEVEL"),
    *("MODULE_NAME", "MODULE_DIR", "USER_ENTRY_POINT", "FRAMEWORK_MODULE", "INPUT_DIR", "INPUT_CONFIG_DIR"),
    *("OUTPUT_DIR", "OUTPUT_DATA_DIR", "OUTPUT_INTERMEDIATE_DIR", "MODEL_DIR"),
)


def _toolkit_facts(job: DesiredJob, host: str, base_dir: str, processors: int) -> dict[str, Any]:
    """What sagemaker-training knows of a job (its environment.Environment), by the names of the variables."""
    given = {name: _as_toolkit_reads(text) for name, text in hyperparameter_texts(job, base_dir).items()}
    framework = {name: v for name, v in given.items() if name.startswith("sagemaker_") and name not in _TOOLKIT_OWN}
    resources = _resource_config(job, host)
    group = resources["instance_groups"][0]
    is_distributed = any(value for name, value in framework.items() if name.endswith("_enabled"))
    program = str(given.get("sagemaker_program") or "")
    module = job.environment.get("SAGEMAKER_TRAINING_MODULE")
    return {
        "ADDITIONAL_FRAMEWORK_PARAMETERS": framework,
        "CHANNEL_INPUT_DIRS": {channel.name: f"{base_dir}/input/data/{channel.name}" for channel in job.channels},
        "CURRENT_HOST": host,
        "CURRENT_INSTANCE_GROUP": group["instance_group_name"],
        "CURRENT_INSTANCE_GROUP_HOSTS": resources["hosts"],
        "CURRENT_INSTANCE_TYPE": INSTANCE_TYPE,
        "DISTRIBUTION_HOSTS": resources["hosts"] if is_distributed else [],
        "DISTRIBUTION_INSTANCE_GROUPS": [group["instance_group_name"]] if is_distributed else [],
        "FRAMEWORK_MODULE": module if isinstance(module, str) else None,
        "HOSTS": resources["hosts"],
        "HYPERPARAMETERS": {n: v for n, v in given.items() if n not in framework and n not in _TOOLKIT_OWN},
        "INPUT_CONFIG_DIR": f"{base_dir}/input/config",
        "INPUT_DATA_CONFIG": _input_data_config(job),
        "INPUT_DIR": f"{base_dir}/input",
        "INSTANCE_GROUPS": [group["instance_group_name"]],
        "INSTANCE_GROUPS_DICT": {group["instance_group_name"]: group},
        "IS_HETERO": False,
        "IS_MASTER": host == resources["hosts"][0],
        "IS_MODELPARALLEL_ENABLED": None,
        "IS_SMDDPMPRUN_INSTALLED": False,
        "IS_SMDDPRUN_INSTALLED": False,
        "JOB_NAME": training_job_name(job),
        "LOG_LEVEL": given.get("sagemaker_container_log_level", LOG_LEVEL),
        "MASTER_HOSTNAME": resources["hosts"][0],
        "MODEL_DIR": f"{base_dir}/model",
        "MODULE_DIR": given.get("sagemaker_submit_directory", f"{base_dir}/{CODE_FOLDER}"),
        "MODULE_NAME": program.removesuffix(".py"),
        "NETWORK_INTERFACE_NAME": NETWORK_INTERFACE,
        "NUM_CPUS": max(1, math.ceil(job.cpus)) if job.cpus else processors,
        "NUM_GPUS": job.gpus,
        "NUM_NEURONS": 0,
        "OUTPUT_DATA_DIR": f"{base_dir}/output/data",
        "OUTPUT_DIR": f"{base_dir}/output",
        "OUTPUT_INTERMEDIATE_DIR": f"{base_dir}/output/intermediate",
        "RESOURCE_CONFIG": resources,
        "TOPOLOGY": [],
        "USER_ENTRY_POINT": program,
    }


def _driver_variables(job: DesiredJob, host: str, base_dir: str) -> dict[str, Any]:
    """What the drivers of SageMaker's SDK 3 (container_drivers/scripts/environment.py) set besides the toolkit's."""
    hosts = host_names(job)
    script = {"SOURCE_DIR": f"{base_dir}/{CODE_FOLDER}", "ENTRY_SCRIPT": job.code.entry_point} if job.code else {}
    return {
        "INPUT_DATA_DIR": f"{base_dir}/input/data",
        "OUTPUT_FAILURE": f"{base_dir}/output/failure",
        "HOST_COUNT": len(hosts),
        "CURRENT_HOST_RANK": hosts.index(host),
        "MASTER_ADDR": hosts[0],
        "MASTER_PORT": MASTER_PORT,
        **script,
    }


def _as_toolkit_reads(text: str) -> Any:
    """A value of hyperparameters.json: what it is as JSON, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _variable(value: Any) -> str:
    return "" if value is None else hyperparameter_text(value)


def serving_environment(
    environment: Mapping[str, str | SecretUse], cpus: float | None, *, accelerate: str = ""
) -> dict[str, str | SecretUse]:
    """Variables of one serving container; as many model server workers as it has CPUs, unless it says otherwise."""
    workers = {"SAGEMAKER_MODEL_SERVER_WORKERS": str(max(1, round(cpus)))} if cpus else {}
    accelerated = {"SAGESPEC_ACCELERATE": accelerate} if accelerate else {}
    return {**workers, **environment, **accelerated}
