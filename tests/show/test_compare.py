"""What is said of a comparison."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sagespec.show.compare import footer
from sagespec.spec.compare import Compare
from sagespec.verbs.compare import Comparison


def test_nothing_is_claimed_of_a_split_that_is_not_judged() -> None:
    alone = Comparison("churn", 1, "stable", 0.05, (), 1.0, ("there is nothing to compare with",))
    assert footer(alone) == "bounds and verdict hold at every look, at a level of 5 %"


def test_a_level_without_its_percent_sign_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValidationError, match="is not a share of false verdicts"):
        Compare.model_validate({"alpha": 5})
