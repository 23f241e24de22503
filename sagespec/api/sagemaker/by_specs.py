"""Jobs and endpoints that no client has created: a person's spec names them, or the store has them of earlier versions.
Clients find them all the same, described as if somebody had asked for them in SageMaker's words.

Job churn@3 is the training job churn-3, which is what its containers have in TRAINING_JOB_NAME. Endpoint churn keeps
its name, and its config has the same. A name that a client has given to something goes first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from sagespec.api.sagemaker.records import KeptEndpoint, KeptJob
from sagespec.api.sagemaker.translate.hosted import image_for
from sagespec.api.service import BUCKET, Service
from sagespec.contract import hyperparameter_text
from sagespec.load.files import find_files
from sagespec.load.loaded import LoadedSpec
from sagespec.spec.endpoint import Endpoint
from sagespec.spec.job import TrainingJob
from sagespec.state.addresses import Address, endpoint_address, job_address
from sagespec.state.secrets import is_secret_field

_JOB = re.compile(r"(.+)-([1-9][0-9]{0,15})")
_MODES = {"file": "File", "fastfile": "FastFile", "pipe": "Pipe"}
_INSTANCE_TYPE = "ml.m5.large"  # a label, which clients want to have; nothing is asked for by it


def training_job_name(address: Address) -> str:
    return f"{address.name}-{address.version}"


def job_of_specs(service: Service, name: str) -> KeptJob | None:
    """The job of which this is the name, in the specs or trained; None for none."""
    found = _JOB.fullmatch(name)
    address = job_address(found[1], int(found[2])) if found else None
    if address is None:
        return None
    if item := specs_of(service).get(address):
        return _job(service, item)
    manifest = service.project.parts.records.manifests([address]).get(address)
    if manifest is None:
        return None
    return _kept_job(service, address, manifest.spec, manifest.started_at.timestamp())


def jobs_of_specs(service: Service, taken: Mapping[str, KeptJob]) -> dict[str, KeptJob]:
    """Those of the specs by name, without what clients have created and what has the name of that."""
    known = {kept.address for kept in taken.values()}
    items = (item for item in specs_of(service).values() if isinstance(item.spec, TrainingJob))
    named = ((training_job_name(item.address), item) for item in items if str(item.address) not in known)
    return {name: _job(service, item) for name, item in named if name not in taken}


def endpoint_of_specs(service: Service, name: str) -> KeptEndpoint | None:
    item = specs_of(service).get(endpoint_address(name))
    return _endpoint(service, item) if item else None


def endpoints_of_specs(service: Service, taken: Collection[str]) -> Iterator[tuple[str, KeptEndpoint]]:
    for item in specs_of(service).values():
        if isinstance(item.spec, Endpoint) and item.address.name not in taken:
            yield item.address.name, _endpoint(service, item)


def config_variants(kept: KeptEndpoint) -> list[dict[str, Any]]:
    """ProductionVariants of the config of such an endpoint."""
    return [
        {
            "VariantName": variant["name"],
            "ModelName": variant["model"].replace("@", "-"),
            "InitialInstanceCount": variant["instances"],
            "InitialVariantWeight": variant["weight"],
            "InstanceType": _INSTANCE_TYPE,
        }
        for variant in kept.document["variants"]
    ]


def place_of(service: Service, address: Address) -> str:
    """The file in which a person names it; '' where none does."""
    item = specs_of(service).get(address)
    return item.origin.file if item else ""


def specs_of(service: Service) -> Mapping[Address, LoadedSpec]:
    """What can be read of the specs, by address: read again when a file looks different."""
    parts, memory = service.project.parts, service.memory
    looks = tuple((str(file), _look(file)) for file in find_files(parts.specs, parts.root)[0])
    if memory.specs is None or memory.specs[0] != looks:
        loaded, _ = parts.load_what_is_right()
        memory.specs = looks, {item.address: item for item in loaded.specs}
    return memory.specs[1]


def _look(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _written_at(service: Service, item: LoadedSpec) -> float:
    try:
        return round((service.project.root / item.origin.file).stat().st_mtime, 3)
    except OSError:
        return 0.0


def _job(service: Service, item: LoadedSpec) -> KeptJob:
    spec = item.spec.model_dump(mode="json", exclude_none=True)
    for name, channel in spec["channels"].items():
        path = item.local_path(channel["source"], f"channels.{name}.source")
        channel["source"] = channel["source"] if path is None else f"file://{path}"
    return _kept_job(service, item.address, spec, _written_at(service, item))


def _kept_job(service: Service, address: Address, spec: Mapping[str, Any], at: float) -> KeptJob:
    document = {key: value for key, value in spec.items() if value not in (None, "", [], {})}
    texts = {name: hyperparameter_text(value) for name, value in document.get("hyperparameters", {}).items()}
    request = {
        "TrainingJobName": training_job_name(address),
        "RoleArn": service.role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": image_for(document, service.account, service.region),
            "TrainingInputMode": _MODES.get(document.get("input_mode", ""), "File"),
        },
        "HyperParameters": {name: text for name, text in texts.items() if not is_secret_field(_of(name), text)},
        "InputDataConfig": [_channel(name, channel) for name, channel in document.get("channels", {}).items()],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}"},
        "ResourceConfig": {
            "InstanceType": _INSTANCE_TYPE,
            "InstanceCount": document.get("instances", 1),
            "VolumeSizeInGB": 30,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": int(document.get("stopping", {}).get("max_runtime", 86400))},
    }
    return KeptJob(request, at, at, address=str(address), document=document, is_written=True)


def _of(hyperparameter: str) -> str:
    return f"hyperparameters.{hyperparameter}"


def _channel(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    source = {
        "S3DataType": "ManifestFile" if given.get("data_type") == "manifest" else "S3Prefix",
        "S3Uri": given["source"],
        "S3DataDistributionType": "ShardedByS3Key" if given.get("distribution") == "sharded" else "FullyReplicated",
    }
    found: dict[str, Any] = {"ChannelName": name, "DataSource": {"S3DataSource": source}}
    return found | ({"ContentType": given["content_type"]} if given.get("content_type") else {})


def _endpoint(service: Service, item: LoadedSpec) -> KeptEndpoint:
    spec, at = item.spec.model_dump(mode="json", exclude_none=True), _written_at(service, item)
    fields = ("name", "model", "weight", "instances")
    variants = [{key: variant[key] for key in fields} for variant in spec["variants"]]
    asked = ({"config": item.address.name, "at": at, "variants": variants},)
    return KeptEndpoint({}, at, at, asked=asked, document={"variants": variants}, is_written=True)
