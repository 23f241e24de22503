"""A plan says where each changed value stands: always to programs, and to people where it is an environment's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sagespec.errors import Origin
from sagespec.load.load import load
from sagespec.plan import Plan
from sagespec.reconcile.assumed import as_if_applied, as_if_trained
from sagespec.reconcile.places import placed
from sagespec.reconcile.reconcile import reconcile
from sagespec.resolve.resolve import resolve
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.manifest import Manifest
from tests.fakes.clock import START
from tests.fakes.specs import IMAGES

HEAD = "apiVersion: sagespec/v1\n"
SPECS = f"""\
{HEAD}kind: TrainingJob
name: churn
version: 1
algorithm: xgboost
channels: {{train: s3://acme/train/}}
---
{HEAD}kind: Endpoint
name: churn
variants:
  - {{name: stable, model: churn@1, weight: 90, environment: {{LOG: info}}}}
  - {{name: candidate, model: churn@1, weight: 10}}
"""
PATCHES = """\
patches:
  endpoint/churn:
    variants:
      stable: {instances: 2, environment: {LOG: warn}}
      candidate: {weight: 20}
    protect: true
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sagespec.yaml").write_text(f"{HEAD}kind: Project\nname: acme\n")
    for folder, file, text in (
        ("specs", "churn.yaml", SPECS),
        ("environments", "prod.yaml", f"{HEAD}kind: Environment\nname: prod\nproject: {{name: acme}}\n{PATCHES}"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text(text)
    return tmp_path


def desired(root: Path, environment: str) -> Desired:
    loaded = load([Path("specs")], root, environment=environment)
    return resolve(loaded, root=root, images=IMAGES, manifests={}, fingerprint=str)


def planned(root: Path, before: str, after: str) -> Plan:
    was = desired(root, before)
    manifests: dict[Address, Manifest] = {job.address: as_if_trained(job, "acme", START) for job in was.jobs}
    return reconcile(desired(root, after), as_if_applied(was, manifests, START), START)


def test_what_an_environment_says_is_shown_with_its_place(root: Path) -> None:
    text = planned(root, "", "prod").text()
    assert "weight of candidate 10 -> 20 (environments/prod.yaml:9:27)" in text
    assert "instances of stable 1 -> 2 (environments/prod.yaml:8:27)" in text
    assert "environment.LOG of stable changed (environments/prod.yaml:8:49)" in text


def test_what_a_spec_says_is_told_to_programs_alone(root: Path) -> None:
    plan = planned(root, "prod", "")
    changes = [change for action in plan for change in action.cause.as_json()["changes"]]
    (weight,) = [change for change in changes if change["field"] == "weight of candidate"]
    assert (weight["file"], weight["line"], weight["column"]) == ("specs/churn.yaml", 13, 47)
    assert ".yaml" not in plan.text()


def test_a_plan_is_the_same_wherever_its_values_stand(root: Path) -> None:
    before = planned(root, "", "prod")
    file = root / "environments" / "prod.yaml"
    file.write_text(f"# production\n{file.read_text()}")
    after = planned(root, "", "prod")
    assert after.digest == before.digest
    assert after.as_json() != before.as_json()


def test_no_place_is_looked_for_where_nothing_has_changed(root: Path) -> None:
    """A thousand endpoints have as many documents, and reading one for its places takes longer than planning it."""

    class NeverAsked(dict[str, Origin]):
        def __len__(self) -> int:
            raise AssertionError("all places are read for this")

    (endpoint,) = desired(root, "").endpoints
    actions = [action for action in planned(root, "", "").actions if not action.cause.changes]
    assert placed(actions, replace(endpoint, field_origins=NeverAsked())) == tuple(actions)
