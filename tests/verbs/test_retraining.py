"""A job is trained once more by a commit: what asks for that, and what is written then."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sagespec.errors import SagespecError
from sagespec.inputs.channels import contents_of, input_of, objects_of
from sagespec.project import Project
from sagespec.records.listings import write_listing
from sagespec.spec.schedule import parse_schedule
from sagespec.state.addresses import job_address
from sagespec.state.desired import DesiredChannel
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.verbs.due import Due, due

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
SPECS = """\
# The churn model.
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 1          # raise it to train again
algorithm: xgboost
hyperparameters: {objective: "reg:squarederror", num_round: 40}   # rounds
channels:
  train: ../data/train
retrain:
  schedule: "0 3 * * 1"
  on_data: [train]
  settle: 30m
  at_most_every: 1d
---
apiVersion: sagespec/v1
kind: Endpoint
name: churn
variants:
  - {name: stable, model: churn@1, weight: 90}   # do not touch
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "sagespec.yaml").write_text("apiVersion: sagespec/v1\nkind: Project\nname: acme\n")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "churn.yaml").write_text(SPECS)
    (tmp_path / "data" / "train").mkdir(parents=True)
    put(tmp_path, "a.csv", "1,2\n")
    return Project(tmp_path)


def put(root: Path, name: str, text: str, *, age: timedelta = timedelta(days=3)) -> None:
    """A file of the channel train that was written so long before NOW."""
    file = root / "data" / "train" / name
    file.write_text(text)
    os.utime(file, ((NOW - age).timestamp(),) * 2)


def train(
    project: Project, version: int = 1, *, age: timedelta = timedelta(hours=30), keeps_listing: bool = True
) -> None:
    """What a training leaves in the store, with the data of now."""
    channel = DesiredChannel("train", "data/train")
    contents = contents_of(channel, project.root)
    at = NOW - age
    manifest = Manifest(
        project="acme", name="churn", version=version, key="1-0", key_fields={}, status=JobStatus.COMPLETED, spec={},
        started_at=at, ended_at=at, inputs={"train": input_of(channel, contents)}, seconds={"training": 90.0},
        metrics={"auc": 0.8},
    )  # fmt: skip
    project.parts.records.write_manifest(manifest)
    if keeps_listing:
        write_listing(project.parts.records, job_address("churn", version), "train", objects_of(contents))


def asked(project: Project, now: datetime = NOW) -> Due:
    (one,) = due(project.parts, now)
    return one


# -- what asks for it: Monday was the day before NOW, at 3:00 it was 33 hours ago


def test_nothing_asks_for_it_while_schedule_and_data_are_as_they_were(project: Project) -> None:
    train(project)
    assert (asked(project).is_due, asked(project).why) == (False, ("nothing asks for it",))


def test_a_schedule_asks_once_its_time_has_come_since_the_training(project: Project) -> None:
    train(project, age=timedelta(hours=34))
    found = asked(project)
    assert (found.is_due, found.next_version, found.seconds) == (True, 2, 90.0)
    assert found.why == ("schedule 0 3 * * 1: due since 2026-11-30 03:00 UTC",)


def test_other_data_ask_once_they_have_settled(project: Project) -> None:
    train(project)
    put(project.root, "b.csv", "3,4\n5,6\n", age=timedelta(minutes=10))
    assert not asked(project).is_due
    assert asked(project).why == ("channel train: 1 -> 2 objects, 1 new, 0 changed, 0 gone, +8 B; "
                                  "it settles 2026-12-01 12:20 UTC",)  # fmt: skip
    later = asked(project, NOW + timedelta(minutes=20))
    assert later.is_due
    assert later.why == ("channel train: 1 -> 2 objects, 1 new, 0 changed, 0 gone, +8 B",)
    assert later.data[0].new == ("b.csv",)


def test_data_touched_but_the_same_ask_for_nothing(project: Project) -> None:
    train(project)
    put(project.root, "a.csv", "1,2\n", age=timedelta(hours=1))
    assert not asked(project).is_due


def test_without_a_listing_the_counts_are_told(project: Project) -> None:
    train(project, keeps_listing=False)
    put(project.root, "b.csv", "3,4\n")
    assert asked(project).why == ("channel train: 1 -> 2 objects, +4 B",)


def test_it_is_not_asked_for_too_often(project: Project) -> None:
    train(project, age=timedelta(hours=23))
    put(project.root, "b.csv", "3,4\n")
    assert not asked(project).is_due
    assert asked(project).why == ("churn@1 was trained 2026-11-30 13:00 UTC; not again before 2026-12-01 13:00 UTC",)


@pytest.mark.parametrize(
    ("versions", "in_specs", "why"),
    [
        ((), 1, "no version of it is trained yet"),
        ((1,), 2, "churn@2 is in the specs and not trained"),
    ],
)
def test_what_is_still_to_be_trained_asks_for_no_more(
    project: Project, versions: tuple[int, ...], in_specs: int, why: str
) -> None:
    for version in versions:
        train(project, version, age=timedelta(days=9))
    file = project.root / "specs" / "churn.yaml"
    file.write_text(file.read_text().replace("version: 1 ", f"version: {in_specs} "))
    assert (asked(project).is_due, asked(project).why) == (False, (why,))


def test_data_that_cannot_be_looked_at_are_told_and_nothing_else_is_lost(project: Project) -> None:
    train(project, age=timedelta(days=9))
    (project.root / "data" / "train" / "a.csv").unlink()
    assert asked(project).is_due  # by its schedule
    file = project.root / "specs" / "churn.yaml"
    file.write_text(file.read_text().replace('  schedule: "0 3 * * 1"\n', ""))
    assert not asked(project).is_due
    assert "cannot be looked at: channel train: there is nothing at" in asked(project).why[0]


