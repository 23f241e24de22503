"""Requests that are refused whatever endpoint they ask for, in Envoy's words. Pure.

Called by `documents`; images/gateway/refusals.lua has the words that the caller reads.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Any

from sagespec.gateway.routes import header_input, match_first, refusal

# SageMaker's limits: InvokeEndpoint in its API reference.
MAX_LENGTHS = {
    "x-amzn-sagemaker-inference-id": ("inferenceId", 64),
    "x-amzn-sagemaker-custom-attributes": ("customAttributes", 1024),
}
VISIBLE_ASCII = r"[\x20-\x7e\t]*"

# They choose among models behind one endpoint, or among the containers of a model. Here there is one.
TARGETS = {
    "x-amzn-sagemaker-target-model": "target-model",
    "x-amzn-sagemaker-inference-component": "inference-component",
    "x-amzn-sagemaker-target-container-hostname": "target-container",
}

# A page of another site may have a browser on this machine ask us. It then shows its own name as Host, or as Origin.
# Names without a dot are those of containers and machines nearby; no site has one.
NEARBY_HOST = r"(?i)([^.:\[\]]+|([^:/]+\.)?(localhost|internal)|[0-9.]+|\[[0-9a-f:.]+\])(:[0-9]*)?"
LOOPBACK_ORIGIN = r"(?i)https?://(([^:/]+\.)?localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?"


def checks(listens_on: str, hosts: Collection[str] = ()) -> list[dict[str, Any]]:
    """The first that matches refuses. Host and Origin count where the gateway is meant for this machine alone, and
    where its names are known. hosts: names besides those of this machine."""
    names = [re.escape(host) for host in sorted(hosts)]
    private = [
        _unlike(":authority", "|".join([NEARBY_HOST, *(f"{name}(:[0-9]*)?" for name in names)]), "host"),
        _unlike("origin", "|".join([LOOPBACK_ORIGIN, *(f"https?://{name}(:[0-9]+)?" for name in names)]), "origin"),
    ]
    return [
        *(private if hosts or is_loopback(listens_on) else []),
        *(
            _like(name, longer_than(limit), refusal("too-long", member=member, limit=str(limit)))
            for name, (member, limit) in MAX_LENGTHS.items()
        ),
        _unlike("x-amzn-sagemaker-custom-attributes", VISIBLE_ASCII, "no-ascii"),
        *(_like(name, ".+", refusal("no-target", header=kind)) for name, kind in TARGETS.items()),
    ]


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def longer_than(length: int) -> str:
    """A regex for texts of more than `length` characters; in two halves, for one repetition may count to 1,000.

    >>> longer_than(64)
    '.{32}.{33,}'
    """
    half = length // 2
    return f".{{{half}}}.{{{length - half + 1},}}"


def _like(header: str, regex: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"predicate": _matches(header, regex), "on_match": match_first([answer])}


def _unlike(header: str, regex: str, reason: str) -> dict[str, Any]:
    """Refuses a header that is there and is anything else."""
    other = {"not_matcher": _matches(header, regex)}
    both = {"and_matcher": {"predicate": [_matches(header, r"(?s).*"), other]}}
    return {"predicate": both, "on_match": match_first([refusal(reason)])}


def _matches(header: str, regex: str) -> dict[str, Any]:
    return {
        "single_predicate": {
            "input": header_input("request-headers", header),
            "value_match": {"safe_regex": {"google_re2": {}, "regex": regex}},
        }
    }
