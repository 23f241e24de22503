"""Whether a request may come from where it says: against other sites' pages and names that lead to this machine.

A browser sends requests to 127.0.0.1 for any page it shows. What tells them apart is the name the page used (Host), and
what the browser says of where the request began (Origin, Sec-Fetch-Site). Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Refusal:
    """status: of HTTP. text: for whoever reads it."""

    status: int
    text: str


def names_of(port: int, more: Collection[str] = ()) -> frozenset[str]:
    """What Host may say of a server on this port. more: further names, with their port unless it is the usual one."""
    return frozenset({*(f"{name}:{port}" for name in LOOPBACK_NAMES), *(name.lower() for name in more)})


def refusal(headers: Mapping[str, str], names: Collection[str]) -> Refusal | None:
    """Why a request is refused, or None. headers: with names in lower case. names: of `names_of`."""
    host = headers.get("host", "").lower()
    if host not in names:
        return Refusal(421, f"{host[:100] or 'no host'} is not a name of this server: use {sorted(names)[0]}\n")
    site = headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin"):
        return Refusal(403, "this request comes from another site's page\n")
    origin = headers.get("origin")
    if origin is not None and _place_of(origin) not in names:
        return Refusal(403, "this request comes from another site's page\n")
    return None


def _place_of(origin: str) -> str:
    """Host and port; '' for what is no origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
