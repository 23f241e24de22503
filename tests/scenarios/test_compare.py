"""Which variant is better, with real models behind a real gateway: what was counted outlives both."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until


@pytest.fixture
def place(tmp_path: Path, project_name: str) -> Iterator[Workspace]:
    place = Workspace(tmp_path / "project", project_name, "process")
    place.write(job(1) + job(2) + endpoint("stable model@1 50", "candidate model@2 50"))
    place.run("apply")
    yield place
    place.run("destroy", "--yes")


def ask(place: Workspace, count: int, *, variant: str | None = None, status: int | None = None) -> None:
    with place.project() as project:
        for _ in range(count):
            orders = f"status={status}" if status else None
            project.invoke("answers", b"x", variant=variant, custom_attributes=orders, check=False)


def variants(place: Workspace) -> dict[str, Any]:
    return {one["variant"]: one for one in place.json("compare", "endpoint/answers")["variants"]}


def test_counts_outlive_the_gateway_and_the_models(place: Workspace) -> None:
    ask(place, 30)
    wait_until(lambda: sum(one["requests"] for one in variants(place).values()) == 30)
    place.run("restart", "gateway")
    assert sum(one["requests"] for one in variants(place).values()) == 30
    ask(place, 10, variant="stable")
    ask(place, 5, variant="stable", status=500)
    wait_until(lambda: variants(place)["stable"]["errors"] == 5)
    before = variants(place)
    assert before["stable"]["requests"] + before["candidate"]["requests"] == 45

    place.write(job(1) + job(2) + job(3) + endpoint("stable model@1 50", "candidate model@3 50"))
    place.run("apply")
    after = variants(place)
    assert after["stable"]["requests"] == before["stable"]["requests"]
    assert after["candidate"]["requests"] == 0  # another model, of which nothing is known

    revisions = place.json("history", "answers")["endpoints"][0]["revisions"]
    assert [one["requests"] for one in revisions] == [45, 0]
    assert revisions[0]["errors"] == 5
    assert revisions[0]["variants_counted"]["candidate"]["requests"] == before["candidate"]["requests"]
    assert "REQUESTS" in place.run("history", "answers").stdout


def test_a_verdict(place: Workspace) -> None:
    ask(place, 40, variant="stable")
    ask(place, 20, variant="candidate")
    ask(place, 20, variant="candidate", status=500)
    wait_until(lambda: variants(place)["candidate"]["errors"] == 20)
    found = place.json("compare", "answers")
    assert found["verdict"] == ["candidate is worse than stable: it fails more often"]
    text = place.run("compare", "answers").stdout
    assert "candidate is worse than stable" in text
    assert "50 %" in text
    place.run("compare", "answers", "--png", "answers.png")
    assert (place.root / "answers.png").read_bytes().startswith(b"\x89PNG")


def test_requests_that_name_their_variant_break_the_split_and_so_the_verdict(place: Workspace) -> None:
    ask(place, 60, variant="stable", status=500)
    wait_until(lambda: variants(place)["stable"]["errors"] == 60)
    found = place.json("compare", "answers")
    assert found["is_split_broken"], found
    assert "TargetVariant" in found["verdict"][0]


def truth(one: str, value: object = 1) -> str:
    """A line of ground truth as SageMaker's merge job reads it."""
    event = {"groundTruthData": {"data": str(value), "encoding": "CSV"}, "eventMetadata": {"eventId": one}}
    return json.dumps(event | {"eventVersion": "0"}) + "\n"


def predict(place: Workspace, ids: list[str], variant: str) -> None:
    with place.project() as project:
        for one in ids:
            project.invoke("answers", b"x", variant=variant, inference_id=one)


