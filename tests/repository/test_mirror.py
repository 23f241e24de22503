"""What a mirror knows of a repository elsewhere, whatever happens to either."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.repository.commands import SIGNS_SINCE, GitCommand, git_version
from sagespec.repository.mirror import KEPT_TREES, Follow, Mirror
from sagespec.repository.tags import highest
from sagespec.state.remote import RemoteState
from tests.repositories import Origin, served


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    found = Origin(tmp_path / "there")
    found.commit("one", {"specs/a.yaml": "one\n", "data/large.bin": "x" * 100_000})
    found.push()
    return found


def mirror_of(origin: Origin, folder: Path, follow: Follow | None = None) -> Mirror:
    return Mirror(GitCommand(origin.url), folder, follow or Follow())


@pytest.fixture
def mirror(origin: Origin, tmp_path: Path) -> Mirror:
    return mirror_of(origin, tmp_path / "here")


def test_a_tree_is_the_commit_and_nothing_else(origin: Origin, mirror: Mirror) -> None:
    first = mirror.head().commit
    mirror.fetch(first)
    tree = mirror.tree(first)
    assert (tree / "specs/a.yaml").read_text() == "one\n"
    second = origin.commit("two", {"specs/a.yaml": "two\n"})
    origin.push()
    assert mirror.head().commit == second
    mirror.fetch(second)
    assert (mirror.tree(second) / "specs/a.yaml").read_text() == "two\n"
    assert (tree / "specs/a.yaml").read_text() == "one\n", "the tree before stays as it is"
    assert mirror.descends(second, first)
    assert not mirror.descends(first, second)


def test_of_earlier_commits_no_file_is_fetched(origin: Origin, mirror: Mirror) -> None:
    origin.commit("two", {"data/large.bin": os.urandom(300_000).hex()})
    origin.commit("three", {"data/large.bin": "small\n"})
    head = origin.push()
    assert mirror.head().commit == head
    mirror.fetch(head)
    mirror.tree(head)
    size = sum(file.stat().st_size for file in mirror.git_dir.rglob("*") if file.is_file())
    assert size < 100_000, "600 kB that no tree has were not fetched"
    assert mirror.descends(head, origin.git("rev-parse", "HEAD~2").strip())


def test_gone_and_unreachable_are_two_things(origin: Origin, mirror: Mirror) -> None:
    origin.git("push", "-q", "origin", "HEAD:other")
    subprocess.run(["git", "-C", str(origin.bare), "update-ref", "-d", "refs/heads/main"], check=True)
    assert mirror.head().state is RemoteState.GONE
    origin.bare.rename(origin.bare.with_name("away.git"))
    found = mirror.head()
    assert found.state is RemoteState.UNREACHABLE
    assert "does not" in found.text


def test_a_server_that_hangs_is_unreachable(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.git"
        found = GitCommand(url)
        with pytest.raises(WorldError, match="no answer within"):
            found("ls-remote", url, seconds=1)


def test_a_rewritten_history_is_fetched_as_it_is(origin: Origin, mirror: Mirror) -> None:
    first = origin.head
    second = origin.commit("two", {"specs/a.yaml": "two\n"})
    origin.push()
    mirror.fetch(mirror.head().commit)
    origin.git("reset", "-q", "--hard", first)
    rewritten = origin.commit("other", {"specs/a.yaml": "other\n"})
    origin.push("--force")
    head = mirror.head()
    mirror.fetch(head.commit)
    assert head.commit == rewritten
    assert mirror.descends(rewritten, first)
    assert not mirror.descends(rewritten, second)
    assert (mirror.tree(rewritten) / "specs/a.yaml").read_text() == "other\n"


def test_what_a_kill_leaves_behind_is_cleared_up(origin: Origin, mirror: Mirror) -> None:
    commit = mirror.head().commit
    mirror.fetch(commit)
    tree = mirror.tree(commit)
    (mirror.git_dir / "config.lock").touch()
    (mirror.git_dir / "refs" / "sagespec" / "head.lock").touch()
    (tree / "specs" / "a.yaml").unlink()
    tree.with_name(f"{commit}.whole").unlink()  # the kill came before the tree was whole
    second = origin.commit("two")
    origin.push()
    with mirror.claimed():
        assert (mirror.tree(commit) / "specs/a.yaml").read_text() == "one\n"
        mirror.fetch(mirror.head().commit)
        assert mirror.has(second)


def test_a_damaged_copy_is_made_again(origin: Origin, mirror: Mirror) -> None:
    mirror.fetch(mirror.head().commit)
    shutil.rmtree(mirror.git_dir / "objects")
    second = origin.commit("two", {"specs/a.yaml": "two\n"})
    origin.push()
    mirror.fetch(mirror.head().commit)
    assert (mirror.tree(second) / "specs/a.yaml").read_text() == "two\n"


def test_one_process_at_a_time_uses_a_folder(origin: Origin, mirror: Mirror) -> None:
    other = mirror_of(origin, mirror.folder)
    with mirror.claimed(), pytest.raises(WorldError, match="another sagespec follows"), other.claimed():
        pass
    with other.claimed():
        pass


def test_hooks_settings_and_filters_of_the_repository_run_nothing(
    origin: Origin, mirror: Mirror, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    origin.write({".gitattributes": "* filter=evil\n", ".gitconfig": f"[core]\n\tfsmonitor = touch {ran}\n"})
    head = origin.commit("evil")
    origin.push()
    mirror.fetch(mirror.head().commit)
    hook = mirror.git_dir / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    mirror.tree(head)
    assert not ran.exists()


def test_old_trees_are_removed_and_those_in_use_stay(origin: Origin, mirror: Mirror) -> None:
    commits = []
    for number in range(KEPT_TREES + 3):
        commits.append(origin.commit(str(number)))
    origin.push()
    mirror.fetch(mirror.head().commit)
    for age, commit in enumerate(commits):
        whole = mirror.tree(commit).with_name(f"{commit}.whole")
        os.utime(whole, (1e9 + age, 1e9 + age))
    mirror.sweep(commits[0])
    left = {path.name for path in (mirror.folder / "trees").iterdir() if path.is_dir()}
    assert left == {commits[0], *commits[3:]}
    assert (mirror.tree(commits[1]) / "specs/a.yaml").is_file(), "it can be made again"


def test_the_highest_tag_is_followed(origin: Origin, tmp_path: Path) -> None:
    mirror = mirror_of(origin, tmp_path / "tags", Follow(tags="v*"))
    assert mirror.head().state is RemoteState.GONE
    origin.git("tag", "-a", "v1.9.0", "-m", "nine")
    ninth = origin.head
    tenth = origin.commit("ten", {"specs/a.yaml": "ten\n"})
    origin.git("tag", "v1.10.0")
    origin.git("push", "-q", "origin", "v1.9.0")
    found = mirror.head()
    assert (found.commit, found.name) == (ninth, "v1.9.0")
    mirror.fetch(found.commit)
    origin.git("push", "-q", "origin", "v1.10.0")
    found = mirror.head()
    assert (found.commit, found.name) == (tenth, "v1.10.0")
    mirror.fetch(found.commit)
    assert mirror.descends(tenth, ninth)
    assert (mirror.tree(tenth) / "specs/a.yaml").read_text() == "ten\n"


@pytest.mark.parametrize(
    ("tags", "best"),
    [
        ("v1.9 v1.10", "v1.10"),
        ("v1.10.0-rc.2 v1.10.0-rc.10", "v1.10.0-rc.10"),
        ("v1.10.0 v1.10.0-rc.1", "v1.10.0"),
        ("v1 v1.0.1 v0.9", "v1.0.1"),
        ("latest vnext", ""),
        ("w9 v1", "v1"),
    ],
)
def test_versions_are_compared_as_numbers(tags: str, best: str) -> None:
    assert highest(tags.split(), "v*") == best


def test_a_token_is_in_no_argument_and_in_no_file_of_git(origin: Origin, tmp_path: Path) -> None:
    canary = "ghp_canary0123456789"
    git = GitCommand("http://127.0.0.1:1/a.git", token=lambda: canary, askpass=tmp_path / "here" / "askpass")
    mirror = Mirror(git, tmp_path / "here", Follow())
    assert canary not in mirror.head().text
    with pytest.raises(WorldError) as raised:
        mirror.fetch("0" * 40)
    assert canary not in str(raised.value)
    assert canary not in repr(git)
    texts = [file.read_bytes() for file in (tmp_path / "here").rglob("*") if file.is_file()]
    assert not any(canary.encode() in text for text in texts)
    assert (tmp_path / "here" / "askpass").stat().st_mode & 0o077 == 0


def test_a_repository_is_read_over_http_with_a_token(origin: Origin, tmp_path: Path) -> None:
    with served(origin, "s3cr3t-token") as (url, asked):
        askpass = tmp_path / "here" / "askpass"
        stranger = Mirror(GitCommand(url, token=lambda: "another", askpass=askpass), tmp_path / "here", Follow())
        assert stranger.head().state is RemoteState.UNREACHABLE, "it is no branch that is gone"
        mirror = Mirror(GitCommand(url, token=lambda: "s3cr3t-token", askpass=askpass), tmp_path / "here", Follow())
        asked.clear()
        commit = mirror.head().commit
        assert len(asked) <= 3, "a look is one question: the first try without the token, and two of the protocol"
        mirror.fetch(commit)
        assert (mirror.tree(commit) / "specs/a.yaml").read_text() == "one\n"
        asked.clear()
        mirror.fetch(commit)
        mirror.tree(commit)
        assert asked == [], "what is here is not asked for"


def test_a_token_may_be_another_at_each_look(origin: Origin, tmp_path: Path) -> None:
    """One of a GitHub App is good for an hour, and whoever watches does so for months."""
    tokens = ["expired"]

    def token() -> str:
        if not tokens:
            raise WorldError("the variable GIT_TOKEN is not set")
        return tokens[-1]

    with served(origin, "s3cr3t-token") as (url, _):
        mirror = Mirror(
            GitCommand(url, token=token, askpass=tmp_path / "here" / "askpass"), tmp_path / "here", Follow()
        )
        assert mirror.head().state is RemoteState.UNREACHABLE
        tokens.append("s3cr3t-token")
        assert mirror.head().state is RemoteState.FOUND
        tokens.clear()
        assert mirror.head().text == "the variable GIT_TOKEN is not set", "what is in force stays so"


def test_ten_thousand_commits_are_no_more_than_their_names(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "there")
    origin.commits(10_000)
    mirror = mirror_of(origin, tmp_path / "here")
    head = mirror.head().commit
    mirror.fetch(head)
    assert (mirror.tree(head) / "specs/a.yaml").read_text() == "9999\n"
    first = mirror.here("rev-list", "--max-parents=0", head)[1].strip()
    assert mirror.descends(head, first)
    assert mirror.here("rev-list", "--count", head)[1].strip() == "10000"
    packed = sum(file.stat().st_size for file in mirror.git_dir.rglob("*.pack"))
    assert packed < 3_000_000


def test_the_git_of_this_machine_knows_ssh_signatures() -> None:
    assert git_version() >= SIGNS_SINCE
