"""A model that is to be copied from where it was trained is judged by a gate once it is here, and not before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sagespec.parts import Parts
from sagespec.reconcile.reconcile import reconcile
from sagespec.records.records import Records
from sagespec.state.addresses import job_address
from sagespec.state.manifest import Artifact, JobStatus, Manifest
from sagespec.state.observed import Observed
from sagespec.verbs.elsewhere import trained_elsewhere
from sagespec.verbs.plan import desired_of
from tests.fakes.world import SimulatedWorld

HEAD = "apiVersion: sagespec/v1\n"
ENDPOINT = (
    "kind: Endpoint\nname: churn\nvariants:\n  - {name: stable, model: churn@2, weight: 1}\n"
    "rollout: {gate: {metric: 'validation:auc', min: 0.5}}\n"
)


def test_a_gate_waits_for_a_model_that_is_copied_and_has_no_spec(tmp_path: Path) -> None:
    for folder in ("specs", "environments"):
        (tmp_path / folder).mkdir()
    (tmp_path / "sagespec.yaml").write_text(f"{HEAD}kind: Project\nname: acme\n")
    (tmp_path / "environments" / "staging.yaml").write_text(f"{HEAD}kind: Environment\nname: staging\n")
    prod = f"{HEAD}kind: Environment\nname: prod\nmodels_from: staging\njobs: never\n"
    (tmp_path / "environments" / "prod.yaml").write_text(prod)
    (tmp_path / "specs" / "churn.yaml").write_text(HEAD + ENDPOINT)
    parts, at, job = Parts(tmp_path, environment="prod"), datetime.now(UTC), job_address("churn", 2)
    trained = Manifest(
        project="acme-staging",
        name=job.name,
        version=job.version,
        key="1-2",
        key_fields={},
        status=JobStatus.COMPLETED,
        spec={"algorithm": "xgboost"},
        artifacts={"model": Artifact(key="model.tar.gz", size=1, sha256="0" * 64)},
        metrics={"validation:auc": 0.9},
        started_at=at,
        ended_at=at,
    )
    Records(parts.store, "acme-staging").write_manifest(trained)
    wanted, manifests = desired_of(parts, parts.load(), check_paths=False)
    world = SimulatedWorld()
    world.elsewhere = trained_elsewhere(parts, wanted, Observed(manifests=manifests))
    plan = world.plan(wanted)
    assert not plan.refused
    assert {action.verb for action in plan} >= {"copy-model", "start-instance", "set-routes"}
    assert reconcile(wanted, Observed(elsewhere=world.elsewhere), at).refused == ()
