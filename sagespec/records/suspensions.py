"""The end of a suspension whose time is over: of that one alone, as people put another in its place without a lock."""

from __future__ import annotations

from contextlib import suppress

from pydantic import ValidationError

from sagespec.records.records import Records
from sagespec.state.suspension import Suspension


def end_suspension(records: Records, over: Suspension) -> bool:
    """Forget it; False where another is there by now."""
    found = records.store.read(records.suspension_key(over.about))
    with suppress(ValidationError):
        if found and Suspension.model_validate_json(found[0]) != over:
            return False
    records.forget_suspension(over.about)
    return True
