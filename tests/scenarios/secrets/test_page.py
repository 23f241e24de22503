"""The example of docs/secrets.md works as the page says."""

from __future__ import annotations

from pathlib import Path

from tests.docs.pages import ROOT, blocks
from tests.scenarios.workspace import Workspace

PAGE = ROOT / "docs" / "secrets.md"
REFUSED = "endpoint/churn: secret hf-token cannot be had: the variable HF_TOKEN is not set"
FIX = "fix  set it where sagespec runs"


def test_the_example_of_the_page_is_planned_with_and_without_its_secrets(tmp_path: Path, project_name: str) -> None:
    project, spec, *_ = blocks(PAGE, "yaml")
    workspace = Workspace(tmp_path / "project", project_name, "process")
    for file, text in (
        ("sagespec.yaml", project.replace("name: acme-churn", f"name: {project_name}")),
        ("specs/churn.yaml", spec),
    ):
        workspace.write(text + f"gateway: {{port: {workspace.port}}}\n" * (file == "sagespec.yaml"), file)
    for place in ("secrets/smtp", "specs/models/churn.tar.gz"):
        (workspace.root / place).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / place).write_text("what it holds")
    said = workspace.run("plan", "--runtime", "process", code=1).stdout
    for part in (REFUSED, FIX):
        assert part in PAGE.read_text()
        assert part in said
    assert "counts as unchanged" not in said, "nothing is there that could stay as it is"
    refused = workspace.run("apply", "--runtime", "process", code=1)
    assert "secret hf-token cannot be had" in refused.stdout + refused.stderr
    (workspace.root / "secrets" / "smtp").chmod(0o600)
    workspace.environment = {"HF_TOKEN": "a-token-of-the-page"}
    said = workspace.run("plan", "--runtime", "process").stdout
    assert "not asked" not in said
    assert "start-instance" in said
    doctor = workspace.run("doctor", code=None).stdout
    assert "secret hf-token" in doctor
    assert "the command sops cannot be run" in doctor
