"""What was applied and is not there any more, and what is stale."""

from __future__ import annotations

from dataclasses import replace

from sagespec.drift import drift_of
from sagespec.parts import Parts
from sagespec.plan import Plan
from sagespec.verbs.edited import DataNow
from sagespec.verbs.plan import plan


def drift(parts: Parts) -> Plan:
    """Data in S3 are listed for it; the notes tell what could not be looked at."""
    data = DataNow(parts.root, waits=parts.waits, lists=True)
    found = drift_of(plan(parts, data=data))
    unseen = (f"whether {source} has changed is not known: {why}" for source, why in sorted(data.unseen.items()))
    return replace(found, notes=tuple(unseen))
