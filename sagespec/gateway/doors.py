"""Who may ask, and how often, in Envoy's words: what the virtual host and an endpoint's routes say. Pure.

images/gateway/door.lua looks at the keys, and leaves the caller's name and the endpoint's in the request's metadata;
Envoy's local rate limit counts by these. Both filters are in gateways that were started for it, and in no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sagespec.state.doors import AllowedCaller, Doors, Limit

TYPES = "type.googleapis.com/envoy"
DOOR = "sagespec.door"
RATES = "envoy.filters.http.local_ratelimit"
NAMESPACE = "sagespec"
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
_NO_LIMIT = {"max_tokens": 2**32 - 1, "tokens_per_fill": 2**32 - 1, "fill_interval": "1s"}


def of_all(doors: Doors) -> dict[str, Any]:
    """Filter settings of the virtual host, by filter: for what is said nothing else about, as requests that lead to
    no endpoint. {} for doors that look at nothing."""
    found: dict[str, Any] = {}
    if doors.callers:
        found[DOOR] = _allowed((caller for caller in doors.callers if not caller.endpoints), doors)
    elif doors.limits:
        found[DOOR] = _context({"open": "true"} | _waits(doors))
    if limits := _all_limits(doors):
        found[RATES] = _limits(limits)
    return found


def of_endpoint(doors: Doors, endpoint_name: str) -> dict[str, Any]:
    """What an endpoint's routes say instead; {} for those that all callers may ask alike."""
    if not any(endpoint_name in caller.endpoints for caller in doors.callers):
        return {}
    return {DOOR: _allowed((caller for caller in doors.callers if caller.may_ask(endpoint_name)), doors)}


def _all_limits(doors: Doors) -> list[tuple[str, str, Limit]]:
    """Each with what it is of, a caller or an endpoint, and the name."""
    limits = [("caller", caller.name, caller.limit) for caller in doors.callers if caller.limit]
    return limits + [("endpoint", name, limit) for name, limit in sorted(doors.limits.items())]


def _allowed(callers: Iterable[AllowedCaller], doors: Doors) -> dict[str, Any]:
    return _context({digest: caller.name for caller in callers for digest in caller.hashes} | _waits(doors))


def _waits(doors: Doors) -> dict[str, str]:
    """How many seconds who is refused is asked to wait. No hash of a key has a blank."""
    return {f"{what} {name}": str(limit.seconds_to_next) for what, name, limit in _all_limits(doors)}


def _context(context: Mapping[str, str]) -> dict[str, Any]:
    return {"@type": f"{TYPES}.extensions.filters.http.lua.v3.LuaPerRoute", "filter_context": dict(context)}


def _limits(limits: Sequence[tuple[str, str, Limit]]) -> dict[str, Any]:
    return {
        "@type": f"{TYPES}.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "rates",
        "token_bucket": _NO_LIMIT,
        "always_consume_default_token_bucket": False,
        "filter_enabled": _ALWAYS,
        "filter_enforced": _ALWAYS,
        "response_headers_to_add": [
            {"header": {"key": "retry-after", "value": f"%DYNAMIC_METADATA({NAMESPACE}:wait)%"}}
        ],
        "descriptors": [
            {"entries": [{"key": what, "value": name}], "token_bucket": _bucket(limit)} for what, name, limit in limits
        ],
        "rate_limits": [{"actions": [_by(what)]} for what in ("caller", "endpoint")],
    }


def _bucket(limit: Limit) -> dict[str, Any]:
    return {"max_tokens": limit.burst, "tokens_per_fill": limit.requests, "fill_interval": f"{limit.seconds}s"}


def _by(what: str) -> dict[str, Any]:
    """A request's part in a limit: what door.lua has written down under this word."""
    key = {"key": NAMESPACE, "path": [{"key": what}]}
    return {"metadata": {"descriptor_key": what, "metadata_key": key, "source": "DYNAMIC", "skip_if_absent": True}}
