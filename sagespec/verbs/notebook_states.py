"""The rows of notebooks in `sagespec status`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sagespec.plan import Plan
from sagespec.reconcile.notebooks import is_idle
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredNotebook
from sagespec.state.observed import ContainerState, Observed


class NotebookWord(StrEnum):
    RUNNING = "running"
    PENDING = "pending"  # its spec is not applied yet
    IDLE = "idle"  # stopped, since nobody used it
    STOPPED = "stopped"  # its spec says running: false
    DEAD = "dead"
    REFUSED = "refused"  # the plan refuses its spec
    ORPHANED = "orphaned"  # in no spec


@dataclass(frozen=True)
class NotebookState:
    """One row. url: where it is opened, without the token; '' where it was never started."""

    address: Address
    state: NotebookWord
    url: str = ""
    detail: str = ""
    started_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "address": str(self.address),
            "state": self.state.value,
            "detail": self.detail,
            "url": self.url,
            "started_at": self.started_at.isoformat() if self.started_at else None,
        }


def notebook_states(
    desired: Desired, observed: Observed, plan: Plan, url_of: Callable[[str], str]
) -> tuple[NotebookState, ...]:
    """The rows of all notebooks, those in no spec included, sorted by name. url_of: of a notebook, by its name."""
    asked = {notebook.address: notebook for notebook in desired.notebooks}
    there = {container.address.whole for container in observed.containers if container.address.kind == "notebook"}
    return tuple(
        _state(address, asked, observed, plan, url=url_of(address.name)) for address in sorted({*asked, *there})
    )


def _state(
    address: Address, asked: Mapping[Address, DesiredNotebook], observed: Observed, plan: Plan, *, url: str
) -> NotebookState:
    containers = observed.containers_of(address)
    running = next((c for c in containers if c.state is ContainerState.RUNNING), None)
    word, detail = _word(address, asked.get(address), observed, plan)
    return NotebookState(address, word, url if running else "", detail, running.started_at if running else None)


def _word(address: Address, asked: DesiredNotebook | None, observed: Observed, plan: Plan) -> tuple[NotebookWord, str]:
    containers = observed.containers_of(address)
    if asked is None:
        return NotebookWord.ORPHANED, "in no spec: `sagespec apply --prune` removes it"
    if problem := next((p for p in plan.refused if p.about == str(address)), None):
        return NotebookWord.REFUSED, problem.what
    if action := next((action for action in plan.actions if action.about.whole == address), None):
        dead = any(c.state is ContainerState.EXITED for c in containers)
        return NotebookWord.DEAD if dead else NotebookWord.PENDING, str(action.cause)
    if not asked.is_to_run:
        return NotebookWord.STOPPED, "its spec says running: false"
    if is_idle(containers):
        return NotebookWord.IDLE, f"nobody used it: `sagespec restart {address}` starts it"
    return NotebookWord.RUNNING, ""
