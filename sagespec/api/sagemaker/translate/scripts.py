"""Which script a training job runs, and where its files are. Pure.

SDK 2 and the toolkit name it by hyperparameters: sagemaker_program in sagemaker_submit_directory, an archive. SDK 3
sends its own drivers along in a channel, with a bash line that starts them; what they would do is read from the two
files they read, so that the spec can say it in plain words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagespec.api.sagemaker.translate.hosted import ALGORITHMS, FRAMEWORKS, repository_of
from sagespec.api.sagemaker.translate.plain import json_or_text
from sagespec.api.sagemaker.translate.refusal import Refused

CODE, DRIVERS = "code", "sm_drivers"  # channels of SDK 3
_REQUIREMENTS = "requirements.txt"  # which is installed wherever it is beside the script
_DRIVER = re.compile(r"distributed_drivers/(\w+)\.py")
_PLAIN_DRIVERS = {"basic_script_driver": "", "torchrun_driver": "torch_distributed"}
_TORCHRUN, _MULTI_WORKER = "sagemaker_torch_distributed_enabled", "sagemaker_multi_worker_mirrored_strategy_enabled"


@dataclass(frozen=True)
class Script:
    """entry_point: in what is at `source`, an archive (SDK 2), or all objects with that prefix (SDK 3)."""

    entry_point: str
    source: str
    distribution: str = ""


@dataclass(frozen=True)
class Drivers:
    """What SDK 3's drivers read. sourcecode and distributed: these JSON files of theirs. train: sm_train.sh."""

    sourcecode: Mapping[str, Any]
    distributed: Mapping[str, Any]
    train: str


def drivers_source(request: Mapping[str, Any]) -> str:
    """Where SDK 3's drivers are: the address of a folder; '' for a job without them."""
    return _sources(request).get(DRIVERS, "")


def script_of(request: Mapping[str, Any], drivers: Drivers | None) -> Script | None:
    """The job's script; None for a job without one, and for one of SDK 3 that only its drivers can start."""
    if drivers:
        return _of_drivers(request, drivers)
    given: Mapping[str, str] = request.get("HyperParameters") or {}
    program, archive = (
        json_or_text(given[name]) if name in given else ""
        for name in ("sagemaker_program", "sagemaker_submit_directory")
    )
    if not program:
        return None
    if not isinstance(archive, str) or not archive.startswith("s3://") or not archive.endswith(".tar.gz"):
        raise Refused(
            f"sagemaker_submit_directory is {archive!r}, and should be the s3:// address of a sourcedir.tar.gz"
        )
    return Script(str(program), archive, _distribution(given))


def serving_script(environment: Mapping[str, str], image: str) -> Script | None:
    """The script that a container of this model would fetch to serve it; None where it has it, or has none."""
    program, source = (environment.get(f"SAGEMAKER_{name}", "") for name in ("PROGRAM", "SUBMIT_DIRECTORY"))
    repository = repository_of(image)
    runs_none = repository in ALGORITHMS and repository not in FRAMEWORKS
    if not program or not source.startswith("s3://") or runs_none:
        return None
    if not source.endswith(".tar.gz"):
        raise Refused(f"SAGEMAKER_SUBMIT_DIRECTORY is {source!r}, and should be the address of a sourcedir.tar.gz")
    return Script(program, source)


def _distribution(given: Mapping[str, str]) -> str:
    if given.get(_TORCHRUN) == "true":
        return "torch_distributed"
    return "multi_worker_mirrored_strategy" if given.get(_MULTI_WORKER) == "true" else ""


def _of_drivers(request: Mapping[str, Any], drivers: Drivers) -> Script | None:
    said = {name: value for name, value in drivers.sourcecode.items() if value}
    source, entry_point = _sources(request).get(CODE, ""), str(said.get("entry_script", "")).removeprefix("./")
    driver = _DRIVER.search(drivers.train)
    is_simple = (
        bool(source)
        and entry_point.endswith((".py", ".sh"))
        and driver is not None
        and driver[1] in _PLAIN_DRIVERS
        and not any(said.get(name) for name in ("command", "args"))
        and str(said.get("requirements", _REQUIREMENTS)).removeprefix("./") in (_REQUIREMENTS, "auto")
        and not str(said.get("source_dir", "")).endswith(".tar.gz")
        and not any(drivers.distributed.values())
    )
    if not is_simple or driver is None:
        return None
    return Script(entry_point, f"{source.rstrip('/')}/", _PLAIN_DRIVERS[driver[1]])


def _sources(request: Mapping[str, Any]) -> dict[str, str]:
    channels: Sequence[Mapping[str, Any]] = request.get("InputDataConfig") or ()
    found = {one["ChannelName"]: one.get("DataSource", {}).get("S3DataSource", {}).get("S3Uri", "") for one in channels}
    return {name: uri for name, uri in found.items() if uri}
