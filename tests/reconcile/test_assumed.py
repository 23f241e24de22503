"""Specs taken for applied: a plan against them is the plan of a world in which they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sagespec.reconcile.assumed import as_if_applied, as_if_trained
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed
from tests.fakes.clock import START
from tests.fakes.specs import desired_from

CASES = sorted((Path(__file__).parents[1] / "cases" / "reconcile").glob("*.yaml"))
NEEDS_A_WORLD = {"environment", "earlier", "happened", "begun", "engine", "secrets", "archives"}
ASKS_THE_GATEWAY = "callers_for_the_first_time"  # which does not answer where it is to be from now on


def assumed(*documents: dict[str, Any]) -> tuple[Desired, Observed]:
    jobs = desired_from(*documents).jobs
    manifests = {job.address: as_if_trained(job, "acme", START) for job in jobs}
    desired = desired_from(*documents, manifests=manifests)
    return desired, as_if_applied(desired, manifests, START)


def told(file: Path) -> dict[str, Any]:
    case: dict[str, Any] = yaml.safe_load(file.read_text())
    return case


OF_SPECS_ALONE = [file for file in CASES if not NEEDS_A_WORLD & told(file).keys() and file.stem != ASKS_THE_GATEWAY]


@pytest.mark.parametrize("file", OF_SPECS_ALONE, ids=lambda file: file.stem)
def test_the_plan_is_that_of_a_world_in_which_they_were_applied(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHOP_KEY", "OTHER_KEY"):
        monkeypatch.setenv(name, f"{name}-0123456789abcdef")
    case = told(file)
    before, observed = assumed(*case.get("before", []))
    after = desired_from(*case.get("after", case.get("before", [])), manifests=observed.manifests)

    plan = reconcile(after, observed, START, Options(**case.get("options", {})))

    assert plan.text() == case.get("plan", "").rstrip("\n")
    assert len(plan.refused) == len(case.get("refused", []))
    assert reconcile(before, observed, START).text() == "", "against themselves they ask for nothing"


def test_there_are_such_cases() -> None:
    assert len(OF_SPECS_ALONE) > 30
