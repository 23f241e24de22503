"""What of a commit is not even read, and what it is not given: files and secrets of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sagespec.events import Event
from sagespec.spec.source import Source
from sagespec.verbs.sourced import Sourced
from tests.repositories import Origin

HEAD = "apiVersion: sagespec/v1\n"
PROJECT = f"{HEAD}kind: Project\nname: churn\n"
ENVIRONMENT = f"{HEAD}kind: Environment\nname: prod\n"
JOB = (
    f"{HEAD}kind: TrainingJob\nname: churn\nversion: 1\nalgorithm: xgboost\n"
    "hyperparameters: {num_round: 2, objective: 'reg:squarederror'}\nchannels: {train: ../data/train.csv}\n"
)
SECRET = "kind: canary-7f3a91\n"


class Machine:
    """A repository, and who follows it on a machine with files of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.origin, self.told = folder, Origin(folder / "there"), list[Event]()
        self.keys = folder / "keys"
        self.keys.mkdir()
        (self.keys / "db.yaml").write_text(SECRET)
        self.origin.write({"sagespec.yaml": PROJECT, "specs/churn.yaml": JOB, "data/train.csv": "1,2\n"})

    def look(self, files: dict[str, str], **said: Any) -> str:
        """What is told of a first commit with these files."""
        self.origin.commit("first", {name: text.replace("KEYS", str(self.keys)) for name, text in files.items()})
        self.origin.push()
        document = {"apiVersion": "sagespec/v1", "kind": "Source", "name": "churn", "url": self.origin.url, **said}
        sourced = Sourced.at(
            Source.model_validate(document), self.folder, state_dir=self.folder / "state", runtime="process"
        )
        pull = sourced.pull(self.told.append)
        with sourced.mirror.claimed():
            pull.look()
        text = "\n".join(event.text for event in self.told)
        assert pull.target is None, text
        assert "canary" not in text
        return text


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("link", ["specs/more.yaml", "sagespec.yaml", "environments/prod.yaml", "environments"])
def test_a_file_that_a_link_leads_to_is_not_read(machine: Machine, link: str) -> None:
    place = machine.origin.work / link
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(machine.keys if link == "environments" else machine.keys / "db.yaml")
    said = {"environment": "prod"} if link.startswith("environments") else {}
    assert f"{link} is a link that leads out of the repository" in machine.look({}, **said)


@pytest.mark.parametrize("path", ["KEYS", "KEYS/db.yaml", "../../../../keys"])
def test_specs_of_an_environment_are_in_the_repository(machine: Machine, path: str) -> None:
    files = {"environments/prod.yaml": f"{ENVIRONMENT}specs: [specs, '{path}']\n"}
    told = machine.look(files, environment="prod")
    assert "environments/prod.yaml:4:16" in told
    assert "is outside of the repository" in told


def test_nothing_is_written_where_a_commit_may_not_keep_its_store(machine: Machine) -> None:
    told = machine.look({"sagespec.yaml": f"{PROJECT}store: KEYS/store\n"})
    assert "is outside of the repository" in told
    assert [file.name for file in machine.keys.iterdir()] == ["db.yaml"]


def test_models_are_not_taken_from_a_folder_that_another_environment_names(machine: Machine) -> None:
    staging = f"{HEAD}kind: Environment\nname: staging\nproject: {{store: KEYS}}\n"
    files = {"environments/prod.yaml": f"{ENVIRONMENT}models_from: staging\n", "environments/staging.yaml": staging}
    told = machine.look(files, environment="prod")
    assert "models_from: " in told
    assert "is outside of the repository" in told


def test_a_dockerfile_is_in_the_repository(machine: Machine) -> None:
    build = "build: {context: ../own, dockerfile: ../../../../keys/db.yaml}\n"
    job = JOB.partition("algorithm")[0] + build + "channels: {train: ../data/train.csv}\n"
    told = machine.look({"specs/churn.yaml": job, "own/train": "#!/bin/sh\n"})
    assert "build.dockerfile: " in told
    assert "is outside of the repository" in told


WITH_SECRETS = {
    "webhook": {"secret": {"secret": "hook"}},
    "report": {"github": {"token": {"secret": "status"}, "repository": "a/b"}},
    "secrets": {"hook": "env:HOOK", "status": "env:STATUS", "db": "env:DB"},
}
ENDPOINT = (
    f"{HEAD}kind: Endpoint\nname: churn\nvariants: [{{name: one, model: churn@1, environment: {{A: {{secret: S}}}}}}]\n"
)


@pytest.mark.parametrize("name", ["hook", "status"])
@pytest.mark.parametrize(
    ("file", "text", "field"),
    [
        ("specs/churn.yaml", f"{JOB}environment: {{A: {{secret: S}}}}\n", "specs/churn.yaml:8:"),
        ("specs/churn.yaml", f"{JOB}environment: {{A: {{secret: S, as: file}}}}\n", "environment.A: "),
        ("specs/more.yaml", ENDPOINT, "variants.0.environment.A: "),
        ("sagespec.yaml", f"{PROJECT}notify: [{{url: {{secret: S}}}}]\n", "notify.0: "),
        ("sagespec.yaml", f"{PROJECT}gateway: {{callers: {{a: {{key: {{secret: S}}}}}}}}\n", "gateway.callers.a: "),
    ],
)
def test_no_program_of_a_commit_is_given_what_the_source_itself_uses(
    machine: Machine, name: str, file: str, text: str, field: str
) -> None:
    told = machine.look({file: text.replace("secret: S", f"secret: {name}")}, **WITH_SECRETS)
    assert f"the secret {name} is the source's own" in told
    assert field in told


def test_the_secret_that_reads_the_repository_is_the_sources_own() -> None:
    said = {"credentials": {"secret": "git"}, "secrets": {"git": "env:GIT", "db": "env:DB"}}
    document = {"apiVersion": "sagespec/v1", "kind": "Source", "name": "churn", "url": "https://a/b", **said}
    assert Source.model_validate(document).own_secrets == {"git"}


def test_specs_that_are_wrong_are_told_as_ever(machine: Machine) -> None:
    told = machine.look({"specs/churn.yaml": JOB.replace("num_round", "num_rounds")})
    assert "num_rounds" in told
