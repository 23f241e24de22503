"""Who may see the dashboard, and who may change something with it. Pure.

With `auth: token` whoever has the token, which the address that `sagespec dashboard` prints carries, and a cookie after
that. With `auth: proxy` whoever a proxy named in the settings says it is. A token that was never given out, made from
the first, stands in each page: only a page of ours can send it back, so no other site's page can change anything.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from sagespec.errors import Origin, Problem, SpecError
from sagespec.spec.dashboard import DashboardSettings

LOOPBACK = ("127.0.0.1", "::1")
MARK_HEADER, MARK_FIELD = "x-sagespec-token", "sagespec-token"  # of a request that changes something


@dataclass(frozen=True)
class Visitor:
    """name: '' for the holder of the token, who is whoever started sagespec."""

    name: str
    may_write: bool


@dataclass(frozen=True)
class Access:
    """settings: of sagespec.yaml. token: a secret of this project. port: on which the dashboard listens."""

    settings: DashboardSettings
    token: str
    port: int

    @property
    def cookie_name(self) -> str:
        """Browsers give a cookie to every port of a host, so that another project's must have another name."""
        return f"sagespec-{self.port}"

    @property
    def cookie(self) -> str:
        return self._made("cookie")

    @property
    def mark(self) -> str:
        return self._made("mark")

    def is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def visitor(self, headers: Mapping[str, str], cookies: Mapping[str, str], peer: str) -> Visitor | None:
        """Who asks; None for a stranger. headers: with names in lower case. peer: the address of who connected."""
        settings = self.settings
        if settings.auth == "proxy":
            name = headers.get(settings.user_header.lower(), "") if peer in settings.proxies else ""
            return Visitor(name, self._may_write(name)) if name else None
        given = cookies.get(self.cookie_name, "")
        if not hmac.compare_digest(given.encode(), self.cookie.encode()):
            return None
        return Visitor("", settings.write is True)

    def is_marked(self, given: str) -> bool:
        """Whether a request that changes something comes from one of our own pages."""
        return hmac.compare_digest(given.encode(), self.mark.encode())

    def _may_write(self, name: str) -> bool:
        write = self.settings.write
        return write if isinstance(write, bool) else name in write

    def _made(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), purpose.encode(), sha256).hexdigest()


def check(settings: DashboardSettings, origins: Mapping[str, Origin]) -> None:
    """SpecError where these settings would open the project to people whom nobody knows."""
    if settings.host not in LOOPBACK and settings.auth is None:
        raise SpecError(
            Problem(
                f"the dashboard would listen on {settings.host} for everybody who can reach it",
                about="dashboard.host",
                why="it shows logs and data, and may change what runs",
                fix="add `auth: token`, or `auth: proxy` behind a proxy that knows its users; or leave out `host`",
                where=origins.get("dashboard.host"),
            )
        )
    if settings.auth == "proxy" and not settings.proxies:
        raise SpecError(
            Problem(
                "`auth: proxy` trusts no proxy",
                about="dashboard.auth",
                why="the user's name is taken from a header, which anybody could send",
                fix="name the addresses that the proxy connects from: `proxies: [127.0.0.1]`",
                where=origins.get("dashboard.auth"),
            )
        )
    if settings.auth != "proxy" and not isinstance(settings.write, bool):
        raise SpecError(
            Problem(
                "`write` names users, and a token does not say who holds it",
                about="dashboard.write",
                fix="write `true`, or use `auth: proxy`",
                where=origins.get("dashboard.write"),
            )
        )