# -- what is written


def test_bump_raises_the_version_in_place(project: Project) -> None:
    train(project)
    written = project.bump("churn", {"hyperparameters.num_round": "200"}, reason="more rounds")
    assert (project.root / "specs" / "churn.yaml").read_text() == SPECS.replace("version: 1 ", "version: 2 ").replace(
        "num_round: 40", "num_round: 200"
    )
    assert (written.about, written.file, written.line) == (job_address("churn", 2), "specs/churn.yaml", 5)
    assert [str(setting) for setting in written.settings] == ["version 1 -> 2", "hyperparameters.num_round 40 -> 200"]
    assert written.message == "train churn@2: more rounds"


def test_bump_leaves_out_versions_that_only_the_store_has(project: Project) -> None:
    train(project, 1)
    train(project, 7)
    assert project.bump("job/churn").about == job_address("churn", 8)


@pytest.mark.parametrize(
    ("name", "settings", "part"),
    [
        ("chrun", {}, 'did you mean "churn"'),
        ("churn@3", {}, "not the newest version"),
        ("churn", {"name": "x"}, "cannot be set"),
        ("churn", {"hyperparameters.num_round": "many"}, "num_round"),
        ("churn", {"instances": "0"}, "instances"),
        ("churn", {"algorithm": "xgbost"}, "xgbost"),
        ("churn", {}, "churn@1"),  # which the endpoint serves, and is not trained: no spec would describe it
    ],
)
def test_what_would_be_wrong_is_not_written(project: Project, name: str, settings: dict[str, str], part: str) -> None:
    if settings:
        train(project)
    with pytest.raises(SagespecError) as refused:
        project.bump(name, settings)
    assert part in str(refused.value)
    assert (project.root / "specs" / "churn.yaml").read_text() == SPECS
    assert [file.name for file in (project.root / "specs").iterdir()] == ["churn.yaml"]


def test_assign_writes_the_model_of_a_variant(project: Project) -> None:
    train(project)
    train(project, 2)
    written = project.assign_model("churn@2", "endpoint/churn/stable", 100)
    text = SPECS.replace("model: churn@1, weight: 90}   #", "model: churn@2, weight: 100}   #")
    assert (project.root / "specs" / "churn.yaml").read_text() == text
    assert written.message == "serve churn@2 by churn/stable"


def test_assign_adds_a_variant_that_is_not_there(project: Project) -> None:
    train(project)
    train(project, 2)
    project.assign_model("churn@2", "churn/candidate", 10)
    added = f"{SPECS}  - {{name: candidate, model: churn@2, weight: 10}}\n"
    assert (project.root / "specs" / "churn.yaml").read_text() == added


@pytest.mark.parametrize(
    ("model", "to", "part"),
    [
        ("churn", "churn/stable", "does not name a model"),
        ("churn@9", "churn/stable", "churn@9"),
        ("churn@1", "churn", "names no variant"),
        ("churn@1", "chrn/stable", 'did you mean "churn"'),
        ("churn@1", "churn/stable", "has churn@1 already"),
    ],
)
def test_a_promotion_that_would_be_wrong_is_not_written(project: Project, model: str, to: str, part: str) -> None:
    train(project)
    with pytest.raises(SagespecError) as refused:
        project.assign_model(model, to)
    assert part in str(refused.value)
    assert (project.root / "specs" / "churn.yaml").read_text() == SPECS


# -- schedules


@pytest.mark.parametrize(
    ("schedule", "last"),
    [
        ("0 3 * * 1", "2026-11-30T03:00"),
        ("0 12 * * *", "2026-12-01T12:00"),
        ("1 12 * * *", "2026-11-30T12:01"),
        ("*/15 * * * *", "2026-12-01T12:00"),
        ("59 23 29 2 *", "2024-02-29T23:59"),
        ("0 0 1,15 * *", "2026-12-01T00:00"),
        ("0 0 13 * FRI", "2026-11-27T00:00"),  # either day
        ("0 0 * JAN-MAR sun", "2026-03-29T00:00"),
        ("5/20 0 * * 7", "2026-11-29T00:45"),
        ("0 0 30 2 *", None),
    ],
)
def test_a_schedule_knows_when_it_was_due_last(schedule: str, last: str | None) -> None:
    found = parse_schedule(schedule).last(NOW)
    assert (found.strftime("%Y-%m-%dT%H:%M") if found else None) == last


WRONG = ("", "* * * *", "60 * * * *", "* * 0 * *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "*-3 * * * *",
         "a * * * *", "* * * MONDAY *")  # fmt: skip


@pytest.mark.parametrize("schedule", WRONG)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(Exception, match="no "):
        parse_schedule(schedule)


def test_what_an_environment_overrides_is_not_written_for_nothing(project: Project) -> None:
    train(project)
    train(project, 2)
    (project.root / "environments").mkdir()
    (project.root / "environments" / "prod.yaml").write_text(
        "apiVersion: sagespec/v1\nkind: Environment\nname: prod\n"
        "patches:\n  endpoint/churn: {variants: {stable: {model: churn@1}}}\n"
    )
    prod = Project(project.root, environment="prod")
    with pytest.raises(SagespecError, match="the environment prod says something else"):
        prod.assign_model("churn@2", "churn/stable")
    assert (project.root / "specs" / "churn.yaml").read_text() == SPECS
