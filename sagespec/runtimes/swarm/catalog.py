"""What a registry holds, and the removal of it, by its own API: engines can only push and pull.

Asked by `gc` alone. What a manifest named stays on the registry's disk until its own garbage-collect, which is for
whoever runs it. This machine must reach it; the login is that of `docker login` here.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import requests
from docker import auth

from sagespec.errors import WorldError
from sagespec.runtimes.docker.engine import refusals
from sagespec.runtimes.swarm.registry import Registry, refused

ANSWER_SECONDS = 30.0
_MANIFESTS = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.index.v1+json",
    )
)
_NOT_ALLOWED = (403, 405)


@dataclass(frozen=True)
class Stored:
    """One image there. size: of its layers as they are kept, compressed. created_at: in seconds since 1970."""

    digest: str
    size: int = 0
    created_at: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)


class Catalog:
    def __init__(self, engine: Any, registry: Registry) -> None:
        self._engine, self._registry = engine, registry
        self._session = requests.Session()
        self._allowed: dict[str, str] = {}  # what to show, by scope

    def tags(self, repository: str) -> tuple[str, ...]:
        """Sorted; none of a repository that is not there."""
        return tuple(sorted(set(self._tags(repository))))

    def look(self, repository: str, tag: str) -> Stored | None:
        """None of one that is gone, and of a list of images for several architectures, which sagespec makes none of."""
        answer = self._ask("GET", repository, f"manifests/{tag}", Accept=_MANIFESTS)
        if answer.status_code == requests.codes.not_found:
            return None
        manifest = answer.json()
        if "config" not in manifest:
            return None
        config = self._ask("GET", repository, f"blobs/{manifest['config']['digest']}").json()
        return Stored(
            answer.headers["Docker-Content-Digest"],
            sum(layer["size"] for layer in manifest["layers"]),
            _seconds(config.get("created", "")),
            (config.get("config") or {}).get("Labels") or {},
        )

    def delete(self, repository: str, digest: str) -> None:
        """With all its tags. One that is gone is fine. WorldError where the registry lets nothing be deleted."""
        answer = self._ask("DELETE", repository, f"manifests/{digest}", allowed=_NOT_ALLOWED)
        if answer.status_code in _NOT_ALLOWED:
            raise WorldError(
                f"the registry {self._registry.host} does not let images be deleted",
                fix="set storage.delete.enabled in its configuration (REGISTRY_STORAGE_DELETE_ENABLED=true), or have "
                "it delete old images by its own rules",
            )

    def _tags(self, repository: str) -> Iterator[str]:
        path = "tags/list"
        while path:
            answer = self._ask("GET", repository, path)
            if answer.status_code == requests.codes.not_found:
                return
            yield from answer.json().get("tags") or ()
            following = str(answer.links.get("next", {}).get("url", ""))
            path = f"tags/list?{following.partition('?')[2]}" if following else ""

    # -- requests ----------------------------------------------------------------------------------

    def _ask(
        self, method: str, repository: str, path: str, *, allowed: tuple[int, ...] = (), **headers: str
    ) -> requests.Response:
        """WorldError for an answer that is neither good, nor 404, nor one of `allowed`."""
        name = self._registry.name(repository).removeprefix(f"{self._registry.host}/")
        answer = self._send(f"{method} {name}", method, f"{self._base}/v2/{name}/{path}", headers)
        if answer.ok or answer.status_code in (requests.codes.not_found, *allowed):
            return answer
        said = "unauthorized" if answer.status_code == requests.codes.unauthorized else answer.text.strip()
        raise refused(self._registry.name(repository), "look for", said or f"status: {answer.status_code}")

    def _send(self, scope: str, method: str, url: str, headers: Mapping[str, str]) -> requests.Response:
        """scope: what one token is enough for."""
        known = {"Authorization": self._allowed[scope]} if scope in self._allowed else {}
        answer = self._request(method, url, {**headers, **known})
        wanted = answer.headers.get("WWW-Authenticate", "")
        if answer.status_code != requests.codes.unauthorized or not wanted:
            return answer
        self._allowed[scope] = self._authorization(wanted)  # tokens are good for minutes
        return self._request(method, url, {**headers, "Authorization": self._allowed[scope]})

    def _request(self, method: str, url: str, headers: Mapping[str, str]) -> requests.Response:
        try:
            return self._session.request(
                method, url, headers=dict(headers), timeout=ANSWER_SECONDS, verify=self._verified_by
            )
        except requests.RequestException as error:
            raise refused(self._registry.name("images"), "look for", str(error)) from error

    def _authorization(self, wanted: str) -> str:
        """What the registry asks for: the login itself, or a token that another server gives for it."""
        kind, _, rest = wanted.partition(" ")
        name, password = self._login
        if kind.lower() != "bearer":
            return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
        given = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        try:
            answer = self._session.get(
                given.get("realm", ""),
                params={key: given[key] for key in ("service", "scope") if key in given},
                auth=(name, password) if name else None,
                timeout=ANSWER_SECONDS,
                verify=self._verified_by,  # as engines do
            )
            body = answer.json() if answer.ok else {}
        except requests.RequestException as error:
            raise refused(self._registry.name("images"), "get a token for", str(error)) from error
        return f"Bearer {body.get('token') or body.get('access_token') or ''}"

    @cached_property
    def _login(self) -> tuple[str, str]:
        with refusals(f"find the login for {self._registry.host}"):
            found = auth.load_config(credstore_env=self._engine.credstore_env).resolve_authconfig(self._registry.host)
        return (found or {}).get("username", ""), (found or {}).get("password", "")

    @cached_property
    def _base(self) -> str:
        host = "registry-1.docker.io" if self._registry.host == "docker.io" else self._registry.host
        with refusals("say which registries need no certificate"):
            known = self._engine.info()["RegistryConfig"]
        if not _is_insecure(host, known):
            return f"https://{host}"
        try:  # engines try both, too
            requests.get(f"https://{host}/v2/", timeout=ANSWER_SECONDS, verify=False)  # noqa: S501
        except requests.RequestException:
            return f"http://{host}"
        return f"https://{host}"

    @cached_property
    def _verified_by(self) -> str | bool:
        """The certificate that engines of this machine take, too."""
        with refusals("say which registries need no certificate"):
            known = self._engine.info()["RegistryConfig"]
        own = Path("/etc/docker/certs.d", self._registry.host, "ca.crt")
        return str(own) if own.is_file() else not _is_insecure(self._registry.host, known)


def _is_insecure(host: str, known: Mapping[str, Any]) -> bool:
    """Whether the engine would ask it without a certificate."""
    if not known.get("IndexConfigs", {}).get(host, {}).get("Secure", True):
        return True
    networks = [ipaddress.ip_network(one) for one in known.get("InsecureRegistryCIDRs") or ()]
    with suppress(OSError, ValueError):
        name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        address = ipaddress.ip_address(socket.gethostbyname(name))
        return any(address in network for network in networks)
    return False


def _seconds(text: str) -> float:
    with suppress(ValueError):
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()
    return 0.0
