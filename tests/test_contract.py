"""SageMaker's training contract as data. What the toolkit itself says of a job: scenarios/test_own_containers.py."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sagespec import contract
from sagespec.contract import (
    config_files,
    serving_environment,
    training_environment,
    training_job_name,
    user_arguments,
)
from sagespec.gateway.documents import INVOCATION_SECONDS, PING_SECONDS
from sagespec.run.launches import training_launches
from sagespec.runtimes.choose import images_dir
from sagespec.spec.job import Stopping
from sagespec.spec.rollout import Rollout
from sagespec.state.desired import DesiredJob
from tests.fakes.specs import desired_from

SCRIPT = {"image": "acme", "entry_point": "src/train.py", "source_dir": "s3://acme/code.tar.gz"}


def a_job(**fields: Any) -> DesiredJob:
    (job,) = desired_from({"kind": "TrainingJob", "name": "churn", "version": 3, "image": "acme", **fields}).jobs
    return job


def environment_of(job: DesiredJob, host: str = "algo-1", processors: int = 2) -> dict[str, str]:
    found = training_environment(job, host, "/opt/ml", processors=processors)
    return {name: value for name, value in found.items() if isinstance(value, str)}


def config_of(job: DesiredJob, name: str, host: str = "algo-1") -> Any:
    return json.loads(config_files(job, host, "/opt/ml")[f"input/config/{name}.json"])


# -- files -----------------------------------------------------------------------------------------


def test_hyperparameters_are_strings_by_name() -> None:
    given = {"eta": 0.1, "num_round": 100, "objective": "reg:squarederror", "layers": [1, 2], "fast": True}
    assert config_of(a_job(hyperparameters=given), "hyperparameters") == {
        "eta": "0.1",
        "fast": "true",
        "layers": "[1,2]",
        "num_round": "100",
        "objective": "reg:squarederror",
    }


def test_the_names_of_columns_have_a_file_of_their_own() -> None:
    channels = {"train": {"source": "s3://b/t", "target": "y", "drop": ["id"]}, "validation": "s3://b/v"}
    spec = {"kind": "TrainingJob", "name": "a", "version": 1, "algorithm": "xgboost", "channels": channels}
    (job,) = desired_from(spec | {"hyperparameters": {"num_round": 1}}).jobs
    assert config_of(job, "columnsconfig") == {"header": True, "target": "y", "drop": ["id"], "categorical": []}
    assert "ContentType" not in config_of(job, "inputdataconfig")["train"]
    assert "input/config/columnsconfig.json" not in config_files(a_job(), "algo-1", "/opt/ml")


def test_a_scripts_hyperparameters_are_json_texts_with_the_toolkits_own() -> None:
    job = a_job(**SCRIPT, hyperparameters={"name": "x"}, distribution="torch_distributed")
    assert config_of(job, "hyperparameters") == {
        "name": '"x"',
        "sagemaker_container_log_level": "20",
        "sagemaker_job_name": '"churn-3"',
        "sagemaker_program": '"src/train.py"',
        "sagemaker_region": '"us-east-1"',
        "sagemaker_submit_directory": '"/opt/ml/code"',
        "sagemaker_torch_distributed_enabled": "true",
    }


def test_each_channel_tells_its_mode_its_distribution_and_its_content_type() -> None:
    channels = {
        "train": {"source": "s3://acme/train/", "content_type": "text/csv", "distribution": "sharded"},
        "stream": {"source": "s3://acme/s/", "input_mode": "pipe", "record_wrapper": "recordio"},
        "lazy": {"source": "s3://acme/l/", "input_mode": "fastfile"},
    }
    assert config_of(a_job(channels=channels), "inputdataconfig") == {
        "train": {
            "TrainingInputMode": "File",
            "S3DistributionType": "ShardedByS3Key",
            "RecordWrapperType": "None",
            "ContentType": "text/csv",
        },
        "stream": {
            "TrainingInputMode": "Pipe",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "RecordIO",
        },
        "lazy": {
            "TrainingInputMode": "FastFile",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        },
    }


def test_hosts_are_sorted_by_text_and_in_one_instance_group() -> None:
    resources = config_of(a_job(instances=11), "resourceconfig", "algo-10")
    assert resources["hosts"][:3] == ["algo-1", "algo-10", "algo-11"]
    assert resources == {
        "current_host": "algo-10",
        "current_instance_type": "local",
        "current_group_name": "homogeneousCluster",
        "hosts": sorted(f"algo-{number}" for number in range(1, 12)),
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": "local", "hosts": resources["hosts"]}
        ],
        "network_interface_name": "eth0",
    }


def test_checkpointconfig_is_there_for_a_job_with_checkpoints() -> None:
    job = a_job(checkpoints={"path": "/opt/ml/my/checkpoints"})
    assert config_of(job, "checkpointconfig") == {"LocalPath": "/opt/ml/my/checkpoints"}
    assert "input/config/checkpointconfig.json" not in config_files(a_job(), "algo-1", "/opt/ml")


def test_a_job_has_a_name_that_is_legal_on_sagemaker() -> None:
    job = a_job(name="a" * 60)
    assert len(training_job_name(job)) <= 63
    environment = environment_of(job)
    assert environment["TRAINING_JOB_NAME"] == "a" * 60 + "-3"
    assert environment["TRAINING_JOB_ARN"].endswith(":training-job/" + "a" * 60 + "-3")


# -- variables -------------------------------------------------------------------------------------


def test_variables_are_spelt_as_the_toolkit_spells_them() -> None:
    hyperparameters = {"a": 1, "learning-rate": 0.1, "l": [1, 2], "m": {"b": 1, "a": "z"}, "name": "é"}
    job = a_job(**SCRIPT, hyperparameters=hyperparameters, instances=2, distribution="torch_distributed")
    environment = environment_of(job, "algo-2")
    # As sagemaker-training 5.1.4 gave them for such a job.
    expected = {
        "SM_CHANNELS": '["train"]',
        "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
        "SM_CURRENT_HOST": "algo-2",
        "SM_CURRENT_INSTANCE_GROUP_HOSTS": '["algo-1","algo-2"]',
        "SM_DISTRIBUTION_INSTANCE_GROUPS": '["homogeneousCluster"]',
        "SM_FRAMEWORK_MODULE": "",
        "SM_FRAMEWORK_PARAMS": '{"sagemaker_torch_distributed_enabled":true}',
        "SM_HPS": r'{"a":1,"l":[1,2],"learning-rate":0.1,"m":{"a":"z","b":1},"name":"\u00e9"}',
        "SM_HP_L": "[1,2]",
        "SM_HP_LEARNING-RATE": "0.1",
        "SM_HP_M": '{"a":"z","b":1}',
        "SM_HP_NAME": "é",
        "SM_INSTANCE_GROUPS": '["homogeneousCluster"]',
        "SM_IS_HETERO": "false",
        "SM_MODULE_DIR": "/opt/ml/code",
        "SM_MODULE_NAME": "src/train",
        "SM_NUM_CPUS": "2",
        "SM_NUM_GPUS": "0",
        "SM_NUM_NEURONS": "0",
        "SM_USER_ARGS": '["-a","1","-l","[1, 2]","--learning-rate","0.1","-m","a=z,b=1","--name","\\u00e9"]',
        "SM_USER_ENTRY_POINT": "src/train.py",
    }
    assert {name: environment[name] for name in expected} == expected
    told = json.loads(environment["SM_TRAINING_ENV"])
    assert (told["master_hostname"], told["is_master"], told["hyperparameters"]) == ("algo-1", False, hyperparameters)


def test_the_drivers_of_sdk_3_find_their_spelling_beside_it() -> None:
    environment = environment_of(a_job(**SCRIPT, hyperparameters={"learning-rate": 0.1}, instances=2), "algo-2")
    expected = {
        "SM_HP_LEARNING_RATE": "0.1",
        "SM_INPUT_DATA_DIR": "/opt/ml/input/data",
        "SM_OUTPUT_FAILURE": "/opt/ml/output/failure",
        "SM_SOURCE_DIR": "/opt/ml/code",
        "SM_ENTRY_SCRIPT": "src/train.py",
        "SM_HOST_COUNT": "2",
        "SM_CURRENT_HOST_RANK": "1",
        "SM_MASTER_ADDR": "algo-1",
        "SM_MASTER_PORT": "7777",
    }
    assert {name: environment[name] for name in expected} == expected


def test_the_toolkits_own_hyperparameters_are_kept_from_the_script() -> None:
    job = a_job(hyperparameters={"sagemaker_program": "train.py", "sagemaker_mpi_enabled": True, "eta": "0.1"})
    environment = environment_of(job)
    assert environment["SM_HPS"] == '{"eta":0.1}'
    assert environment["SM_FRAMEWORK_PARAMS"] == '{"sagemaker_mpi_enabled":true}'
    assert environment["SM_MODULE_NAME"] == "train"


@pytest.mark.parametrize(("cpus", "told"), [(None, "8"), (0.5, "1"), (2, "2"), (2.5, "3")])
def test_the_number_of_cpus_is_the_jobs_limit_or_the_machines(cpus: float | None, told: str) -> None:
    assert environment_of(a_job(resources={"cpus": cpus}), processors=8)["SM_NUM_CPUS"] == told


def test_cpus_become_threads_in_training_and_workers_in_serving() -> None:
    assert environment_of(a_job(resources={"cpus": 1.5}))["OMP_NUM_THREADS"] == "2"
    assert "OMP_NUM_THREADS" not in environment_of(a_job())
    assert serving_environment({}, 1.5) == {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}


def test_threads_sleep_while_they_wait() -> None:
    seen = environment_of(a_job())
    assert (seen["OMP_WAIT_POLICY"], seen["OPENBLAS_THREAD_TIMEOUT"]) == ("PASSIVE", "4")


def test_the_jobs_own_variables_win() -> None:
    given = {"SM_LOG_LEVEL": "10", "OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "7"}
    seen = environment_of(a_job(environment=given, resources={"cpus": 1}))
    assert given.items() <= seen.items()


def test_a_hyperparameter_that_cannot_name_a_variable_is_in_the_json_alone() -> None:
    environment = environment_of(a_job(hyperparameters={"eta": 0.1, "a=b": 1}))
    assert json.loads(environment["SM_HPS"]) == {"eta": 0.1, "a=b": 1}
    assert [name for name in environment if name.startswith("SM_HP_")] == ["SM_HP_ETA"]


def test_a_variable_too_long_for_any_program_is_left_out() -> None:
    environment = environment_of(a_job(hyperparameters={f"hp{number}": "x" * 2400 for number in range(60)}))
    assert "SM_HPS" not in environment
    assert max(len(name) + len(text) for name, text in environment.items()) < 131072
    assert environment["SM_HP_HP59"]


def test_arguments_are_sorted_pairs() -> None:
    assert user_arguments({"b": True, "alpha": None, "c": 1.0}) == ["--alpha", "", "-b", "True", "-c", "1.0"]


# -- limits ----------------------------------------------------------------------------------------


def test_graces_and_limits_are_sagemakers() -> None:
    assert (contract.STOP_GRACE_SECONDS, contract.SERVE_GRACE_SECONDS) == (120, 30)
    assert contract.FAILURE_REASON_LENGTH == 1024
    assert Stopping().max_runtime == 24 * 3600
    assert Rollout().healthy_within == 8 * 60
    assert (PING_SECONDS, INVOCATION_SECONDS) == (2, 60)


def test_a_training_container_is_made_with_the_grace_of_its_stop() -> None:
    (launch,) = training_launches("acme", a_job())
    assert launch.grace_seconds == contract.STOP_GRACE_SECONDS


# -- start -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ["train"]),
        ({"arguments": ["--fast", "1"]}, ["--fast", "1"]),
        ({"entrypoint": ["bash", "-c"]}, []),
        ({"entrypoint": ["bash"], "arguments": ["run.sh"]}, ["run.sh"]),
    ],
)
def test_the_word_train_is_left_out_with_an_entrypoint_or_arguments(fields: dict[str, Any], words: list[str]) -> None:
    (launch,) = training_launches("acme", a_job(**fields))
    assert launch.words == words
    assert list(launch.entrypoint) == fields.get("entrypoint", [])


def test_the_gateways_own_program_has_the_same_limit_for_bodies() -> None:
    program = (images_dir() / "gateway" / "gateway_serving.py").read_text()
    (megabytes,) = re.findall(r"^MAX_BODY_BYTES = (\d+) \* 2\*\*20\b", program, re.MULTILINE)
    assert int(megabytes) * 2**20 == contract.LARGEST_BODY_BYTES
