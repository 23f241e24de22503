"""A dashboard of a small project, as its pages are asked for in tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from sagespec.dashboard.access import Access
from sagespec.dashboard.app import create_app
from sagespec.dashboard.happenings import Happenings
from sagespec.project import Project
from sagespec.spec.dashboard import DashboardSettings
from sagespec.verbs.states import Status
from sagespec.web.snapshots import Snapshots

TOKEN = "a-token-that-nobody-else-has-0123456789"
PORT = 8082
HOST = f"127.0.0.1:{PORT}"


class Browser(FlaskClient):
    """Asks by the address that is printed."""

    def open(self, *words: Any, **given: Any) -> Any:
        return super().open(*words, **{"base_url": f"http://{HOST}", **given})


def project_in(root: Path, more: str = "") -> Project:
    (root / "specs").mkdir(parents=True, exist_ok=True)
    (root / "sagespec.yaml").write_text(
        f"apiVersion: sagespec/v1\nkind: Project\nname: shown\nruntime: process\n{more}"
    )
    return Project.open(root)


def access_of(settings: DashboardSettings | None = None) -> Access:
    return Access(settings or DashboardSettings(), TOKEN, PORT)


def client_of(
    project: Project,
    access: Access | None = None,
    *,
    look: Callable[[], Status] | None = None,
    happenings: Happenings | None = None,
) -> FlaskClient:
    """A browser that has not signed in. look: what is seen instead of the project's own status."""
    access = access or access_of()
    app = create_app(project, Snapshots(look or project.status), access, happenings or Happenings())
    app.test_client_class = Browser
    return app.test_client()


def signed_in(client: FlaskClient, access: Access | None = None) -> FlaskClient:
    access = access or access_of()
    client.set_cookie(access.cookie_name, access.cookie, domain="127.0.0.1")
    return client
