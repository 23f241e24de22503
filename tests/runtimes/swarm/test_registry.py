"""What engines and registries say, as they have said it, becomes a sentence with a way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from sagespec.runtimes.swarm.registry import Shown, host_of, not_on_node, refused, repository_of

HTTP = 'Get "https://lan:5000/v2/": http: server gave HTTP response to HTTPS client'
NO_CERTIFICATE = 'Get "https://lan:5000/v2/": x509: cannot validate certificate for lan because it has no IP SANs'
NO_ANSWER = 'Get "http://lan:5000/v2/": dial tcp 10.0.0.1:5000: connect: connection refused'
NO_NAME = 'Get "https://lan:5000/v2/": dial tcp: lookup lan on 10.0.0.53:53: no such host'
FULL = "received unexpected HTTP status: 500 Internal Server Error"


@pytest.mark.parametrize(
    ("said", "what", "fix"),
    [
        (HTTP, "the registry lan:5000 speaks plain HTTP", '"insecure-registries": ["lan:5000"]'),
        (
            NO_CERTIFICATE,
            "does not trust the certificate of the registry lan:5000",
            "/etc/docker/certs.d/lan:5000/ca.crt",
        ),
        (NO_ANSWER, "the registry lan:5000 does not answer", "start it"),
        (NO_NAME, "the registry lan:5000 does not answer", "sagespec.yaml"),
        ("no basic auth credentials", "the registry lan:5000 does not let us in", "docker login lan:5000"),
        ("unauthorized: authentication required", "the registry lan:5000 does not let us in", "docker login lan:5000"),
        (FULL, "the registry lan:5000 failed", "a full disk, as a rule"),
        ("teapot", "", "the logs of lan:5000 and of the engine say more"),
        ("teapot", "the engine could not push", "the logs of lan:5000 and of the engine say more"),
    ],
)
def test_what_a_registry_says_has_a_way_out(said: str, what: str, fix: str) -> None:
    error = refused("lan:5000/acme/xgboost:1", "push", said).problems[0]
    assert error.what.startswith(what) or what in error.what
    assert error.what.endswith(f"the engine could not push lan:5000/acme/xgboost:1: {said}")
    assert fix in error.fix


def test_what_a_node_could_not_get_is_looked_at_there() -> None:
    error = not_on_node("lan:5000/acme/baked@sha256:1", "node-3", "No such image").problems[0]
    assert error.what == "the node node-3 could not get lan:5000/acme/baked@sha256:1: No such image"
    assert "`docker pull lan:5000/acme/baked@sha256:1`" in error.fix
    assert '"insecure-registries": ["lan:5000"]' in error.fix


@pytest.mark.parametrize(
    ("reference", "host", "repository"),
    [
        ("lan:5000/acme/x:1", "lan:5000", "lan:5000/acme/x"),
        ("lan:5000/acme/x@sha256:1", "lan:5000", "lan:5000/acme/x"),
        ("lan:5000/x", "lan:5000", "lan:5000/x"),
        ("churn:1", "docker.io", "churn"),
        ("acme/churn:1@sha256:1", "docker.io", "acme/churn"),
    ],
)
def test_host_and_repository_of_a_reference(reference: str, host: str, repository: str) -> None:
    assert (host_of(reference), repository_of(reference)) == (host, repository)


def told(shown: Shown, steps: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(filter(None, map(shown.line, steps)))


def test_of_a_large_layer_a_few_steps_are_shown_and_of_a_small_one_none() -> None:
    large, small, shown = 64 * 2**20, 2**20, Shown()
    steps = [
        {"id": "a", "status": "Pushing", "progressDetail": {"current": n, "total": large}}
        for n in range(0, large, 2**20)
    ]
    assert told(shown, steps) == [f"a: Pushing {percent} % of 64 MiB" for percent in (0, 20, 40, 60, 80)]
    steps = [{"id": "b", "status": "Pushing", "progressDetail": {"current": n, "total": small}} for n in range(9)]
    assert told(shown, steps) == ["b: Pushing"]
    assert shown.line({"status": "The push refers to repository"}) == ""
