"""The registry from which all nodes get images: what it has, and what is pushed to it, through our own engine.

What our engine can reach, and is let in to, is what counts: it has the certificates and the list of registries that
speak plain HTTP. Logins are those of this machine's `docker login`; the nodes get them with each service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import docker
import requests
from docker import auth
from docker.errors import APIError, DockerException, NotFound

from sagespec.errors import WorldError
from sagespec.runtimes.docker.engine import explanation, refusals
from sagespec.runtimes.protocol import Tell

SHOWN_BYTES = 32 * 2**20  # of a layer: whoever waits for a larger one is shown how far it is
_SHOWN_STEPS = 5


class Registry:
    """place: where sagespec's own images go, e.g. registry.lan:5000/sagespec."""

    def __init__(self, engine: Any, place: str) -> None:
        self.engine = engine
        self.place = place.strip("/")
        self.host = host_of(f"{self.place}/image")

    def name(self, repository: str, tag: str = "") -> str:
        return f"{self.place}/{repository}:{tag}" if tag else f"{self.place}/{repository}"

    def has_place_for(self, reference: str) -> bool:
        """Whether an image of this name is one that sagespec has pushed."""
        return reference.startswith(f"{self.place}/")

    def digest(self, reference: str) -> str:
        """What any registry knows `reference` by now; '' when it has none. WorldError where it cannot be asked."""
        with refusals_of(reference, "look for"):
            try:
                found = self.engine.inspect_distribution(reference)
            except NotFound:
                return ""
        return str(found["Descriptor"]["digest"])

    def push(self, image: str, target: str, tell: Tell) -> str:
        """Push an image of our engine as `target`; its digest there."""
        tell(f"pushing {target}")
        repository, tag = docker.utils.parse_repository_tag(target)
        digest = refusal = ""
        shown = Shown()
        with refusals_of(target, "push"):
            self.engine.tag(image, repository, tag)
            for step in self.engine.push(repository, tag=tag, stream=True, decode=True):
                digest = (step.get("aux") or {}).get("Digest", digest)
                refusal = refusal or str(step.get("error", ""))
                if line := shown.line(step):
                    tell(line)
        if refusal or not digest:
            raise refused(target, "push", refusal or "it names no digest")
        return str(digest)

    def login_for(self, reference: str) -> str:
        """What a manager is given as X-Registry-Auth with a service of `reference`; '' where there is no login."""
        with refusals(f"find the login for {reference}"):
            header = auth.get_config_header(self.engine, host_of(reference))
        return header.decode() if isinstance(header, bytes) else str(header or "")


class Shown:
    """What of the engine's progress is worth a line: each stage of a layer once, and of large ones a few steps."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def line(self, step: Mapping[str, Any]) -> str:
        if "id" not in step or "status" not in step:
            return ""
        line = f"{step['id']}: {step['status']}"
        detail = step.get("progressDetail") or {}
        if (total := detail.get("total") or 0) >= SHOWN_BYTES:
            fifth = min(detail.get("current", 0) * _SHOWN_STEPS // total, _SHOWN_STEPS)
            line += f" {fifth * 100 // _SHOWN_STEPS} % of {total / 2**20:.0f} MiB"
        if line in self._seen:
            return ""
        self._seen.add(line)
        return line


def apart(repository: str, cluster: str) -> str:
    """A repository of one Swarm alone: what no service there needs may be deleted, whoever else uses the registry.

    >>> apart("xgboost", "Kq3v9x0mtd5h1c7w2e")
    'xgboost-kq3v9x0mtd5h'
    """
    return f"{repository}-{cluster[:12].lower()}" if cluster else repository


def host_of(reference: str) -> str:
    """The registry that an image is from, as logins name it."""
    host, _ = auth.resolve_repository_name(repository_of(reference))
    return str(host)


def repository_of(reference: str) -> str:
    """Without tag and digest."""
    repository, _ = docker.utils.parse_repository_tag(reference.partition("@")[0])
    return str(repository)


@contextmanager
def refusals_of(reference: str, doing: str) -> Iterator[None]:
    """What the engine, or the registry through it, refuses inside becomes a WorldError with the way out."""
    try:
        yield
    except APIError as error:
        raise refused(reference, doing, explanation(error)) from error
    except (DockerException, requests.RequestException):
        with refusals(f"{doing} {reference}"):
            raise


def refused(reference: str, doing: str, said: str) -> WorldError:
    """doing: a verb, such as push."""
    host, said = host_of(reference), said.strip()
    for pattern, what, fix in _WAYS_OUT:
        if re.search(pattern, said, re.IGNORECASE):
            return WorldError(
                f"{what.format(host=host)}, so the engine could not {doing} {reference}: {said}",
                fix=fix.format(host=host),
            )
    return WorldError(
        f"the engine could not {doing} {reference}: {said}", fix=f"the logs of {host} and of the engine say more"
    )


def not_on_node(reference: str, node: str, said: str) -> WorldError:
    """What to say of a task that was rejected for want of its image. The node's own engine keeps the reason."""
    host = host_of(reference)
    return WorldError(
        f"the node {node} could not get {reference}: {said.strip()}",
        why=f"each node pulls its images from {host} itself",
        fix=f"`docker pull {reference}` there shows the reason: no route, a full disk, the registry's certificate not "
        f'in /etc/docker/certs.d, or, where it speaks plain HTTP, no "insecure-registries": ["{host}"] in '
        "/etc/docker/daemon.json",
    )


# What engines and registries say: what that means, and what to do about it.
_WAYS_OUT = (
    (
        "server gave HTTP response to HTTPS client|first record does not look like a TLS handshake",
        "the registry {host} speaks plain HTTP, and the engine asks it by HTTPS",
        'add "insecure-registries": ["{host}"] to /etc/docker/daemon.json on every node and restart their engines, or '
        "give the registry a certificate",
    ),
    (
        "client sent an HTTP request to an HTTPS server",
        "the registry {host} speaks HTTPS, and the engine asks it by plain HTTP",
        "take {host} out of insecure-registries in /etc/docker/daemon.json on every node",
    ),
    (
        "x509|certificate",
        "the engine does not trust the certificate of the registry {host}",
        "put the certificate of its authority in /etc/docker/certs.d/{host}/ca.crt on every node",
    ),
    (
        "no basic auth credentials|unauthorized|authentication required|access denied|access to the resource is denied|"
        "forbidden",
        "the registry {host} does not let us in",
        "`docker login {host}` on this machine, as a user who may push there",
    ),
    (
        "no space left|disk quota|insufficient storage",
        "the registry {host}, or the engine, has no space left",
        "free some there: `sagespec gc --images --sweep`, then the registry's own garbage-collect; on the engine's "
        "machine `docker image prune`",
    ),
    (
        "toomanyrequests|rate limit",
        "the registry {host} has been asked too often",
        "`docker login {host}` raises its limit; or wait, or push the image to a registry of your own",
    ),
    (
        "connection refused|no such host|no route to host|i/o timeout|timeout|connection reset|dial tcp|EOF",
        "the registry {host} does not answer",
        "start it, see that every node can reach it, or name another one as the registry in sagespec.yaml",
    ),
    (
        "status: 5[0-9][0-9]|internal server error",
        "the registry {host} failed",
        "its own log says why: a full disk, as a rule",
    ),
    (
        "name invalid|invalid reference",
        "the registry {host} takes no image of this name",
        "correct the registry in sagespec.yaml: host:port/path, in small letters",
    ),
)
