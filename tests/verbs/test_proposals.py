"""Retraining is proposed and reviewed: one pull request a question, on a real git server and with data in S3."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from sagespec.cli.main import main
from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.forge.environment import pulls_of
from sagespec.forge.pulls import Pulls
from sagespec.forge.requests import Forge, Kind
from sagespec.inputs.channels import contents_of, input_of, objects_of
from sagespec.parts import Parts
from sagespec.plan import RunJob
from sagespec.project import Project
from sagespec.records.listings import write_listing
from sagespec.records.sweeping import Sweeping
from sagespec.repository.branches import tree_of
from sagespec.show.proposals import body_of
from sagespec.state.addresses import job_address
from sagespec.state.desired import DesiredChannel
from sagespec.state.manifest import Artifact, JobStatus, Manifest
from sagespec.state.revision import EndpointRecord, ModelRecord, Revision, RevisionStatus, VariantRecord
from sagespec.stores.open import open_store
from sagespec.verbs.plan import desired
from sagespec.verbs.proposals import Proposed, Proposing, Result, propose
from sagespec.verbs.proposing import Proposer, in_checkout
from tests.contracts.servers import S3Server, s3_server
from tests.forge.server import TOKEN, ForgeServer, forge
from tests.git_server import serving
from tests.repositories import Origin
from tests.scenarios.workspace import wait_until

SPECS = """\
# The churn model: see the wiki.
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 1          # raise it to train again
algorithm: xgboost
hyperparameters: {objective: "reg:squarederror", num_round: 40}   # rounds
channels:
  train: s3://acme/train/
retrain:
  on_data: [train]
  settle: 30m
  at_most_every: 1h
  assign: {endpoint: churn, variant: candidate, weight: 10}
---
apiVersion: sagespec/v1
kind: Endpoint
name: churn
variants:
  - {name: stable, model: churn@1, weight: 90}   # do not touch
rollout:
  gate: {metric: auc, min: 0.78, worse_than_live_by_at_most: 0.005}
"""
BUMP, ASSIGN = "sagespec/bump/churn", "sagespec/assign/churn"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server("moto") as server:
        yield server


@dataclass
class Team:
    """A repository, its forge, and the data that the churn model is trained with. clock: how far the bot's is ahead."""

    origin: Origin
    server: ForgeServer
    project: Project
    clock: timedelta = timedelta()
    metrics: dict[int, float] = field(default_factory=lambda: {1: 0.8})

    def propose(self, base: str = "main") -> tuple[Proposed, ...]:
        """As the bot does, in a fresh checkout of the branch."""
        self.origin.git("fetch", "-q", "origin")
        self.origin.git("reset", "-q", "--hard", f"origin/{base}")
        kind: Kind = self.server.kind  # type: ignore[assignment]
        pulls = Pulls(Forge(kind, self.server.api, "acme/models", context="sagespec"), TOKEN)
        return propose(self.project.parts, Proposing(body_of, pulls, base, now=datetime.now(UTC) + self.clock))

    def put(self, *names: str, text: str = "1,2\n") -> None:
        store = open_store("s3://acme/train")
        for name in names:
            store.write(name, text.encode())

    def train(self, version: int, auc: float) -> None:
        """What a training leaves in the store, with the data of now."""
        channel = DesiredChannel("train", "s3://acme/train/")
        contents = contents_of(channel, self.project.root)
        at = datetime.now(UTC) + self.clock
        records, job = self.project.parts.records, job_address("churn", version)
        wanted = desired(self.project.parts, check_paths=False, only=[job])[0].job(job)
        assert wanted
        records.write_manifest(
            Manifest(
                project="acme", name="churn", version=version, key=wanted.key,
                key_fields=dict(wanted.key_fields), status=JobStatus.COMPLETED, spec={},
                started_at=at, ended_at=at, inputs={"train": input_of(channel, contents)},
                seconds={"training": 90.0}, metrics={"auc": auc, "train:loss": 0.25},
                artifacts={"model": Artifact(key="model.tar.gz", size=1, sha256=f"{version:064}")},
            )
        )  # fmt: skip
        write_listing(records, job, "train", objects_of(contents))

    def serve(self, version: int) -> None:
        """As the live revision has it."""
        model = ModelRecord(text=f"churn@{version}", identity=f"job/churn@{version}", job=f"job/churn@{version}")
        asked = EndpointRecord(variants=(VariantRecord(name="stable", model=model, weight=90),))
        at = datetime.now(UTC)
        self.project.parts.records.write_revision(
            Revision(endpoint="churn", number=1, hash="1-0", status=RevisionStatus.LIVE, asked=asked, started_at=at)
        )

    def merge(self, branch: str, number: int) -> None:
        self.origin.git("fetch", "-q", "origin")
        self.origin.git("merge", "-q", "--no-edit", "--no-ff", f"origin/{branch}")
        self.origin.push()
        self.server.close(number, merged=True)

    @property
    def branches(self) -> dict[str, str]:
        listed = self.origin.git("ls-remote", "--heads", "origin").split()
        return {name.removeprefix("refs/heads/"): tip for tip, name in zip(listed[::2], listed[1::2], strict=True)}

    @property
    def written(self) -> int:
        """How many requests have changed something on the forge."""
        return sum(count for what, count in self.server.counted.items() if not what.startswith("GET"))

    def spec_at(self, branch: str) -> str:
        self.origin.git("fetch", "-q", "origin")
        return self.origin.git("show", f"origin/{branch}:specs/churn.yaml")


