"""`sagespec watch`: an edited spec, a container removed by hand and wrong specs, each met within seconds."""

from __future__ import annotations

import signal

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until

SPECS = job(1) + job(2) + endpoint("stable model@1 90", "candidate model@2 10")


def weights(workspace: Workspace) -> dict[str, float]:
    with workspace.project() as project:
        states = project.status().endpoints
    return {v.name: round(v.share_live, 3) for state in states for v in state.variants}


def test_watch_follows_edits_and_heals(workspace: Workspace) -> None:
    workspace.write(SPECS)
    workspace.run("apply")
    with workspace.running("watch") as watcher:
        workspace.edit("weight: 90", "weight: 30")
        wait_until(lambda: weights(workspace) == {"stable": 0.75, "candidate": 0.25})

        victim = workspace.names()["endpoint/answers/stable#0"]
        with workspace.engine() as engine:
            engine.remove(victim)
        wait_until(lambda: workspace.names().get("endpoint/answers/stable#0") == victim)
        wait_until(lambda: workspace.invoke("answers", "x", variant="stable")[0] == 200)

        good = (workspace.root / "specs/all.yaml").read_text()
        workspace.write(good.replace("weight: 30", "weight: heavy"))
        workspace.write(good.replace("weight: 30", "weight: 40"))
        wait_until(lambda: weights(workspace) == {"stable": 0.8, "candidate": 0.2})

        watcher.send_signal(signal.SIGINT)
        watcher.wait(20)
    assert workspace.invoke("answers", "it goes on without the watcher")[0] == 200
