"""`sagespec status` beside a running `watch`: the last minute of each variant, from another process."""

from __future__ import annotations

from pathlib import Path

from sagespec.verbs.states import VariantState
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until


def variants(place: Workspace) -> dict[str, VariantState]:
    with place.project() as project:
        return {variant.name: variant for state in project.status().endpoints for variant in state.variants}


def test_status_has_the_last_minute_while_a_watch_runs(tmp_path: Path, project_name: str) -> None:
    place = Workspace(tmp_path / "project", project_name, "process")
    place.write(job(1) + endpoint("stable model@1 90", "candidate model@1 10"))
    place.run("apply")
    assert variants(place)["stable"].last_minute is None
    with place.running("watch"):
        wait_until(lambda: variants(place)["stable"].last_minute is not None)
        for _ in range(5):
            assert place.invoke("answers", "x", variant="stable")[0] == 200
        with place.project() as project:
            wrong = project.invoke("answers", b"x", variant="candidate", custom_attributes="status=500", check=False)
        assert wrong.status == 424

        def minute(name: str) -> tuple[int, int]:
            found = variants(place)[name].last_minute
            return (found.requests, found.errors) if found else (0, 0)

        wait_until(lambda: minute("stable") == (5, 0))
        assert minute("candidate") == (1, 1)
        assert "LAST MINUTE" in place.run("status").stdout
