"""How sagespec itself reaches the gateway: where it listens, the certificate it must show, and a caller's key.

Where callers have keys, requests of our own (`invoke`, the dashboard's form, predictions that come through `api`) are
made in the name of the first caller that may ask the endpoint and whose key can be read here, unless one is named.
"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sagespec.errors import SpecError, WorldError, did_you_mean
from sagespec.gateway.certificates import leaf_of, trusted_file
from sagespec.parts import Parts
from sagespec.resolve.doors import Unreadable, read_key
from sagespec.spec.project import GatewaySettings
from sagespec.spec.values import quoted


@dataclass(frozen=True)
class Way:
    """key: '' where nobody needs one. certificate: in PEM form; '' for plain HTTP."""

    url: str
    key: str = field(default="", repr=False)
    certificate: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Api-Key": self.key} if self.key else {}

    def connection(self, timeout_seconds: float) -> http.client.HTTPConnection:
        place = urlsplit(self.url)
        if place.scheme != "https":
            return http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout_seconds)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # this very certificate is asked for, whatever names are in it
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=self.certificate)
        return http.client.HTTPSConnection(place.hostname or "", place.port, timeout=timeout_seconds, context=context)


def way_to(parts: Parts, endpoint_name: str, *, url: str = "", caller: str | None = None) -> Way:
    """url: where the gateway listens, if that is known. caller: in whose name, even one that may not ask this endpoint.
    WorldError where callers have keys and none of them is here; SpecError for a caller that there is not."""
    settings = parts.settings.gateway
    file = trusted_file(settings, parts.home)
    key = _key_for(parts, endpoint_name) if caller is None else _key_of(parts, caller)
    return Way(url or parts.gateway_url, key, leaf_of(file) if file else "")


def curl_to(settings: GatewaySettings) -> str:
    """How curl is called in this project's folder, up to the address; the key is for the reader to fill in."""
    trusted = " --cacert .sagespec/tls/certificate.pem" if settings.tls == "self_signed" else ""
    named = " -H 'X-Api-Key: KEY'" if settings.callers else ""
    return f"curl{trusted}{named}"


def _key_of(parts: Parts, caller: str) -> str:
    callers = parts.settings.gateway.callers
    if caller not in callers:
        fix = did_you_mean(caller, callers) or "name one under gateway.callers in sagespec.yaml"
        raise SpecError(f"there is no caller {quoted(caller)}", fix=fix)
    try:
        return read_key(callers[caller].key, parts.home, parts.secrets.open)
    except Unreadable as found:
        raise WorldError(f"key of caller {caller}: {found.what}", fix=found.fix) from None


def _key_for(parts: Parts, endpoint_name: str) -> str:
    problems = []
    callers = sorted(parts.settings.gateway.callers.items())
    for name, caller in callers:
        if not caller.endpoints or endpoint_name in caller.endpoints:
            try:
                return read_key(caller.key, parts.home, parts.secrets.open)
            except Unreadable as found:
                problems.append(f"{name}: {found.what}")
    if not callers:
        return ""
    raise WorldError(
        f"no key with which endpoint/{endpoint_name} could be asked is here",
        why="; ".join(problems) or "no caller in sagespec.yaml may ask it",
        fix="bring one of the keys here, or add a caller for yourself to gateway.callers in sagespec.yaml",
    )
