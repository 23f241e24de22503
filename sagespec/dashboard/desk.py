"""What every page works with: the project, the last look at it, what happened, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app, g

from sagespec.dashboard.access import Access, Visitor
from sagespec.dashboard.background import Background
from sagespec.dashboard.curves import Curves
from sagespec.dashboard.deeds import Deeds
from sagespec.dashboard.happenings import Happenings
from sagespec.dashboard.kept import Kept
from sagespec.dashboard.latest import Latest
from sagespec.dashboard.log import Logs
from sagespec.dashboard.planned import Planned
from sagespec.dashboard.recorded import Past
from sagespec.dashboard.registered import Registered
from sagespec.dashboard.rendered import Rendered
from sagespec.dashboard.stream import Streams
from sagespec.project import Project

NAME = "sagespec"  # under which the app keeps it


@dataclass(frozen=True)
class Desk:
    project: Project
    latest: Latest
    happenings: Happenings
    deeds: Deeds
    access: Access
    logs: Logs
    curves: Curves
    streams: Streams
    kept: Kept
    plan: Background[Planned]
    past: Background[tuple[Past, ...]]
    uncommitted: Background[tuple[str, ...]]
    registered: Background[Registered]
    rendered: Rendered


def desk() -> Desk:
    return cast("Desk", current_app.extensions[NAME])


def visitor() -> Visitor:
    return cast("Visitor", g.visitor)
