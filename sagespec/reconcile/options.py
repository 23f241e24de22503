"""What a person may ask of one run, and the form in which each part of the decision comes back."""

from __future__ import annotations

from dataclasses import dataclass

from sagespec.errors import Problem
from sagespec.plan import Action
from sagespec.state.addresses import Address


@dataclass(frozen=True)
class Options:
    """retry: try failed jobs and revisions again. prune: remove what no spec names any more.
    allow_empty: even when that is everything. destroy: the gateway too."""

    retry: bool = False
    prune: bool = False
    allow_empty: bool = False
    destroy: bool = False


@dataclass(frozen=True)
class Part:
    """What was decided about one job, one endpoint, or all that is unwanted; `Plan` joins them."""

    actions: tuple[Action, ...] = ()
    unchanged: tuple[Address, ...] = ()
    refused: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