def test_rewards_by_inference_id(place: Workspace) -> None:
    """From a file and through the gateway's own route: each prediction gets one reward, whoever brings it."""
    ids = {name: [f"{name}-{number}" for number in range(40)] for name in ("stable", "candidate")}
    for name, mine in ids.items():
        predict(place, mine, name)
    wait_until(lambda: "candidate-39" in place.run("logs", "gateway").stdout)
    (place.root / "truth.jsonl").write_text("".join(truth(one, int(one[-1] == "0")) for one in ids["stable"]))
    assert place.json("feedback", "answers", "truth.jsonl") == {"endpoint": "answers", "taken": 40, "unknown": 0}
    assert place.json("feedback", "answers", "truth.jsonl") == {"endpoint": "answers", "taken": 0, "unknown": 40}

    with place.project() as project:
        url = f"{project.gateway_url}/endpoints/answers/feedback"
    for start in range(0, 40, 20):
        body = "".join(truth(one) for one in ids["candidate"][start : start + 20])
        assert post(url, body) == (202, b'{"Lines":20}')
    assert post(url, "nonsense\n")[0] == 400
    assert post(url, "")[0] == 400
    assert post(url, truth("x" * 9000))[0] == 400

    wait_until(lambda: variants(place)["candidate"]["rewards"] == 40)
    found = place.json("compare", "answers")
    stable, candidate = found["variants"]
    assert (stable["rewards"], stable["reward"]) == (40, 0.1)
    assert (candidate["rewards"], candidate["reward"]) == (40, 1.0)
    assert candidate["reward_verdict"]["found"] == "better"
    assert variants(place)["candidate"]["rewards"] == 40  # what was posted is taken once

    place.run("restart", "gateway")
    assert variants(place)["candidate"]["rewards"] == 40
    assert "MEAN" in place.run("compare", "answers").stdout
    place.run("compare", "answers", "--png", "answers.png")


def post(url: str, body: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body.encode(), method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_feedback_that_is_wrong_names_each_line_and_takes_none(place: Workspace) -> None:
    predict(place, ["a"], "stable")
    lines = [truth("a"), "{}\n", truth("b", "good"), truth("c", 7), "[1\n"]
    (place.root / "truth.jsonl").write_text("".join(lines))
    said = place.run("feedback", "answers", "truth.jsonl", code=1).stderr
    for text in ("line 2: has no groundTruthData.data", "line 3: ", "'good' is not a number", "line 5: is not JSON"):
        assert text in said
    assert "line 2: line 2" not in said
    assert "line 4: the reward 7 is not between 0 and 1" in said
    (place.root / "truth.jsonl").write_text(lines[0])
    wait_until(lambda: place.json("feedback", "answers", "truth.jsonl")["taken"] == 1)
    assert "has never been applied" in place.run("feedback", "nobody", "truth.jsonl", code=1).stderr


def test_jobs_side_by_side(tmp_path: Path, project_name: str) -> None:
    place = Workspace(tmp_path / "project", project_name, "process")
    place.write(job(1) + job(2, hyperparameters="{colour: red}") + job(3, hyperparameters="{colour: blue, size: 7}"))
    place.run("apply")
    found = place.json("compare", "model@2", "model@3")
    assert found["jobs"] == ["job/model@2", "job/model@3"]
    colour = found["hyperparameters"]["colour"]
    assert colour == {"differs": True, "values": {"job/model@2": "red", "job/model@3": "blue"}}
    assert found["hyperparameters"]["size"]["values"] == {"job/model@2": None, "job/model@3": "7"}
    text = place.run("compare", "model@1", "model@2", "model@3").stdout
    assert "model@3" in text
    assert "colour" in text
    assert "blue" in text
    assert "name two" in place.run("compare", "model@1", code=64).stderr
    with place.project() as project:
        rich = project.compare_jobs("model@2", "model@3")
        assert "blue" in repr(rich)
        assert "blue" in (rich._repr_html_() or "")
    if any(found["series"].values()):
        place.run("compare", "model@2", "model@3", "--png", "jobs.png")
        assert (place.root / "jobs.png").exists()


def test_plan_and_apply_say_how_a_new_model_differs(tmp_path: Path, project_name: str) -> None:
    place = Workspace(tmp_path / "project", project_name, "process")
    jobs = job(1, hyperparameters="{colour: red}") + job(2, hyperparameters="{colour: blue}")
    place.write(jobs + endpoint("stable model@1 1"))
    place.run("apply")
    place.write(jobs + endpoint("stable model@2 1"))
    said = "endpoint/answers/stable: model@1 -> model@2: colour red -> blue"
    assert any(note.startswith(said) for note in place.json("plan")["notes"])
    applied = place.run("apply")
    assert said in applied.stdout + applied.stderr
    assert said not in place.run("plan").stdout
