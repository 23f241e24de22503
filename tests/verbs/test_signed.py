"""Only signed commits are applied where sagespec.yaml asks for that: real commits, signed with real keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec import Project
from sagespec.errors import WorldError
from sagespec.verbs.signed import refuse_unsigned
from tests.repositories import Origin

SETTINGS = "apiVersion: sagespec/v1\nkind: Project\nname: acme\nruntime: process\nrequire: {signers: SIGNERS}\n"


def why(origin: Origin) -> str:
    with Project.open(origin.work) as project:
        try:
            refuse_unsigned(project.parts)
        except WorldError as error:
            (problem,) = error.problems
            return problem.why
    return ""


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    origin = Origin(tmp_path / "git")
    origin.write({"sagespec.yaml": SETTINGS.replace("SIGNERS", str(tmp_path / "signers")), "specs/.keep": ""})
    return origin


def test_a_commit_that_is_signed_by_a_signer_is_applied(origin: Origin, tmp_path: Path) -> None:
    ada, eve = origin.person("ada@acme.example"), origin.person("eve@acme.example")
    (tmp_path / "signers").write_text(ada.line())
    unsigned = origin.commit("unsigned")
    assert why(origin) == f"{unsigned[:12]} is not signed (require.signers)"
    foreign = origin.commit("by somebody else", by=eve)
    assert why(origin).startswith(f"{foreign[:12]} is signed by ")
    signed = origin.commit("by ada", by=ada)
    assert why(origin) == ""
    origin.write({"specs/new.yaml": ""})
    assert why(origin) == f"there are changes since {signed[:12]} that no commit has (require.signers)"


def test_where_there_are_no_signers_or_no_commit_nothing_is_applied(origin: Origin, tmp_path: Path) -> None:
    origin.commit("signed", by=origin.person("ada@acme.example"))
    assert why(origin).endswith("(require.signers)")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "sagespec.yaml").write_text(SETTINGS.replace("SIGNERS", "signers"))
    with Project.open(tmp_path / "bare") as project, pytest.raises(WorldError, match="only signed commits"):
        project.apply()
