"""kind: Model: aliases that a commit moves, and versions that no endpoint begins to serve."""

from __future__ import annotations

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace

JOBS = job(1) + job(2) + job(3)
ROLLOUT = "{min_healthy: 0s}"


def specs(*, champion: int, rejected: str = "{}") -> str:
    registry = f"---\napiVersion: sagespec/v1\nkind: Model\nname: model\naliases: {{champion: {champion}}}\n"
    return JOBS + endpoint("only model@champion 1", rollout=ROLLOUT) + registry + f"rejected: {rejected}\n"


def changes(plan: dict[str, list[dict[str, object]]]) -> set[tuple[str, str, str]]:
    causes = [action["cause"] for action in plan["actions"]]
    return {(c["field"], c["old"], c["new"]) for cause in causes for c in cause["changes"]}  # type: ignore[index]


def test_an_alias_moves_by_a_commit_and_a_rejected_version_is_begun_by_nobody(workspace: Workspace) -> None:
    workspace.write(JOBS + endpoint("only model@1 1", rollout=ROLLOUT))
    workspace.run("apply")
    workspace.write(specs(champion=1))
    assert workspace.json("plan")["actions"] == [], "the same version by another name is no change"

    workspace.write(specs(champion=2))
    assert ("model of only", "model@1", "model@2 (champion)") in changes(workspace.json("plan"))
    workspace.run("apply")
    workspace.write(specs(champion=3))
    plan = workspace.json("plan")
    assert ("model of only", "model@2", "model@3 (champion moved)") in changes(plan)

    workspace.write(specs(champion=3, rejected="{model@3: leaks the label, model@2: too slow}"))
    plan = workspace.json("plan", code=1)
    assert [one["what"] for one in plan["refused"]] == ["model@3 is rejected: leaks the label"]
    assert plan["actions"] == []
    assert "endpoint/answers serves model@2, which is rejected: too slow" in plan["notes"]
    workspace.run("apply", code=1)
    with workspace.project() as project:
        assert project.invoke("answers", "x").model == "model@2"

    workspace.write(specs(champion=2, rejected="{model@1: was never good}"))
    refused = workspace.run("rollback", "answers", code=1).stderr
    assert "revision 1 cannot be served again: model@1 is rejected: was never good" in refused
    assert workspace.json("validate")["jobs"] == 3
