"""Screens that keep what is written, and a plan made by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sagespec.causes import Cause, Change, Reason
from sagespec.errors import Origin, Problem
from sagespec.ongoing import Running
from sagespec.plan import Plan, RemoveInstance, SetRoutes, StartGateway
from sagespec.show.screen import Screen
from sagespec.state.addresses import GATEWAY, Address, endpoint_address, job_address

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHURN = endpoint_address("churn")


def a_screen(**settings: Any) -> Screen:
    return replace(Screen(out=io.StringIO(), err=io.StringIO()), **settings)


def out(screen: Screen) -> str:
    assert isinstance(screen.out, io.StringIO)
    return screen.out.getvalue()


def err(screen: Screen) -> str:
    assert isinstance(screen.err, io.StringIO)
    return screen.err.getvalue()


def routes(*changes: Change, about: Address = CHURN, note: str = "") -> SetRoutes:
    return SetRoutes(about=about, cause=Cause(Reason.CHANGED, changes, note), route=None)


WEIGHT = Change("weight of candidate", "10", "30")
REFUSED = Problem(
    "hyperparameters.num_round is 200, but version 3 was trained with 100",
    about="job/churn@3",
    why="a version is immutable",
    fix="set version: 4",
    where=Origin("specs/churn.yaml", 7, 29),
)
PLAN = Plan(
    actions=(
        StartGateway(about=GATEWAY, cause=Cause(Reason.NEW)),
        routes(WEIGHT),
        RemoveInstance(
            about=Address.parse("endpoint/churn/stable#0"), container="c", cause=Cause(Reason.FOLLOWS, note="left")
        ),
    ),
    unchanged=(job_address("churn", 2),),
    refused=(REFUSED,),
    notes=("endpoint/old is live but in no spec: --prune removes it",),
)
BY = "sagespec watch of ada on build-7 (pid 4711, since 2026-01-01 11:58:48 UTC)"
RUNNING = Running(job_address("slow", 1), BY, NOW, needed_by=(CHURN,))
URLS = {"churn": "http://127.0.0.1:8080/endpoints/churn/invocations"}