@pytest.fixture(params=["github"])
def team(
    request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Team]:
    s3.activate(monkeypatch)
    for entry in (store := open_store("s3://acme/train")).entries():
        store.delete(entry.key)
    origin = Origin(tmp_path / "there")
    origin.commit(
        "begin",
        {
            "sagespec.yaml": "apiVersion: sagespec/v1\nkind: Project\nname: acme\n",
            "specs/churn.yaml": SPECS,
            ".gitignore": ".sagespec/\n",
        },
    )
    with ExitStack() as stack:
        url = stack.enter_context(serving(origin.bare))
        origin.git("remote", "set-url", "origin", url)
        origin.push()
        server = stack.enter_context(forge(request.param))
        found = Team(origin, server, stack.enter_context(Project(origin.work)))
        found.put(*(f"part-{number}.csv" for number in range(3)))
        found.train(1, 0.8)
        found.serve(1)
        yield found


def test_from_new_data_to_a_reviewed_training_to_a_reviewed_model(team: Team) -> None:
    team.clock = timedelta(hours=3)
    assert team.propose() == ()
    assert team.server.counted.total() == 0, "where nothing is asked for, the forge is not asked either"
    assert set(team.branches) == {"main"}

    team.put(*(f"new-{number}.csv" for number in range(20)))
    (first,) = team.propose()
    assert (first.result, first.title, first.branch) == (Result.OPENED, "Train churn@2", BUMP)
    assert team.spec_at(BUMP) == SPECS.replace("version: 1 ", "version: 2 ")
    (pull,) = team.server.pulls
    assert "channel train: 3 -> 23 objects, 20 new, 0 changed, 0 gone, +80 B" in pull["body"]
    assert "run-job" in pull["body"]
    assert "The last training took 1 min 30 s." in pull["body"]
    assert [state for state, _, _ in team.server.statuses[first.commit]] == ["success"]

    written, branches = team.written, team.branches
    (again,) = team.propose()
    assert (again.result, again.url) == (Result.UNCHANGED, first.url)
    assert (team.written, team.branches) == (written, branches), "no commit and nothing written for what is the same"

    team.merge(BUMP, 1)
    assert team.propose() == (), "it is in the specs, and not trained yet"
    team.train(2, 0.81)
    (second,) = team.propose()
    assert (second.result, second.title, second.branch) == (Result.OPENED, "Serve churn@2 by churn/candidate", ASSIGN)
    stable = "  - {name: stable, model: churn@1, weight: 90}   # do not touch\n"
    assert f"{stable}  - {{name: candidate, model: churn@2, weight: 10}}\n" in team.spec_at(ASSIGN)
    body = team.server.pulls[1]["body"]
    assert "| `auc` | 0.81 | 0.8 | +0.01 |" in body
    assert "✅ Gate: `passed`" in body
    assert "acme/jobs/churn/2/manifest.json" in body
    assert "start-instance" in body

    team.merge(ASSIGN, 2)
    assert team.propose() == ()


