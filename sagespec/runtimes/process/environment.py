"""The environment that a local process starts with."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from sagespec.runtimes.opened import secret_variables
from sagespec.runtimes.process.containers import Record
from sagespec.runtimes.process.ports import HOST
from sagespec.runtimes.process.shim_masks import SECRETS_VARIABLE
from sagespec.runtimes.process.shim_record import ID_VARIABLE
from sagespec.state.programs import Builtin

_LOOPBACK = "lo" if sys.platform == "linux" else "lo0"

# All that a program sees of our environment. No credentials; and not RUNNER_TRACKING_ID, by which a
# GitHub Actions runner finds and kills what a job leaves running.
_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|(DY)?LD_LIBRARY_PATH|CUDA_VISIBLE_DEVICES"
    r"|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy"
)

MEMORY_VARIABLE = "SAGESPEC_MEMORY_BYTES"  # what a container would read from its cgroup


def environment_of(
    record: Record, own: Mapping[str, str], *, host: str, base_dir: str, images: Path, packages: Path
) -> dict[str, str]:
    """The variables of the container's program: ours as far as it may see them, the launch's, and SageMaker's.

    own: the launch's, with their secrets. host: the address it is to listen on. images: the folder of the built-ins,
    which import from it. packages: where they keep what requirements.txt asks for.
    """
    launch = record.launch
    environment = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
    environment["PYTHONUNBUFFERED"] = "1"
    if isinstance(launch.program, Builtin):
        environment["PYTHONPATH"] = str(images)
        environment["SAGESPEC_PACKAGES"] = str(packages)
    else:
        # sagemaker-training waits a quarter of an hour for the hosts' names, which here no one resolves.
        environment["SM_STUDIO_LOCAL_MODE"] = "true"
    if launch.memory:
        environment[MEMORY_VARIABLE] = str(launch.memory)
    if record.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(record.gpus)
    environment |= own
    environment |= {SECRETS_VARIABLE: " ".join(names)} if (names := secret_variables(launch.environment)) else {}
    environment |= {
        "SAGEMAKER_BASE_DIR": base_dir,
        "SAGEMAKER_BIND_TO_HOST": host,
        "SAGEMAKER_BIND_TO_PORT": str(record.port),
        ID_VARIABLE: record.id,
    }
    if record.master_port:
        environment |= {
            "SM_MASTER_ADDR": HOST,
            "SM_MASTER_PORT": str(record.master_port),
            "SM_NETWORK_INTERFACE_NAME": _LOOPBACK,
        }
    return environment
