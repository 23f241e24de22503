"""What the specs of a commit may not name, however they write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sagespec.load.confined import Bounds, out_of_bounds, unreadable
from sagespec.load.load import load
from sagespec.spec.source import Source

HEAD = "apiVersion: sagespec/v1\n"
JOB = "kind: TrainingJob\nname: churn\nversion: 1\nalgorithm: xgboost\nchannels: {train: ../data/train.csv}\n"


class Tree:
    """A commit's files, on a machine with files of its own."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home, self.secret = folder / "tree", folder / "home", folder / "secret"
        for path in (self.root / "specs", self.root / "data", self.home, self.secret):
            path.mkdir(parents=True)
        (self.secret / "shadow").write_text("root:x\n")
        (self.root / "data" / "train.csv").write_text("1,2\n")
        self.settings("")
        self.spec(JOB)

    def settings(self, more: str) -> None:
        (self.root / "sagespec.yaml").write_text(f"{HEAD}kind: Project\nname: churn-prod\n{more}")

    def spec(self, text: str) -> None:
        (self.root / "specs" / "churn.yaml").write_text(HEAD + text)

    def problems(self, **said: Any) -> list[str]:
        source = Source.model_validate(
            {"apiVersion": "sagespec/v1", "kind": "Source", "name": "a", "url": "/a", **said}
        )
        bounds = Bounds(source, self.root, self.home)
        if found := unreadable(self.root, bounds):
            return [str(problem) for problem in found]
        loaded = load([self.root / "specs"], self.root, check_paths=False)
        return [str(problem) for problem in out_of_bounds(loaded, bounds)]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_commit_that_stays_in_its_tree_is_fine(tree: Tree) -> None:
    assert tree.problems() == []


@pytest.mark.parametrize(
    "path", ["../../secret/shadow", "/etc/shadow", "file:///etc/shadow", "../data/../../secret", "../.."]
)
def test_a_path_out_of_the_tree_is_refused_at_its_place(tree: Tree, path: str) -> None:
    tree.spec(JOB.replace("../data/train.csv", path))
    (told,) = tree.problems()
    assert "specs/churn.yaml:6:" in told
    assert "is outside of the repository" in told


def test_what_the_source_allows_may_be_named(tree: Tree) -> None:
    tree.spec(JOB.replace("../data/train.csv", str(tree.secret / "shadow")))
    assert tree.problems(allow={"paths": [str(tree.secret)]}) == []
    assert len(tree.problems(allow={"paths": [str(tree.secret / "sha")]})) == 1, "a name that begins so is another one"


def test_what_is_allowed_is_not_left_by_a_link(tree: Tree) -> None:
    allowed = tree.home.with_name("allowed")
    allowed.mkdir()
    (allowed / "link").symlink_to(tree.secret / "shadow")
    tree.spec(JOB.replace("../data/train.csv", str(allowed / "link")))
    assert len(tree.problems(allow={"paths": [str(allowed)]})) == 1


@pytest.mark.parametrize("place", ["data/train.csv", "data/deep/link", "specs/more"])
def test_a_link_out_of_the_tree_is_refused_wherever_it_is(tree: Tree, place: str) -> None:
    link = tree.root / place
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(tree.secret)
    assert any("is a link that leads out of the repository" in told for told in tree.problems())


def test_a_link_inside_of_the_tree_is_fine(tree: Tree) -> None:
    (tree.root / "data" / "again.csv").symlink_to("train.csv")
    assert tree.problems() == []


def test_a_pointer_of_git_lfs_is_no_data(tree: Tree) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tree.root / "data" / "train.csv").write_text(text)
    (told,) = tree.problems()
    assert "train.csv is a pointer of Git LFS" in told
    tree.spec(JOB.replace("../data/train.csv", "../data"))
    (told,) = tree.problems()
    assert "train.csv is a pointer of Git LFS" in told


@pytest.mark.parametrize(
    ("allowed", "is_fine"), [(None, True), (["ghcr.io/acme/*"], True), (["ghcr.io/other/*"], False), ([], False)]
)
def test_images_are_those_that_the_source_allows(tree: Tree, allowed: list[str] | None, is_fine: bool) -> None:
    tree.spec(JOB.replace("algorithm: xgboost", "image: ghcr.io/acme/train:2"))
    assert (tree.problems(allow={"images": allowed}) == []) is is_fine


def test_a_build_is_refused_where_the_source_allows_none(tree: Tree) -> None:
    (tree.root / "own").mkdir()
    (tree.root / "own" / "Dockerfile").write_text("FROM scratch\n")
    tree.spec(JOB.replace("algorithm: xgboost", "build: ../own"))
    assert tree.problems() == []
    assert "the source allows none" in tree.problems(allow={"build": False})[0]


@pytest.mark.parametrize(
    ("said", "pin", "problem"),
    [
        ("store: s3://mallory/all\n", {"store": "s3://acme/all"}, "the source says s3://acme/all"),
        ("", {"name": "other"}, "name is churn-prod, and the source says other"),
        ("runtime: process\n", {"runtime": "docker"}, "runtime is process"),
        ("gateway: {host: 0.0.0.0, open: true}\n", {"host": "127.0.0.1"}, "host is 0.0.0.0"),
        ("store: ../../secret\n", {}, "is outside of the repository"),
        ("store: /etc/store\n", {}, "is outside of the repository"),
        (
            "gateway: {callers: {shop: {key: {file: /etc/shadow}}}}\n",
            {},
            "callers.shop: /etc/shadow is outside",
        ),
        ("gateway: {tls: {certificate: keys/c.pem, key: /etc/k.pem}}\n", {}, "gateway.tls: /etc/k.pem is outside"),
    ],
)
def test_settings_are_not_a_commits_to_say(tree: Tree, said: str, pin: dict[str, str], problem: str) -> None:
    tree.settings(said)
    (told,) = tree.problems(pin=pin)
    assert problem in told


def test_a_program_of_the_repository_is_not_run_beside_sagespec_unless_that_is_allowed(tree: Tree) -> None:
    tree.settings("policy: {command: [./ci/policy.sh]}\n")
    (told,) = tree.problems()
    assert "policy: the source allows no commands" in told
    assert tree.problems(allow={"commands": True}) == []


def test_a_notebook_is_not_run(tree: Tree) -> None:
    tree.spec("kind: Notebook\nname: work\n")
    assert "a notebook is not run from a source" in tree.problems()[0]
