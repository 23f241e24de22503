"""The sequential test, by figures worked out apart from it, and by what it promises."""

from __future__ import annotations

import pytest

from sagespec.evidence.sequential import EITHER, Arm, Evidence

VECTORS = [
    (
        [(180, 1, 20, 0), (180, 1, 20, 1), (180, 0, 20, 2), (180, 2, 20, 3), (180, 1, 20, 2)],
        [-0.303535319, 0.303388342, 2.788023524, 6.130958463, 8.722893967],
    ),
    ([(90, 0, 10, 3)], [4.565654719]),
    ([(90, 0, 10, 2)], [2.778919907]),
    ([(900, 9, 100, 1)], [-0.739287906]),
    ([(50, 1, 50, 10)], [3.459813799]),
    ([(180, 0, 20, 0), (0, 0, 20, 5)], [0.0, 0.0]),
]


@pytest.mark.parametrize(("looks", "logs"), VECTORS)
def test_figures(looks: list[tuple[int, int, int, int]], logs: list[float]) -> None:
    evidence, found = Evidence(), []
    for control, control_events, candidate, candidate_events in looks:
        evidence = evidence.after(Arm(control, control_events), Arm(candidate, candidate_events))
        found.append(evidence.log)
    assert found == pytest.approx(logs, abs=5e-10)


def test_the_p_value_never_grows() -> None:
    first = Evidence().after(Arm(90, 0), Arm(10, 3))
    assert first.p == pytest.approx(0.0104031, abs=5e-8)
    later = first.after(Arm(900, 90), Arm(100, 0))
    assert later.log < first.log
    assert later.p == first.p


def test_it_is_enough_at_the_share_of_false_alarms_that_one_allows() -> None:
    evidence = Evidence().after(Arm(90, 0), Arm(10, 3))
    assert not evidence.is_enough(0.01)
    assert evidence.is_enough(0.0105)


def test_both_ways() -> None:
    fewer = Evidence(EITHER).after(Arm(500, 50), Arm(500, 5))
    assert fewer.is_enough(0.05)
    assert not Evidence().after(Arm(500, 50), Arm(500, 5)).is_enough(0.05)
