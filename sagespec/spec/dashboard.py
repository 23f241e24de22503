"""The settings of the dashboard, under `dashboard` in sagespec.yaml."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sagespec.spec.values import SpecModel, quoted, wrong

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def check_host(value: Any) -> Any:
    """An IP address: engines publish ports on addresses, not on names."""
    try:
        return "127.0.0.1" if value == "localhost" else str(ip_address(value))
    except ValueError:
        raise wrong(f"{quoted(value)} is not an IP address", "write 127.0.0.1, or 0.0.0.0 for all of them") from None


def _check_path(value: Any) -> Any:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise wrong(f"{quoted(value)} is not a path", "begin it with a slash and end it without one, e.g. /sagespec")
    return value


Host = Annotated[str, BeforeValidator(check_host)]


class DashboardSettings(SpecModel):
    """Where the dashboard listens, who may see it, and who may change something with it."""

    host: Host = "127.0.0.1"
    """Address the dashboard listens on. Any but this machine's own needs `auth`."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8082
    """Port the dashboard listens on. Default: 8082, or the next free port if that is taken."""
    auth: Literal["token", "proxy"] | None = None
    """How it knows who asks. token: by the token in the address that is printed; proxy: by the header that a proxy
    sends. On this machine's own address: token, if nothing is set."""
    write: bool | tuple[str, ...] = False
    """Who may apply, stop and roll back: true for everybody who may see it, or the users' names with `auth: proxy`."""
    proxies: tuple[Host, ...] = ()
    """Addresses from which the proxy connects; a user's name from elsewhere is not believed."""
    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "X-Forwarded-User"
    """Header in which the proxy sends the user's name."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names under which it is reached, with their port unless it is the usual one: dash.example.com."""
    base_path: Annotated[str, BeforeValidator(_check_path)] = ""
    """Path under which a proxy shows it: /sagespec."""

    @property
    def sets_port(self) -> bool:
        return "port" in self.model_fields_set
