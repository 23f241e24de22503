"""A DeploymentConfig as the `rollout:` of a spec. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagespec.api.sagemaker.translate.refusal import Refused

Object = Mapping[str, Any]

POLICIES = ("BlueGreenUpdatePolicy", "RollingUpdatePolicy")
FIELDS = ("strategy", "size", "wait", "bake", "timeout", "abort_when")  # what a DeploymentConfig has a word for
WORSE = "worse"
_SIZES = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}
_PERCENT = {"CANARY": (1, 50), "LINEAR": (10, 50), "ROLLING": (5, 50)}  # of a fleet, as SageMaker allows
_TIMEOUT_SECONDS = (600, 28800)


def rollout_of(deployment: Object | None) -> dict[str, Any]:
    """The fields of `rollout:`; {} for none, which is all at once. Refused where SageMaker would refuse it.

    Alarms are CloudWatch's, which nobody watches here: the errors of both sides decide instead.
    """
    if not deployment:
        return {}
    given = [policy for policy in POLICIES if deployment.get(policy)]
    if len(given) != 1:
        raise Refused(f"DeploymentConfig needs exactly one of {' and '.join(POLICIES)}, and has {len(given) or 'none'}")
    policy = deployment[given[0]]
    found = _rolling(policy) if given[0] == "RollingUpdatePolicy" else _blue_green(policy)
    if timeout := policy.get("MaximumExecutionTimeoutInSeconds"):
        _refuse_outside("MaximumExecutionTimeoutInSeconds", timeout, _TIMEOUT_SECONDS)
        found["timeout"] = _duration(timeout)
    if alarms_of(deployment):
        found["abort_when"] = [{"errors": WORSE}]
    return found


def alarms_of(deployment: Object | None) -> list[str]:
    """The names of the alarms that would take a deployment back."""
    alarms = ((deployment or {}).get("AutoRollbackConfiguration") or {}).get("Alarms") or ()
    return [alarm["AlarmName"] for alarm in alarms if alarm.get("AlarmName")]


def about_alarms(deployment: Object | None) -> str:
    """What a person is to know of them; '' where there are none."""
    names = alarms_of(deployment)
    if not names:
        return ""
    what = f"alarm {names[0]} is" if len(names) == 1 else f"alarms {', '.join(names)} are"
    return f"{what} not watched here: errors worse than those of what serves take it back"


def with_rollout(
    document: Object, deployment: Object | None, *, last: Object | None = None, retain: bool = False
) -> dict[str, Any]:
    """The document, rolled out as UpdateEndpoint says.

    last: the DeploymentConfig before. Without another, it ends with its update unless it is to be retained; what a
    person has written into the spec instead stays.
    """
    before: Object = document.get("rollout") or {}
    if deployment:
        wanted = rollout_of(deployment)
    elif retain:
        wanted = _strategy(before) or rollout_of(last)
    else:
        wanted = {} if _strategy(before) == rollout_of(last) else _strategy(before)
    rollout = {key: value for key, value in before.items() if key not in FIELDS} | wanted
    found = {key: value for key, value in document.items() if key != "rollout"}
    return found | ({"rollout": rollout} if rollout else {})


def _strategy(rollout: Object) -> dict[str, Any]:
    return {key: value for key, value in rollout.items() if key in FIELDS}


def _blue_green(policy: Object) -> dict[str, Any]:
    routing = policy["TrafficRoutingConfiguration"]
    kind = routing["Type"]
    found: dict[str, Any] = {"strategy": kind.lower()}
    for name, member in _SIZES.items():
        if name == kind and not routing.get(member):
            raise Refused(f"TrafficRoutingConfiguration of Type {kind} needs its {member}")
        if name != kind and routing.get(member):
            raise Refused(f"TrafficRoutingConfiguration of Type {kind} has no {member}: that is for {name}")
    if kind in _SIZES:
        found["size"] = _size(_SIZES[kind], routing[_SIZES[kind]], kind)
        found["wait"] = _duration(routing.get("WaitIntervalInSeconds", 0))
    bake = policy.get("TerminationWaitInSeconds", 0)
    return found | ({"bake": _duration(bake)} if bake or kind in _SIZES else {})


def _rolling(policy: Object) -> dict[str, Any]:
    """Every batch is watched for its interval, the last one too."""
    wait = _duration(policy["WaitIntervalInSeconds"])
    size = _size("MaximumBatchSize", policy["MaximumBatchSize"], "ROLLING")
    return {"strategy": "rolling", "size": size, "wait": wait, "bake": wait}


def _size(member: str, size: Object, kind: str) -> str | dict[str, int]:
    """10%, or {instances: 1}."""
    if size["Type"] == "INSTANCE_COUNT":
        return {"instances": size["Value"]}
    _refuse_outside(f"{member} in percent", size["Value"], _PERCENT[kind])
    return f"{size['Value']}%"


def _refuse_outside(what: str, value: int, bounds: tuple[int, int]) -> None:
    least, most = bounds
    if not least <= value <= most:
        raise Refused(f"{what} is {value}, and must be from {least} to {most}")


def _duration(seconds: int) -> str:
    """
    >>> _duration(600), _duration(90), _duration(7200), _duration(0)
    ('10m', '90s', '2h', '0s')
    """
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
