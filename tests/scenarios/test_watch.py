"""`sagespec watch`: an edited spec, a container removed by hand and wrong specs, each met within seconds."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

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


def test_a_checkout_that_moves_a_spec_interrupts_nothing(tmp_path: Path, project_name: str, evidence: Path) -> None:
    place = Workspace(tmp_path / "project", project_name, "process")

    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=place.root, check=True)

    place.write(job(1))
    place.write(endpoint("only model@1 1"), "specs/answers.yaml")
    (place.root / ".gitignore").write_text(".sagespec/\n")
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "one")
    git("checkout", "-q", "-b", "tidy")
    git("mv", "specs/answers.yaml", "specs/endpoints.yaml")
    (place.root / ".gitattributes").write_text("*.bin filter=big\n")
    (place.root / "data" / "big.bin").write_text("it takes git its time to write this\n")
    git("add", "-A")
    git("commit", "-qm", "two")
    git("checkout", "-q", "main")
    git("config", "filter.big.smudge", "sleep 3; cat")
    place.run("apply")
    before = {(c.name, c.started_at) for c in place.containers()}
    log = evidence / "watch.log"
    with log.open("w") as output:
        watching = subprocess.Popen(
            place.command("watch", "--prune", "--every", "5m"),
            cwd=place.root,
            env=place.env,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: "watch" in place.run("status").stdout)
        git("checkout", "-q", "tidy")
        wait_until(lambda: "endpoint/answers: is in a spec again" in log.read_text())
        assert "git is running" in log.read_text()
        assert {(c.name, c.started_at) for c in place.containers()} == before
    finally:
        watching.terminate()
        watching.wait(20)