def test_a_model_that_is_worse_is_proposed_with_what_its_gate_says(team: Team) -> None:
    team.put("new.csv")
    team.origin.write({"specs/churn.yaml": SPECS.replace("version: 1 ", "version: 2 ")})
    team.origin.commit("train it")
    team.origin.push()
    team.train(2, 0.741)
    (found,) = team.propose()
    assert found.result is Result.OPENED
    body = team.server.pulls[0]["body"]
    assert "| `auc` | 0.741 | 0.8 | -0.059 |" in body
    assert "❌ Gate: `is held by its gate: variant candidate, churn@2: auc 0.741 is below the least, 0.78`" in body


def test_a_model_that_is_rejected_is_not_proposed(team: Team) -> None:
    model = '---\napiVersion: sagespec/v1\nkind: Model\nname: churn\nrejected: {"churn@2": "leaks the label"}\n'
    team.origin.write({"specs/churn.yaml": SPECS.replace("version: 1 ", "version: 2 ") + model})
    team.origin.commit("train it, and reject it")
    team.origin.push()
    team.train(2, 0.9)
    assert team.propose() == ()
    assert set(team.branches) == {"main"}


def test_a_model_that_gc_has_swept_is_not_proposed(team: Team) -> None:
    team.origin.write({"specs/churn.yaml": SPECS.replace("version: 1 ", "version: 2 ")})
    team.origin.commit("train it")
    team.origin.push()
    team.train(2, 0.9)
    records = team.project.parts.records
    job = job_address("churn", 2)
    Sweeping(records).tombstone(records.manifests([job])[job], datetime.now(UTC))
    assert team.propose() == ()


def test_a_branch_is_made_from_its_base_again_and_its_pull_request_edited(team: Team) -> None:
    team.clock = timedelta(hours=3)
    team.put("new.csv")
    (first,) = team.propose()
    team.origin.commit("something else", {"README.md": "about it\n"})
    base = team.origin.push()
    (rebuilt,) = team.propose()
    assert rebuilt.commit != first.commit
    assert team.origin.git("rev-parse", f"{rebuilt.commit}^").strip() == base
    assert len(team.server.pulls) == 1

    # somebody else's version 2 is merged and trained, and there are new data: ours becomes version 3
    team.origin.write({"specs/churn.yaml": SPECS.replace("version: 1 ", "version: 2 ").replace("  assign", "  #")})
    team.origin.commit("theirs")
    team.origin.push()
    team.train(2, 0.8)
    team.put("newer.csv")
    team.clock = timedelta(hours=6)
    (edited,) = team.propose()
    assert (edited.result, edited.title, edited.url) == (Result.EDITED, "Train churn@3", first.url)
    assert [pull["title"] for pull in team.server.pulls] == ["Train churn@3"]
    assert "version: 3 " in team.spec_at(BUMP)


