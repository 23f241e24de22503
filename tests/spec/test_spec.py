"""The models themselves: short forms, units, and the rules between fields. How mistakes read: test_load."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from pydantic import ValidationError

from sagespec import spec
from sagespec.spec.document import Update, update_class
from sagespec.spec.endpoint import Endpoint, Variant, named_job
from sagespec.spec.job import ChannelSpec, Metric, Resources, TrainingJob
from sagespec.spec.kinds import KINDS
from sagespec.spec.meanings import meanings_of
from sagespec.spec.rollout import Rollout
from sagespec.spec.values import parse_duration, parse_size
from sagespec.verbs import init as scaffold


def a_job(**changes: Any) -> TrainingJob:
    fields = {"name": "churn", "version": 1, "algorithm": "xgboost", "channels": {"train": "./train.csv"}} | changes
    return TrainingJob.model_validate({"apiVersion": "sagespec/v1", "kind": "TrainingJob"} | fields)


def objections(**changes: Any) -> list[tuple[str, str]]:
    """Field and text of everything wrong with a job so changed."""
    with pytest.raises(ValidationError) as caught:
        a_job(**changes)
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors()]


@pytest.mark.parametrize("module", [spec, scaffold])
def test_examples_in_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("1.5h", 5400), ("28d", 2419200), (90, 90), (0.5, 0.5), ("0s", 0)],
)
def test_durations_have_units(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "90", "1 h", "1w", "-1s", "29d", -1, 10**400, float("nan"), float("inf"), True, None, "1h\n", "٣s", "9" * 99],
)
def test_what_is_no_duration_is_refused(value: Any) -> None:
    assert objections(stopping={"max_runtime": value})


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GiB", 2**31), ("1.5GB", 1_500_000_000), ("512 MiB", 2**29), (2**30, 2**30), ("7000000B", 7_000_000)],
)
def test_sizes_have_units(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("value", ["", "2gb", "2 GiB ", "-1GiB", 2, "2", "5MiB", "65TiB", 1.5, True, "9" * 999, [1]])
def test_what_is_no_size_is_refused(value: Any) -> None:
    assert objections(resources={"memory": value})


@pytest.mark.parametrize(
    ("model", "job"),
    [
        ("churn@3", ("churn", 3)),
        ("a-b@12", ("a-b", 12)),
        ("./churn@3", None),
        ("churn@3.tar.gz", None),
        ("churn@0", None),
        ("churn@03", None),
        ("churn@3\n", None),
        ("-a@3", None),
        ("a" * 64 + "@3", None),
    ],
)
def test_a_model_names_a_job_only_as_name_and_version(model: str, job: tuple[str, int] | None) -> None:
    assert named_job(model) == job


@pytest.mark.parametrize("name", ["a", "A-b-1", "a" * 63, "0"])
def test_names_are_sagemakers(name: str) -> None:
    assert a_job(name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a_b", "a b", "a" * 64, "a\n", "é", 3, True, None, ["a"], "a--" * 30 + "b"]
)
def test_what_is_no_name_is_refused(name: Any) -> None:
    assert [field for field, _ in objections(name=name)] == ["name"]


def test_nothing_is_converted_silently() -> None:
    for changes in (
        {"version": "3"},
        {"version": 3.0},
        {"version": True},
        {"protect": "yes"},
        {"protect": 1},
        {"image": 3},
    ):
        assert objections(**changes), changes
    assert a_job(resources={"cpus": 2}).resources == Resources(cpus=2.0)


def test_environment_takes_what_has_one_spelling() -> None:
    assert a_job(environment={"A": "1.10", "B": 8080, "C": True}).environment == {"A": "1.10", "B": "8080", "C": "true"}
    assert objections(environment={"A": 1.1})
    assert objections(environment={"A": "x" * 513})


def test_hyperparameters_are_what_json_holds() -> None:
    values = {"a": [1, {"b": None}], "c": 0.1, "d": "x" * 2500}
    assert a_job(hyperparameters=values).hyperparameters == values
    for value in (float("nan"), [float("inf")], {1: 2}, {"a": {1}}, "x" * 2501, object()):
        assert objections(hyperparameters={"a": value})
    assert objections(hyperparameters={"x" * 257: 1})
    assert objections(hyperparameters={str(n): 1 for n in range(101)})


def test_a_channel_is_a_folder_of_its_own() -> None:
    for name in (".", "..", "", "a/b", "a b"):
        assert objections(channels={name: "s3://acme/"}), name
    for name in ("...", ".a", "a.", "a-b_c.d"):
        assert a_job(channels={name: "s3://acme/"}).channels


def test_what_no_environment_variable_can_hold_is_refused() -> None:
    assert objections(environment={"A": "x\0y"})
    assert objections(hyperparameters={"a": "x\0y"})
    assert a_job(hyperparameters={"a": ["x\0y"]}), "as JSON it is escaped"


def test_a_channels_short_form_is_its_source() -> None:
    assert a_job(channels={"train": "s3://acme/"}) == a_job(channels={"train": {"source": "s3://acme/"}})


def test_every_field_says_what_it_is() -> None:
    for model in (*KINDS.values(), Variant, Rollout, Resources):
        assert model.__doc__
        assert all(meanings_of(model).get(name) for name in model.model_fields), model.__name__


def test_every_endpoint_field_declares_what_a_change_does() -> None:
    for model in (Variant, Rollout, Endpoint):
        for name, field in model.model_fields.items():
            declared = any(isinstance(mark, Update) for mark in field.metadata)
            assert declared or name in ("apiVersion", "kind", "variants"), f"{model.__name__}.{name}"
    assert update_class(Variant, "weight") is Update.ROUTE
    assert update_class(Variant, "instances") is Update.SCALE
    assert update_class(Variant, "model") is Update.REPLACE
    assert update_class(TrainingJob, "image") is Update.REPLACE, "what declares nothing is read the safe way"


def test_required_fields_have_an_example_to_show() -> None:
    for model in (*KINDS.values(), Variant, ChannelSpec):
        for name, field in model.model_fields.items():
            assert field.examples or not field.is_required(), f"{model.__name__}.{name}"


def test_fields_of_a_channel_are_for_the_mode_it_has() -> None:
    channels = {"train": {"source": "./train.csv", "writable": True}}
    assert objections(input_mode="pipe", channels=channels) == [("", "is for input_mode file")]
    channels = {"train": {"source": "./train.csv", "compression": "gzip"}}
    assert objections(channels=channels) == [("", "is for input_mode pipe")]


def test_torchrun_is_for_frameworks_that_have_it() -> None:
    script = {"algorithm": None, "entry_point": "train.py", "distribution": "torch_distributed"}
    said = "torch_distributed is for pytorch and huggingface: sklearn has no torchrun"
    assert objections(framework="sklearn", **script) == [("", said)]
    a_job(framework="pytorch", **script)
    a_job(image="acme/torch", **script)


def test_checkpoints_are_not_kept_in_a_folder_called_tilde() -> None:
    ((field, said),) = objections(checkpoints={"source": "~/checkpoints"})
    assert (field, said) == (
        "checkpoints.source",
        '"~/checkpoints" starts in a home folder, which differs from user to user',
    )


def test_a_seed_that_would_shuffle_nothing_is_told() -> None:
    seeded = {"source": "s3://b/t", "shuffle_seed": 1}
    assert objections(channels={"train": seeded}) == [("", "has no effect: every container gets all objects, as files")]
    a_job(channels={"train": seeded | {"distribution": "sharded"}})
    a_job(channels={"train": seeded}, input_mode="pipe")


def test_no_channel_is_called_as_an_epoch_of_another() -> None:
    channels = {"train": {"source": "./train.csv", "input_mode": "pipe"}, "train_0": "./other.csv"}
    said = "is what an epoch of the channel train is called, which is in pipe mode"
    assert objections(channels=channels) == [("", said)]
    a_job(channels={"train": "./train.csv", "train_0": "./other.csv"})


@pytest.mark.parametrize(
    ("regex", "why"),
    [("loss=(", "not a regular expression"), ("loss=.", "has no group"), ("((a{1000}){1000})", "too often")],
)
def test_a_metric_that_cannot_be_looked_for_is_refused(regex: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Metric(name="loss", regex=regex)
    assert Metric(name="loss", regex=r"(?:\d{2}:){3} loss=([0-9.]{1,20})")
