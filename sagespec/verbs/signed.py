"""Whether what is to be applied was signed by somebody whom sagespec.yaml trusts: `require.signers`."""

from __future__ import annotations

from pathlib import Path

from sagespec.errors import Problem, WorldError
from sagespec.parts import Parts
from sagespec.repository.commands import GitCommand, GitRefused
from sagespec.repository.signatures import Signers


def refuse_unsigned(parts: Parts) -> None:
    """WorldError where the commit is not signed, or the files are not as it has them."""
    if problem := why_unsigned(parts):
        raise WorldError(problem)


def why_unsigned(parts: Parts) -> Problem | None:
    """None where it is, or need not be."""
    file = parts.settings.require.signers
    if not file:
        return None
    git = parts.find_commit().git
    if git is None:
        return _unsigned("there is no commit to look at: this is no git repository", "apply from a checkout")
    short = git.commit[:12]
    if git.dirty:
        return _unsigned(f"there are changes since {short} that no commit has", "commit them, signed: `git commit -S`")
    try:
        found = Signers(parts.root / file).signed(GitCommand("", _git_dir(parts.root)), git.commit)
    except GitRefused as error:
        return _unsigned(error.problems[0].what, "see `git log --show-signature -1`")
    return _unsigned(f"{short} {found.problem}", "sign it: `git commit --amend -S`") if found.problem else None


def _git_dir(root: Path) -> Path:
    return Path(GitCommand("")("-C", str(root), "rev-parse", "--absolute-git-dir")[1].strip())


def _unsigned(why: str, fix: str) -> Problem:
    return Problem("only signed commits are applied here", about="project", why=f"{why} (require.signers)", fix=fix)