def test_what_was_closed_is_asked_again_for_another_reason_and_for_no_other(team: Team) -> None:
    team.clock = timedelta(hours=3)
    team.put("new.csv")
    (first,) = team.propose()
    team.server.close(1, at=datetime.now(UTC) + team.clock)
    branches, written = team.branches, team.written
    team.clock = timedelta(hours=30)
    (found,) = team.propose()
    assert (found.result, found.url) == (Result.TURNED_DOWN, first.url)
    assert found.notes == (
        "closed without a merge: it is asked again for another reason; to have it now, open that one again, or commit "
        "what `sagespec bump churn` writes",
    )
    assert (team.written, team.branches) == (written, branches), "the same is asked once"

    team.put("new.csv", text="3,4\n")  # as many objects, as large, under the same names
    (again,) = team.propose()
    assert (again.result, again.title, len(team.server.pulls)) == (Result.OPENED, "Train churn@2", 2)
    team.server.close(2, at=datetime.now(UTC) + team.clock)
    team.put("new.csv")
    (third,) = team.propose()
    assert (third.result, third.url) == (Result.TURNED_DOWN, first.url), "that was answered before"


def test_what_was_closed_is_not_asked_again_at_once_though_data_keep_coming(team: Team) -> None:
    team.clock = timedelta(hours=3)
    team.put("new.csv")
    team.propose()
    team.server.close(1, at=datetime.now(UTC) + team.clock)
    team.put("newer.csv")
    team.clock = timedelta(hours=3, minutes=59)  # at_most_every is an hour
    (found,) = team.propose()
    assert found.result is Result.TURNED_DOWN
    assert "for another reason, from 2" in found.notes[0]
    team.clock = timedelta(hours=4, minutes=1)
    assert [one.result for one in team.propose()] == [Result.OPENED]


def test_a_model_that_was_turned_down_is_proposed_when_it_was_trained_once_more(team: Team) -> None:
    team.origin.write({"specs/churn.yaml": SPECS.replace("version: 1 ", "version: 2 ")})
    team.origin.commit("train it")
    team.origin.push()
    team.train(2, 0.9)
    team.propose()
    team.server.close(1)
    assert [one.result for one in team.propose()] == [Result.TURNED_DOWN]
    other = SPECS.replace("version: 1 ", "version: 2 ").replace("weight: 10}", "weight: 5}")
    team.origin.write({"specs/churn.yaml": other})
    team.origin.commit("less of it")
    team.origin.push()
    (again,) = team.propose()
    assert (again.result, again.title) == (Result.OPENED, "Serve churn@2 by churn/candidate")


def test_environments_have_branches_of_their_own(team: Team) -> None:
    environment = "apiVersion: sagespec/v1\nkind: Environment\nname: staging\nproject: {name: acme}\n"
    team.origin.commit("two of them", {"environments/staging.yaml": environment})
    team.origin.push()
    team.clock = timedelta(hours=3)
    team.put("new.csv")
    (plain,) = team.propose()
    with Project(team.origin.work, environment="staging") as project:
        team.project = project
        (staging,) = team.propose()
    assert (plain.branch, staging.branch) == (BUMP, f"{BUMP}@staging")
    assert (plain.title, staging.title) == ("Train churn@2", "Train churn@2 in staging")
    assert {BUMP, f"{BUMP}@staging"} <= set(team.branches)
    assert [pull["state"] for pull in team.server.pulls] == ["open", "open"]


def test_a_branch_that_somebody_has_pushed_to_is_left_alone_while_it_is_open(team: Team) -> None:
    team.clock = timedelta(hours=3)
    team.put("new.csv")
    (first,) = team.propose()
    team.origin.git("fetch", "-q", "origin")
    team.origin.git("checkout", "-q", "-B", "theirs", f"origin/{BUMP}")
    theirs = team.origin.commit("theirs", {"notes.md": "theirs\n"})
    team.origin.git("push", "-q", "origin", f"HEAD:refs/heads/{BUMP}")
    team.origin.git("checkout", "-q", "main")
    team.put("newer.csv")
    (found,) = team.propose()
    assert (found.result, found.url, team.branches[BUMP]) == (Result.LEFT_ALONE, first.url, theirs)
    assert found.notes[0].startswith(f"somebody else has pushed {theirs[:12]} to it")

    team.merge(BUMP, 1)
    team.train(2, 0.8)
    team.put("newest.csv")
    team.clock = timedelta(hours=6)
    (bumped, _) = team.propose()
    assert (bumped.result, bumped.title) == (Result.OPENED, "Train churn@3"), "what was merged is nobody's any more"


