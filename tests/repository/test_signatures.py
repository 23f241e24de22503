"""Whose commits are taken: real keys, real signatures, and every way in which one may not be good."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.repository.commands import GitCommand
from sagespec.repository.mirror import Follow, Mirror
from sagespec.repository.signatures import Mode, Signers
from sagespec.state.remote import Signed
from tests.repositories import Origin, Person, signing


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "there")


@pytest.fixture
def ada(origin: Origin) -> Person:
    return origin.person("ada@acme.example")


@pytest.fixture
def eve(origin: Origin) -> Person:
    return origin.person("eve@acme.example")


def file_of(tmp_path: Path, *lines: str, name: str = "signers") -> Path:
    file = tmp_path / name
    file.write_text("".join(lines))
    return file


def signed(origin: Origin, tmp_path: Path, signers: Signers, *, since: str = "", tag: str = "") -> Signed:
    mirror = Mirror(GitCommand(origin.url), tmp_path / "here", Follow(tags="v*") if tag else Follow())
    commit = mirror.head().commit
    mirror.fetch(commit)
    return signers.signed(mirror.here, commit, since=since, tag=tag)


def test_a_commit_of_a_signer_is_good_and_says_whose(origin: Origin, tmp_path: Path, ada: Person) -> None:
    commit = origin.commit("one", by=ada)
    origin.push()
    assert signed(origin, tmp_path, Signers(file_of(tmp_path, ada.line()))) == Signed("ada@acme.example", commit=commit)


def test_a_commit_without_a_signature_is_not(origin: Origin, tmp_path: Path, ada: Person) -> None:
    origin.commit("one", by=ada)
    commit = origin.commit("two")
    origin.push()
    found = signed(origin, tmp_path, Signers(file_of(tmp_path, ada.line())))
    assert found == Signed(problem="is not signed", commit=commit)


def test_a_commit_of_somebody_else_is_not(origin: Origin, tmp_path: Path, ada: Person, eve: Person) -> None:
    origin.commit("one", by=eve)
    origin.push()
    found = signed(origin, tmp_path, Signers(file_of(tmp_path, ada.line())))
    assert "which is not among the signers" in found.problem


def test_a_key_that_has_expired_is_not(origin: Origin, tmp_path: Path, ada: Person) -> None:
    origin.commit("one", by=ada)
    origin.push()
    expired = ada.line('valid-before="20200101"')
    assert not signed(origin, tmp_path, Signers(file_of(tmp_path, expired))).is_good


def test_a_key_for_something_else_is_not(origin: Origin, tmp_path: Path, ada: Person) -> None:
    origin.commit("one", by=ada)
    origin.push()
    assert not signed(origin, tmp_path, Signers(file_of(tmp_path, ada.line('namespaces="file"')))).is_good


def test_a_commit_that_was_changed_after_it_was_signed_is_not(origin: Origin, tmp_path: Path, ada: Person) -> None:
    commit = origin.commit("one", by=ada)
    text = origin.git("cat-file", "commit", commit).replace("one", "another")
    command = ["git", "-C", str(origin.work), "hash-object", "-t", "commit", "-w", "--stdin"]
    forged = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.strip()
    origin.git("push", "-q", "origin", f"{forged}:refs/heads/main")
    found = signed(origin, tmp_path, Signers(file_of(tmp_path, ada.line())))
    assert not found.is_good
    assert found.commit == forged


@pytest.mark.parametrize(("mode", "is_good"), [("head", True), ("range", False)])
def test_a_range_is_as_good_as_its_worst_commit(
    origin: Origin, tmp_path: Path, ada: Person, mode: Mode, is_good: bool
) -> None:
    first = origin.commit("one", by=ada)
    bad = origin.commit("two")
    origin.commit("three", by=ada)
    origin.push()
    found = signed(origin, tmp_path, Signers(file_of(tmp_path, ada.line()), mode=mode), since=first)
    assert found.is_good is is_good
    assert is_good or found == Signed(problem="is not signed", commit=bad)


@pytest.mark.parametrize("merges", [True, False])
def test_a_merge_may_be_signed_by_the_forge_that_makes_it(
    origin: Origin, tmp_path: Path, ada: Person, eve: Person, merges: bool
) -> None:
    forge = origin.person("noreply@forge.example")
    first = origin.commit("one", by=ada)
    origin.git("checkout", "-q", "-b", "feature")
    origin.commit("of a pull request, by anybody", by=eve)
    origin.git("checkout", "-q", "main")
    origin.git(*signing(forge), "merge", "-q", "--no-ff", "-S", "-m", "merged", "feature")
    origin.push()
    forge_file = file_of(tmp_path, forge.line(), name="merges") if merges else None
    signers = Signers(file_of(tmp_path, ada.line()), forge_file, mode="range")
    assert signed(origin, tmp_path, signers, since=first).is_good is merges


def test_a_commit_that_is_no_merge_is_not_the_forges_to_sign(origin: Origin, tmp_path: Path, ada: Person) -> None:
    forge = origin.person("noreply@forge.example")
    origin.commit("one", by=ada)
    origin.commit("edited on the forge", by=forge)
    origin.push()
    signers = Signers(file_of(tmp_path, ada.line()), file_of(tmp_path, forge.line(), name="merges"))
    assert not signed(origin, tmp_path, signers).is_good


def test_a_tag_is_signed_itself(origin: Origin, tmp_path: Path, ada: Person, eve: Person) -> None:
    origin.commit("nobody's")
    origin.git(*signing(ada), "tag", "-s", "v1", "-m", "one")
    origin.git("push", "-q", "origin", "v1")
    signers = Signers(file_of(tmp_path, ada.line()), mode="tag")
    assert signed(origin, tmp_path, signers, tag="v1").is_good
    origin.git(*signing(eve), "tag", "-s", "v2", "-m", "two")
    origin.git("push", "-q", "origin", "v2")
    assert not signed(origin, tmp_path, signers, tag="v2").is_good
    origin.git("tag", "v3")
    origin.git("push", "-q", "origin", "v3")
    assert "not annotated" in signed(origin, tmp_path, signers, tag="v3").problem


def test_a_tag_that_somebody_gives_another_name_is_not_signed_as_that(
    origin: Origin, tmp_path: Path, ada: Person
) -> None:
    """Whoever may push could else have any tag of a signer taken for the highest version."""
    origin.commit("not meant for production")
    origin.git(*signing(ada), "tag", "-s", "nightly", "-m", "try it")
    origin.git("push", "-q", "origin", "nightly:refs/tags/v9")
    problem = signed(origin, tmp_path, Signers(file_of(tmp_path, ada.line()), mode="tag"), tag="v9").problem
    assert problem == "has the tag v9, which was signed as nightly"


@pytest.mark.skipif(shutil.which("gpg") is None, reason="there is no gpg to sign with")
def test_a_signature_of_another_kind_counts_as_none(
    origin: Origin, tmp_path: Path, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in the keyring of whoever runs sagespec is nobody's permission."""
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    making = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "mallory@acme.example", "ed25519", "sign"]
    subprocess.run(making, check=True, capture_output=True)
    origin.git("-c", "user.signingKey=mallory@acme.example", "commit", "-q", "--allow-empty", "-S", "-m", "by gpg")
    assert origin.git("log", "-1", "--format=%G?").strip() == "G", "git itself would trust it"
    origin.push()
    assert not signed(origin, tmp_path, Signers(file_of(tmp_path, ada.line()))).is_good


def test_the_fingerprint_is_that_of_both_files(tmp_path: Path) -> None:
    signers, merges = file_of(tmp_path, "a"), file_of(tmp_path, "b", name="merges")
    before = Signers(signers, merges).fingerprint()
    assert Signers(signers, merges).fingerprint() == before
    merges.write_text("c")
    assert Signers(signers, merges).fingerprint() != before
    signers.unlink()
    with pytest.raises(WorldError, match="the signers cannot be read"):
        Signers(signers, merges).fingerprint()
