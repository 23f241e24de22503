"""The verbs of `Project` that change specs: what follows from that is for whoever applies them.

What they need is imported when they are called: few projects write specs or ask a forge, and all would wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sagespec.looking import Looking

if TYPE_CHECKING:
    from sagespec.verbs.proposals import Proposed
    from sagespec.verbs.written import Written


class Writing(Looking):
    """Those of them that change specs."""

    def bump(self, job_name: str, settings: Mapping[str, str] | None = None, *, reason: str = "") -> Written:
        """Raise the version of a job in its spec, so that the next apply trains it once more. settings: other fields
        to set, as they would be written there: {"hyperparameters.num_round": "200"}. SpecError, and no change, when
        that is wrong."""
        from sagespec.verbs.bump import bump

        return bump(self.parts, job_name, settings, reason)

    def propose(self, *, base: str = "main", remote: str = "origin") -> tuple[Proposed, ...]:
        """Propose what `retrain` asks for on branches of the remote, as pull requests where the environment names a
        forge's token. What became of each; one that failed has its `problem`."""
        from sagespec.forge.environment import pulls_of
        from sagespec.repository.branches import url_of
        from sagespec.show.proposals import body_of
        from sagespec.verbs.proposals import Proposing, propose

        pulls = pulls_of(os.environ, url_of(self.root, remote))
        return propose(self.parts, Proposing(body_of, pulls, base, remote))

    def assign_model(self, model: str, to: str, weight: float | None = None, *, reason: str = "") -> Written:
        """Write a job's model, churn@4, into the spec of an endpoint: for its variant churn/candidate, which is added
        where there is none. SpecError, and no change, when that is wrong."""
        from sagespec.verbs.assigning import assign_model

        return assign_model(self.parts, model, to, weight, reason)
