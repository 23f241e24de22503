"""What becomes of secrets in specs: names are checked, keys hold names alone, hashes hold versions apart."""

from __future__ import annotations

from typing import Any

import pytest

from sagespec.dashboard.differences import HIDDEN, endpoint_document, job_document
from sagespec.errors import SpecError
from sagespec.spec.secrets import SecretUse
from sagespec.state.hashes import same_but_for_models, same_hash, secrets_of
from sagespec.state.revision import EndpointRecord
from tests.fakes.specs import desired_from

PROJECT = {"kind": "Project", "secrets": {"churn-db": "env:CHURN_DB", "smtp": "env:SMTP"}}
DB = {"DB": {"secret": "churn-db"}}


def job(environment: Any) -> dict[str, Any]:
    return {"kind": "TrainingJob", "name": "churn", "version": 1, "environment": environment}


def endpoint(environment: Any) -> dict[str, Any]:
    variants = [{"name": "stable", "model": "churn@1", "environment": environment}]
    return {"kind": "Endpoint", "name": "churn", "variants": variants}


def notebook(environment: Any) -> dict[str, Any]:
    return {"kind": "Notebook", "name": "work", "environment": environment}


@pytest.mark.parametrize("kind", [job, endpoint, notebook])
def test_a_secret_that_nobody_knows_is_named_at_its_place(kind: Any) -> None:
    with pytest.raises(SpecError) as error:
        desired_from(PROJECT, *([job({})] if kind is endpoint else []), kind({"DB": {"secret": "churn-bd"}}))
    (problem,) = error.value.problems
    assert problem.what.endswith("environment.DB names the secret churn-bd, which sagespec.yaml does not have")
    assert problem.fix == 'did you mean "churn-db"?'


def test_the_key_of_a_job_holds_the_name_and_is_the_same_whatever_the_version() -> None:
    keys = [desired_from(PROJECT, job(DB), versions=v).jobs[0] for v in ({}, {"churn-db": "1"}, {"churn-db": "2"})]
    assert len({found.key for found in keys}) == 1
    assert keys[0].key_fields["environment.DB"] == {"secret": "churn-db"}
    assert keys[0].environment == {"DB": SecretUse("churn-db")}
    assert keys[0].spec["environment"] == {"DB": {"secret": "churn-db"}}


def test_versions_stand_apart_in_the_hash_of_a_variant_and_not_in_an_endpoints() -> None:
    found = [
        desired_from(PROJECT, job({}), endpoint(DB), versions=v).endpoints[0]
        for v in ({}, {"churn-db": "1"}, {"churn-db": "2"})
    ]
    unasked, one, two = (each.variants[0].hash for each in found)
    assert len({each.hash for each in found}) == 1
    assert secrets_of(unasked) == ""
    assert not same_hash(one, two)
    assert same_but_for_models(one, two)
    assert same_hash(unasked, one)
    assert same_hash(two, unasked)
    record = found[1].record
    assert record.as_json()["variants"][0]["secrets"] == {"churn-db": "1"}
    assert "secrets" not in found[0].record.as_json()["variants"][0]
    assert EndpointRecord.model_validate(record.as_json()) == record


def test_a_variant_without_secrets_has_the_hash_that_it_had() -> None:
    """As an earlier release computed it: an upgrade replaces no container."""
    (found,) = desired_from(PROJECT, job({}), endpoint({"LOG": "info"})).endpoints
    assert (found.hash, found.variants[0].hash) == ("1-66450957c92f80db", "1-dd0a680518a15f0f-untrained")


def test_a_difference_on_a_page_names_the_secret_and_hides_what_is_written_out() -> None:
    environment = {"DB": {"secret": "churn-db"}, "TOKEN": "canary-0451"}
    desired = desired_from(PROJECT, job(environment), endpoint(environment))
    shown = [endpoint_document(desired.endpoints[0].record)["variants"][0], job_document(desired.jobs[0].spec)]
    for found in shown:
        assert found["environment"] == {"DB": {"secret": "churn-db"}, "TOKEN": HIDDEN}
