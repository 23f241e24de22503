"""Metrics as people see them: drawn in a terminal, plain in a log, as a picture, as JSON; of running jobs, too."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.show.plot import write_png, write_series
from sagespec.show.screen import Screen
from tests.scenarios.specs import job
from tests.scenarios.workspace import Workspace, wait_until

SERIES = {
    "train:auc": [(1.0, 0.5), (2.0, 0.75), (3.0, 0.875)],
    "validation:auc": [(1.0, 0.5), (2.0, 0.625), (3.0, 0.5)],
    "loss": [(2.0, 7.0)],
}


@pytest.fixture
def workspace(tmp_path: Path, project_name: str) -> Workspace:
    return Workspace(tmp_path / "project", project_name, "process")


def drawn(
    series: dict[str, list[tuple[float, float]]] = SERIES,
    others: dict[str, dict[str, list[tuple[float, float]]]] | None = None,
    **settings: Any,
) -> str:
    out = io.StringIO()
    write_series(replace(Screen(out=out), **settings), {"job/churn@3": series, **(others or {})})
    return out.getvalue()


def test_what_measures_the_same_shares_a_drawing_and_every_line_has_its_figures() -> None:
    text = drawn()
    assert text.count("seconds since the start") == 1
    assert re.findall(r"^ *(auc|loss)$", text, re.MULTILINE) == ["auc"]
    assert "  * train:auc  now 0.875, least 0.5, most 0.875 of 3 points\n" in text
    assert "  o validation:auc  now 0.5, least 0.5, most 0.625 of 3 points\n" in text
    assert text.endswith("  PRINTED ONCE  VALUE\n  loss          7\n"), "no dot in an empty frame"


def test_several_jobs_share_a_drawing_and_a_table() -> None:
    text = drawn(
        others={"job/churn@4": {"train:auc": [(1.0, 0.25), (9.0, 1.0)], "loss": [(2.0, 6.5)], "f1": [(1.0, 1.0)]}}
    )
    assert text.count("seconds since the start") == 1
    legend = [line.split("  now")[0] for line in text.splitlines() if "  now" in line]
    assert legend == ["  * churn@3 train:auc", "  o churn@4 train:auc", "  + churn@3 validation:auc"]
    assert text.endswith("  PRINTED ONCE  churn@3  churn@4\n  loss          7        6.5\n  f1            -        1\n")


def test_over_steps_the_points_of_jobs_of_different_speed_stand_above_one_another() -> None:
    slow = {"train:auc": [(at * 100, value) for at, value in SERIES["train:auc"]]}
    out = io.StringIO()
    write_series(
        Screen(out=out), {"job/churn@3": {"train:auc": SERIES["train:auc"]}, "job/churn@4": slow}, over="steps"
    )
    axis = next(line for line in out.getvalue().splitlines() if line.split()[:1] == ["1.00"])
    assert axis.split()[-1] == "3.00", "not 300"
    assert "steps: the first point" in out.getvalue()


def test_more_lines_than_colours_differ_by_their_marks() -> None:
    series = {f"{name}:loss": [(0.0, 1.0), (1.0, 2.0)] for name in "abcdef"}
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn(series, colour=True))
    samples = [line.split()[0] for line in plain.splitlines() if "  now" in line]
    assert samples[:4] == ["⠤"] * 4
    assert len(set(samples[4:])) == 2
    assert "⠤" not in samples[4:]


def test_a_drawing_is_as_wide_as_the_terminal_and_80_columns_in_a_log() -> None:
    assert max(map(len, drawn().splitlines())) == 80
    assert max(map(len, drawn({"auc": SERIES["train:auc"]}, width=60).splitlines())) == 60


def test_there_are_colours_only_where_the_terminal_has_them() -> None:
    assert "\x1b[" not in drawn()
    coloured = drawn(colour=True)
    assert len(set(re.findall(r"\x1b\[[0-9;]+m", coloured))) > 2
    assert "⠤" in coloured


def test_a_terminal_of_few_characters_gets_those() -> None:
    assert drawn(unicode=False).isascii()


def test_a_metric_that_does_not_change_and_one_without_points_yet_are_no_trouble() -> None:
    assert "now 1, least 1, most 1 of 2 points" in drawn({"flat": [(0.0, 1.0), (0.0, 1.0)]})
    assert drawn({}) == "job/churn@3 has printed no metrics yet\n"


def test_names_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in drawn({"a\x1b[2Jb:\x1b]0;title\x07c": [(0.0, 1.0), (1.0, 1.0)], "a\x1b[2J": [(0.0, 1.0)]})


def test_json_holds_every_point() -> None:
    assert json.loads(drawn(format="json")) == {
        "address": "job/churn@3",
        "series": {name: [list(point) for point in points] for name, points in SERIES.items()},
    }


def test_a_png_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    write_png(tmp_path / "metrics.png", {"job/churn@3": SERIES})
    assert (tmp_path / "metrics.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with pytest.raises(WorldError, match="No such file or directory"):
        write_png(tmp_path / "nowhere" / "metrics.png", {"job/churn@3": SERIES})


def test_without_matplotlib_one_line_says_what_to_install(tmp_path: Path) -> None:
    script = f"""
