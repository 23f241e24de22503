"""Lists as all of SageMaker's have them: filters, an order, and pages. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sagespec.api.errors import ApiError

_MOST = 100
_TIMES = ("Creation", "LastModified")


def page(
    request: Mapping[str, Any],
    summaries: Sequence[Mapping[str, Any]],
    *,
    member: str,
    name: str,
    status: str = "",
    default_order: str = "Descending",
) -> dict[str, Any]:
    """One page of the summaries that the request asks for, under `member`. name, status: the members of a summary that
    hold these; names are unique."""
    found = [one for one in summaries if _matches(one, request, name, status)]
    by = {"Name": name, "Status": status or name}.get(request.get("SortBy", ""), "CreationTime")
    backwards = request.get("SortOrder", default_order) == "Descending"
    found.sort(key=lambda one: (one[by], one[name]), reverse=backwards)
    if token := request.get("NextToken"):
        after = _read(token, str if by in (name, status) else (int, float))
        found = [one for one in found if ((one[by], one[name]) < after if backwards else (one[by], one[name]) > after)]
    size = min(int(request.get("MaxResults") or _MOST), _MOST)
    result: dict[str, Any] = {member: found[:size]}
    if len(found) > size:
        result["NextToken"] = _token(found[size - 1][by], found[size - 1][name])
    return result


def _matches(one: Mapping[str, Any], request: Mapping[str, Any], name: str, status: str) -> bool:
    if request.get("NameContains", "").lower() not in one[name].lower():
        return False
    if status and request.get("StatusEquals", one[status]) != one[status]:
        return False
    for time in _TIMES:
        after, before = request.get(f"{time}TimeAfter"), request.get(f"{time}TimeBefore")
        at = one.get(f"{time}Time", 0.0)
        if (after is not None and not at > float(after)) or (before is not None and not at < float(before)):
            return False
    return True


def _token(value: Any, name: str) -> str:
    """Where the next page begins: it stays right when something is created or deleted in between."""
    return base64.urlsafe_b64encode(json.dumps([value, name]).encode()).decode()


def _read(token: str, kind: type | tuple[type, ...]) -> tuple[Any, str]:
    """kind: what the list is sorted by."""
    try:
        match json.loads(base64.urlsafe_b64decode(token)):
            case [value, str(name)] if isinstance(value, kind):
                return value, name
    except (ValueError, RecursionError):
        pass
    raise ApiError("ValidationException", "NextToken is not one of a list of this kind: begin without it")
