"""What the kernel changes in SageMaker's SDKs: three names, in the modules that use them.

- `sts_regional_endpoint`: both SDKs ask STS at https://sts.REGION.amazonaws.com, whatever AWS_ENDPOINT_URL says, so
  `get_execution_role()` and `default_bucket()`, the first cell of most notebooks, would leave this machine.
- `time`: both sleep for 5 to 30 s before they look again.
- `jsonschema`: both check the file of defaults at each look-up, for 0.2 s.

A name is replaced only where it is what it was when this was written. Any other is left as it is, and reported.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from sagespec.notebook.clock import Clock, ShortSleeps


@dataclass(frozen=True)
class Patch:
    """knows: whether what was found is what `instead` can stand for. without: what a notebook then meets."""

    name: str
    knows: Callable[[Any], bool]
    instead: Callable[[Any], Any]
    without: str


class Checked(ModuleType):
    """jsonschema, whose `validate` checks equal values once."""

    def __init__(self, original: Any) -> None:
        super().__init__("jsonschema", "jsonschema, which checks equal values once; see sagespec.notebook.patches")
        self._original = original
        self._passed: set[tuple[int, str]] = set()

    def validate(self, instance: object, schema: object) -> None:
        key = (id(schema), repr(instance))
        if key not in self._passed:
            self._original.validate(instance, schema)
            self._passed.add(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def _sts(original: Callable[[str], str]) -> Callable[[str], str]:
    def sts_regional_endpoint(region: str) -> str:
        return os.environ.get("AWS_ENDPOINT_URL_STS") or os.environ.get("AWS_ENDPOINT_URL") or original(region)

    return sts_regional_endpoint


def _is_sts(found: Any) -> bool:
    code = getattr(found, "__code__", None)
    return (
        code is not None
        and code.co_varnames[: code.co_argcount] == ("region",)
        and "construct_endpoint" in (code.co_names)
    )


def _is_jsonschema(found: Any) -> bool:
    return getattr(found, "__name__", "") == "jsonschema" and callable(getattr(found, "validate", None))


STS = Patch("sts_regional_endpoint", _is_sts, _sts, "get_execution_role() and default_bucket() ask AWS itself")
LOGS = Patch("time", lambda found: found is time, lambda _: Clock(), "fit() and deploy() return up to 30 s late")
POLLS = Patch("time", lambda found: found is time, lambda _: ShortSleeps(), "wait() returns up to 5 s late")
SCHEMA = Patch("jsonschema", _is_jsonschema, Checked, "each call takes some tenths of a second longer")

PATCHES: Mapping[str, Sequence[Patch]] = {
    # SDK 2
    "sagemaker.session": (STS, LOGS),
    "sagemaker.config.config": (SCHEMA,),
    # SDK 3
    "sagemaker.core.helper.session_helper": (STS, LOGS),
    "sagemaker.core.processing": (LOGS,),
    "sagemaker.core.transformer": (LOGS,),
    "sagemaker.core.resources": (POLLS,),
    "sagemaker.core.config.config": (SCHEMA,),
    "sagemaker.core.config.config_manager": (SCHEMA,),
}


def patch(module: ModuleType) -> list[str]:
    """Replaces what PATCHES names in the module; what it does not know it leaves, and returns what that costs."""
    unknown = []
    for one in PATCHES.get(module.__name__, ()):
        found = getattr(module, one.name, None)
        if one.knows(found):
            setattr(module, one.name, one.instead(found))
        else:
            unknown.append(f"{module.__name__}.{one.name} is not what sagespec knows, so {one.without}")
    return unknown