import sys
sys.modules["matplotlib"] = sys.modules["matplotlib.figure"] = None
from pathlib import Path
from sagespec.show.plot import write_png
write_png(Path({str(tmp_path)!r}, "x.png"), {{"job/a@1": {{"loss": [(0.0, 1.0)]}}}})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    pip = f"{sys.executable} -m pip"  # of this Python: before a release, only where sagespec is installed
    assert done.stderr.endswith(f"a PNG needs matplotlib, which is not there\n  fix  {pip} install 'sagespec[plot]'\n")


def test_the_metrics_of_an_ended_job_are_drawn_from_the_store(workspace: Workspace) -> None:
    like = "---\napiVersion: sagespec/v1\nkind: TrainingJob\nname: model\nversion: 2\nlike: model@1\n"
    workspace.write(job(1, hyperparameters="{lines: 5}") + like + "hyperparameters: {lines: 3}\n")
    workspace.run("apply")
    both = workspace.run("logs", "model@1", "model@2", "--plot", "echo:value").stdout
    assert re.findall(r"(model@[12]) echo:value  now (\S+),", both) == [("model@1", "0.4"), ("model@2", "0.2")]
    assert re.search(r"^model +@1 +@2\necho:value +0.4 +0.2$", workspace.run("status").stdout, re.MULTILINE)
    for word, said in (
        ("model@7", "there is no job model@7\n  why  of that name there is model@1, model@2\n"),
        ("model", "model is the name of jobs, without a version\n"),
        ("ndcg@5", "job/model@1 has printed no metric ndcg@5, and no job is called so\n"),
    ):
        assert said in workspace.run("logs", "model@1", word, "--plot", code=1).stderr
    behind = workspace.run("logs", "model@1", "echo:value", "job/model@2", "--plot", code=1).stderr
    assert "job/model@2 is a job, and stands behind a metric\n  fix  name all jobs before the metrics\n" in behind
    assert "steps: the first point" in both
    over = workspace.run("logs", "model@1", "model@2", "--plot", "--over", "seconds").stdout
    assert "seconds since the start" in over
    said = workspace.run("logs", "model@1", "--plot").stdout
    assert "echo:value  now 0.4, least 0, most 0.4 of 5 points" in said
    workspace.run("logs", "model@1", "--png", "value.png", "echo:value")
    assert (workspace.root / "value.png").stat().st_size > 1000
    found = json.loads(workspace.run("logs", "model@1", "--plot", "--output", "json").stdout)
    assert [value for _, value in found["series"]["echo:value"]] == [0.0, 0.1, 0.2, 0.3, 0.4]
    wrong = workspace.run("logs", "model@1", "--plot", "value", code=1).stderr
    assert "job/model@1 has printed no metric value" in wrong
    assert 'did you mean "echo:value"?' in wrong
    assert "use --png out.png" in workspace.run("logs", "model@1", "--plot", "out.png", code=64).stderr


def test_the_metrics_of_a_running_job_are_seen_by_another_command(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{lines: 3, sleep: 600}"))
    with workspace.running("apply") as process:
        wait_until(lambda: "line=2" in workspace.run("logs", "model", code=None).stdout)
        (state,) = json.loads(workspace.run("status", "--output", "json").stdout)["jobs"]
        assert (state["state"], state["metrics"]) == ("running", {"echo:value": 0.2})
        with workspace.running("logs", "model@1", "--plot", "--follow", "--output", "json") as follower:
            assert follower.stdout is not None
            first = json.loads(follower.stdout.readline())
            workspace.run("stop", "model@1")
            followed, _ = follower.communicate(timeout=60)
        process.communicate(timeout=60)
    assert [value for _, value in first["series"]["echo:value"]] == [0.0, 0.1, 0.2]
    assert json.loads(followed.splitlines()[-1]) == first, "it ends with the job"
    stored = json.loads(workspace.run("logs", "model@1", "--plot", "--output", "json").stdout)
    assert stored == first, "by when they were printed, whoever reads them and when"


def test_what_a_feeder_prints_of_a_running_job_is_no_metric(workspace: Workspace) -> None:
    pipes = "input_mode: pipe\nmetrics: [{name: objects, regex: '([0-9]+) objects'}]\n"
    workspace.write(job(1, hyperparameters="{read_pipes: 'train=2', lines: 1, sleep: 600}") + pipes)
    with workspace.running("apply") as process:
        feeder = "job/model@1/feeder#0"
        wait_until(lambda: "epoch" in workspace.run("logs", feeder, code=None).stdout)
        wait_until(lambda: "line=0" in workspace.run("logs", "model", code=None).stdout)
        (state,) = json.loads(workspace.run("status", "--output", "json").stdout)["jobs"]
        assert state["metrics"] == {"echo:value": 0.0}
        found = json.loads(workspace.run("logs", "model@1", "--plot", "--output", "json").stdout)
        assert list(found["series"]) == ["echo:value"]
        workspace.run("stop", "model@1")
        process.communicate(timeout=60)
