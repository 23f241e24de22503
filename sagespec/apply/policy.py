"""Whether a plan may be carried out, by the program that sagespec.yaml names as `policy`.

It decides about what the specs change. Repairs, and steps of what it has allowed, are never held up by it, nor is the
lock held while it runs. What cannot be decided is not allowed.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from sagespec.causes import OF_SPECS
from sagespec.children import run
from sagespec.errors import Problem
from sagespec.plan import Action, Plan, RecordRevision
from sagespec.spec.rules import Policy

MOST_TOLD = 2_000  # characters
NOT_ASKED = Problem("the plan changed while the policy was asked about it", about="project", fix="it is asked again")


@dataclass
class Judge:
    """policy: as sagespec.yaml has it now; None for none. It asks once about the same plan."""

    policy: Callable[[], Policy | None]
    folder: Path
    _known: dict[str, Problem | None] = field(default_factory=dict)

    @property
    def is_there(self) -> bool:
        return self.policy() is not None

    def judged(self, plan: Plan, *, may_ask: bool = True) -> Plan:
        """The plan, less what is not allowed. may_ask: not while the lock is held."""
        policy = self.policy()
        changes = [action for action in plan.actions if _is_of_specs(action)]
        if policy is None or not changes:
            return plan
        about = f"{policy!r} {replace(plan, actions=tuple(changes), refused=()).digest}"
        if about not in self._known and may_ask:
            self._known[about] = why_not(policy, plan, self.folder)
        problem = self._known.get(about, NOT_ASKED)
        if problem is None:
            return plan
        return replace(plan.without([action.id for action in changes]), refused=(*plan.refused, problem))


def why_not(policy: Policy, plan: Plan, folder: Path) -> Problem | None:
    """Asks the program, in `folder`; None where it allows the plan."""
    command, said, code = " ".join(policy.command), "", 0
    try:
        text = json.dumps(plan.as_json()).encode()
        done = run(policy.command, seconds=policy.timeout, folder=folder, said=text, joins_errors=True)
        said, code = done.stdout.decode(errors="replace").strip()[:MOST_TOLD], done.returncode
    except OSError as error:
        return _refusal(
            f"{command} cannot be started: {error.strerror or error}", "make it executable, or correct policy"
        )
    except subprocess.TimeoutExpired:
        return _refusal(
            f"{command} did not end within {policy.timeout:g} s", "make it quicker, or raise policy.timeout"
        )
    if code == 0:
        return None
    return _refusal(said or f"{command} ended with {code}, and said nothing", "change the specs, or the policy")


def _refusal(why: str, fix: str) -> Problem:
    return Problem("the policy does not allow this plan", about="project", why=why, fix=fix)


def _is_of_specs(action: Action) -> bool:
    return action.cause.reason in OF_SPECS or isinstance(action, RecordRevision)
