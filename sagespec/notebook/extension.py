"""What `%load_ext sagespec` adds to a kernel, and the kernel "Python 3 (sagespec)" loads as it starts.

Five things and no more: the variables that lead SageMaker's clients to this machine, the patches of `patches`, quiet
where the SDKs would say what is not so here, the magics, and what a bucket says where boto3 says "Not Found" alone.
SAGESPEC_NO_PATCH=1 leaves the SDKs as they are. Nothing of an SDK is imported here.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from typing import Any

from sagespec.errors import SagespecError
from sagespec.notebook.environment import Environment, project_root
from sagespec.notebook.imports import OnImport
from sagespec.notebook.magics import register
from sagespec.notebook.patches import PATCHES, patch

NO_PATCH_VARIABLE = "SAGESPEC_NO_PATCH"
QUIET = (
    "botocore.configprovider",  # for each client, a line on where the variables have led it
    "sagemaker.telemetry.telemetry_logging",  # that it "will collect telemetry", which our file of defaults ends
    "sagemaker.core.telemetry.telemetry_logging",  # the same in SDK 3
)


def load(shell: Any) -> None:
    """shell: IPython's. Loading it again changes nothing."""
    register(shell)
    if OnImport.is_installed():
        return
    try:
        environment = Environment(project_root())
    except SagespecError as error:
        _say(error)
        return
    refresh = partial(_refresh, environment)
    refresh()
    shell.events.register("pre_run_cell", refresh)
    shell.events.register("post_run_cell", _tell_reason)
    if os.environ.get(NO_PATCH_VARIABLE, "") in ("", "0"):
        _quieten()
        OnImport(PATCHES, _patch).install()


def _quieten() -> None:
    for logger in map(logging.getLogger, QUIET):
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


def _refresh(environment: Environment, *_: object) -> None:
    try:
        environment.refresh()
    except SagespecError as error:
        _say(error)


def _tell_reason(result: Any) -> None:
    """Of an error of boto3 whose answer had no body, as the one that looks whether an object is there."""
    answer = getattr(result.error_in_exec, "response", None)
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}) if isinstance(answer, dict) else {}
    reason = headers.get("x-amz-error-message", "")
    if reason and reason not in str(result.error_in_exec):
        _say(reason)


def _patch(module: Any) -> None:
    for what in patch(module):
        _say(what)


def _say(text: object) -> None:
    print(f"sagespec: {text}", file=sys.stderr)