def test_a_branch_that_has_nothing_in_common_with_its_base_is_left_alone(team: Team) -> None:
    team.clock = timedelta(hours=3)
    team.put("new.csv")
    team.propose()
    team.origin.git("checkout", "-q", "--orphan", "theirs")
    theirs = team.origin.commit("another beginning", {"notes.md": "theirs\n"})
    team.origin.git("push", "-q", "--force", "origin", f"HEAD:refs/heads/{BUMP}")
    team.origin.git("checkout", "-q", "main")
    (found,) = team.propose()
    assert (found.result, found.commit, team.branches[BUMP]) == (Result.LEFT_ALONE, theirs, theirs)
    assert found.problem is None


def test_a_push_that_comes_in_between_is_not_overwritten(team: Team, tmp_path: Path) -> None:
    team.clock = timedelta(hours=3)
    team.put("new.csv")
    team.propose()
    with tree_of(team.origin.work, remote="origin", base="main", folder=tmp_path) as tree:
        seen = tree.tip_of(BUMP)
        team.origin.git("checkout", "-q", "-B", "theirs", seen)
        theirs = team.origin.commit("theirs", {"notes.md": "theirs\n"})
        team.origin.git("push", "-q", "origin", f"HEAD:refs/heads/{BUMP}")
        (tree.top / "README.md").write_text("ours\n")
        (tree.root / "specs" / "churn.yaml").write_text(SPECS.replace("version: 1 ", "version: 2 "))
        with pytest.raises(WorldError, match="git push: "):
            tree.push(BUMP, tree.commit_all("ours"), instead_of=seen)
    assert team.branches[BUMP] == theirs


def test_a_forge_that_is_away_fails_the_proposal_and_the_next_run_makes_it(team: Team) -> None:
    team.clock = timedelta(hours=3)
    team.put("new.csv")
    team.server.away = True
    (failed,) = team.propose()
    assert failed.result is Result.FAILED
    assert failed.problem is not None
    assert "answered 503" in failed.problem.what
    team.server.away = False
    (found,) = team.propose()
    assert found.result is Result.OPENED


def test_the_checkout_is_left_as_it_is(team: Team) -> None:
    team.clock = timedelta(hours=3)
    team.put("new.csv")
    team.propose()
    assert team.origin.git("status", "--porcelain") == ""
    assert team.origin.git("worktree", "list").count("\n") == 1
    assert (team.origin.work / "specs" / "churn.yaml").read_text() == SPECS


@pytest.mark.parametrize("team", ["gitea", "gitlab"], indirect=True)
def test_other_forges_are_asked_in_their_words(team: Team) -> None:
    team.clock = timedelta(hours=3)
    team.put("new.csv")
    assert [one.result for one in team.propose()] == [Result.OPENED]
    assert [one.result for one in team.propose()] == [Result.UNCHANGED]
    team.put("newer.csv")
    assert [one.result for one in team.propose()] == [Result.EDITED]
    assert "5 objects" in team.server.pulls[0]["body"]
    assert len(team.server.pulls) == 1


def test_the_command_says_what_is_due_and_what_became_of_it(
    team: Team, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_once = SPECS.replace("settle: 30m", "settle: 0s").replace("at_most_every: 1h", "at_most_every: 0s")
    team.origin.commit("at once", {"specs/churn.yaml": at_once})
    team.origin.push()
    team.put("new.csv")

    def command(*words: str, code: int = 0) -> str:
        assert main(["-C", str(team.origin.work), *words]) == code
        return capsys.readouterr().out

    said = command("bump", "--due")
    assert "job/churn@1  due: version 2, about 1 min 30 s" in said
    assert "channel train: 3 -> 4 objects, 1 new, 0 changed, 0 gone, +4 B" in said
    (due,) = json.loads(command("bump", "--due", "--output", "json"))["due"]
    assert (due["job"], due["next_version"], due["is_due"], due["data"][0]["new"]) == (
        "job/churn@1",
        2,
        True,
        ["new.csv"],
    )

    for name in ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_API_URL", "GITHUB_REPOSITORY", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    assert "pushed       Train churn@2  sagespec/bump/churn" in command("bump", "--due", "--pr")  # without a token
    for name, value in {"API": team.server.api, "REPOSITORY": "acme/models", "TOKEN": TOKEN}.items():
        monkeypatch.setenv(f"SAGESPEC_FORGE_{name}", value)
    (proposed,) = json.loads(command("bump", "--due", "--pr", "--output", "json"))["proposed"]
    assert (proposed["result"], proposed["url"]) == ("opened", "https://forge.example/acme/models/pull/1")
    team.server.close(1)
    said = command("bump", "--due")
    assert (
        "  turned down: https://forge.example/acme/models/pull/1\n  closed without a merge: it is asked again" in said
    )
    (due,) = json.loads(command("bump", "--due", "--output", "json"))["due"]
    assert due["turned_down"] == proposed["url"]
    monkeypatch.setenv("SAGESPEC_FORGE_TOKEN", "another")
    assert "failed       Train churn@2" in command("bump", "--due", "--pr", code=1)


WRONG_USAGE = (["bump"], ["bump", "churn", "--due"], ["bump", "churn", "--pr"], ["bump", "--due", "--base", "x"],
               ["bump", "--due", "--reason", "x"], ["bump", "churn", "--set", "eta"],
               ["promote", "churn", "--weight", "3"])  # fmt: skip


@pytest.mark.parametrize("words", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_ends_with_64(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 64
    assert "Error: " in capsys.readouterr().err


URL = "https://github.com/acme/models.git"
RUNNER = {"GITHUB_TOKEN": "t", "GITHUB_API_URL": "https://api.github.com", "GITHUB_REPOSITORY": "acme/models"}


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        (RUNNER, "/srv/x.git", ("github", "https://api.github.com", "acme/models")),
        ({"GITHUB_TOKEN": "t"}, URL, ("github", "https://api.github.com", "acme/models")),
        (
            RUNNER | {"GITEA_ACTIONS": "true", "GITHUB_API_URL": "https://git.example/api/v1"},
            URL,
            ("gitea", "https://git.example/api/v1", "acme/models"),
        ),
        (
            {
                "GITLAB_CI": "true",
                "GITLAB_TOKEN": "t",
                "CI_API_V4_URL": "https://gl/api/v4",
                "CI_PROJECT_PATH": "a/b/c",
            },
            URL,
            ("gitlab", "https://gl/api/v4", "a/b/c"),
        ),
        (
            {"SAGESPEC_FORGE": "gitea", "SAGESPEC_FORGE_TOKEN": "t"},
            "git@git.example:acme/models.git",
            ("gitea", "https://git.example/api/v1", "acme/models"),
        ),
        ({}, URL, None),
        ({"GITHUB_TOKEN": "t"}, "https://git.example/acme/models.git", None),  # it is for github.com
        ({"GH_TOKEN": "t"}, "git@gitlab.com:acme/models.git", None),
        ({"GH_TOKEN": "t"}, "https://github.com.example/acme/models.git", None),
        ({"GITHUB_TOKEN": "t", "SAGESPEC_FORGE": "gitea"}, "https://git.example/acme/models.git", None),
        ({"GITLAB_TOKEN": "t", "SAGESPEC_FORGE": "gitlab"}, "https://gitlab.example/acme/models.git", None),
        (
            {"GITLAB_TOKEN": "t", "SAGESPEC_FORGE": "gitlab"},
            "https://gitlab.com/acme/models.git",
            ("gitlab", "https://gitlab.com/api/v4", "acme/models"),
        ),
    ],
)
def test_the_forge_follows_from_the_environment(
    environment: dict[str, str], url: str, expected: tuple[str, str, str] | None
) -> None:
    found = pulls_of(environment, url)
    assert (found and (found.forge.kind, found.forge.api, found.forge.repository)) == expected


def test_a_remote_may_be_a_relative_path(team: Team) -> None:
    """As of a repository in the folder beside: it starts at the checkout, not at the tree that the bot works in."""
    team.origin.git("remote", "set-url", "origin", os.path.relpath(team.origin.bare, team.origin.work))
    team.clock = timedelta(hours=3)
    team.put("more.csv")
    (first,) = team.propose()
    assert first.result is Result.OPENED
    assert team.spec_at(BUMP) == SPECS.replace("version: 1 ", "version: 2 ")


@contextmanager
def looped(team: Team, monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[tuple[list[str], Report]]:
    """What a loop in the checkout tells, and what it is told."""
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_API_URL", "GITHUB_REPOSITORY", "GITLAB_CI", "GITLAB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"API": team.server.api, "REPOSITORY": "acme/models", **environment}.items():
        monkeypatch.setenv(f"SAGESPEC_FORGE_{name}", value)
    told: list[str] = []
    how = partial(in_checkout, team.origin.work, body_of)
    proposer = Proposer(lambda: Parts(team.origin.work), how, first_pause_seconds=0.1)
    hear = proposer.heard(lambda event: told.append(event.text))
    with proposer:
        yield told, hear


def ended(version: int) -> Event:
    return Event(EventKind.FINISHED, f"job/churn@{version}", action=RunJob.verb)


def test_a_loop_proposes_a_model_as_its_job_ends_and_asks_for_no_training(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.clock = timedelta(hours=3)
    team.origin.write({"specs/churn.yaml": SPECS.replace("version: 1 ", "version: 2 ").replace("30m", "0s")})
    team.origin.commit("train it")
    team.origin.push()
    with looped(team, monkeypatch, TOKEN=TOKEN) as (told, hear):
        team.train(2, 0.9)
        team.put("new.csv")
        hear(ended(2))
        wait_until(lambda: any("the pull request is opened" in text for text in told), 60)
    assert [pull["title"] for pull in team.server.pulls] == ["Serve churn@2 by churn/candidate"]
    assert set(team.branches) == {"main", ASSIGN}


def test_a_loop_without_a_token_says_so_once_and_pushes_nothing(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    team.origin.write({"specs/churn.yaml": SPECS.replace("version: 1 ", "version: 2 ")})
    team.origin.commit("train it")
    team.origin.push()
    team.train(2, 0.9)
    with looped(team, monkeypatch) as (told, hear):
        hear(ended(2))
        wait_until(lambda: any("the environment has no token of a forge" in text for text in told), 60)
        hear(ended(2))
    assert sum("no token of a forge" in text for text in told) == 1
    assert "set SAGESPEC_FORGE_TOKEN" in "".join(told)
    assert set(team.branches) == {"main"}


def test_a_loop_tries_again_what_the_forge_did_not_take(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    team.origin.write({"specs/churn.yaml": SPECS.replace("version: 1 ", "version: 2 ")})
    team.origin.commit("train it")
    team.origin.push()
    team.train(2, 0.9)
    team.server.away = True
    with looped(team, monkeypatch, TOKEN=TOKEN) as (told, _):
        wait_until(lambda: any("answered 503" in text for text in told), 60)
        team.server.away = False
        wait_until(lambda: bool(team.server.pulls), 60)
    assert sum("answered 503" in text for text in told) == 1, "and that is told once"
