"""A job that runs, as clients see it: its end, its log and its metrics."""

from __future__ import annotations

import io
import json
import re
import statistics
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sagespec.project import Project
from sagespec.reconcile.options import Options
from sagespec.web.loop import Loop
from tests import sdks
from tests.planes import Plane

JOBS = "/aws/sagemaker/TrainingJobs"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
SCRIPT = """
import os, time
for number in range({lines}):
    print(f"line {{number}} loss={{1 / (number + 1):.3f}} at={{time.time():.3f}}", flush=True)
    time.sleep({seconds})
open(os.path.join(os.environ["SM_MODEL_DIR"], "model"), "w").write("x")
"""


@pytest.fixture
def loop(plane: Plane) -> Iterator[Plane]:
    """The control plane with its loop."""
    with Project(plane.root, runtime="process") as project:
        loop = Loop(project, Options(), plane.listening.report)
        loop.start()
        yield plane
        loop.stop()


def start(plane: Plane, name: str, *, lines: int, seconds: float) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as code:
        script = SCRIPT.format(lines=lines, seconds=seconds).encode()
        entry = tarfile.TarInfo("train.py")
        entry.size = len(script)
        code.addfile(entry, io.BytesIO(script))
    s3 = plane.client("s3")
    s3.create_bucket(Bucket="sagespec")
    s3.put_object(Bucket="sagespec", Key="sourcedir.tar.gz", Body=archive.getvalue())
    hyperparameters = {"sagemaker_program": "train.py", "sagemaker_submit_directory": "s3://sagespec/sourcedir.tar.gz"}
    plane.client("sagemaker").create_training_job(
        TrainingJobName=name,
        RoleArn="arn:aws:iam::000000000000:role/sagespec",
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
        },
        HyperParameters={key: json.dumps(value) for key, value in hyperparameters.items()},
        OutputDataConfig={"S3OutputPath": "s3://sagespec/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )


def test_a_waiter_returns_with_the_end_of_the_job_and_its_log_is_whole(loop: Plane) -> None:
    sagemaker, logs = loop.client("sagemaker"), loop.client("logs")
    start(loop, "waited-for", lines=20, seconds=0.1)
    (stream,) = logs.describe_log_streams(logGroupName=JOBS, logStreamNamePrefix="waited-for/")["logStreams"]
    assert re.fullmatch(r"waited-for/algo-1-\d{10}", stream["logStreamName"])  # before it has begun
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="waited-for")
    returned_at = time.time()
    job = sagemaker.describe_training_job(TrainingJobName="waited-for")
    assert job["TrainingJobStatus"] == "Completed", job
    assert returned_at - job["TrainingEndTime"].timestamp() < 20  # a waiter asks every 120 s

    given = {"logGroupName": JOBS, "logStreamName": stream["logStreamName"], "startFromHead": True}
    first = logs.get_log_events(**given, limit=7)
    rest = logs.get_log_events(**given, nextToken=first["nextForwardToken"])
    messages = [event["message"] for event in (*first["events"], *rest["events"])]
    assert [text.split()[1] for text in messages if text.startswith("line ")] == [str(number) for number in range(20)]
    assert logs.get_log_events(**given, nextToken=rest["nextForwardToken"])["events"] == []

    found = list(paged(logs, logGroupName=JOBS, logStreamNamePrefix="waited-for/", filterPattern="loss", limit=6))
    assert [event["message"] for event in found] == [text for text in messages if "loss" in text]
    assert len({event["eventId"] for event in found}) == len(found)

    cloudwatch = loop.client("cloudwatch")
    dimensions = [{"Name": "TrainingJobName", "Value": "waited-for"}]
    (metric,) = cloudwatch.list_metrics(Namespace=JOBS, Dimensions=dimensions)["Metrics"]
    assert metric["MetricName"] == "loss"
    start_at, end_at = job["TrainingStartTime"], job["TrainingEndTime"] + timedelta(minutes=1)
    points = cloudwatch.get_metric_statistics(
        Namespace=JOBS, MetricName="loss", Dimensions=dimensions, StartTime=start_at, EndTime=end_at, Period=60,
        Statistics=["Average", "SampleCount"],
    )["Datapoints"]  # fmt: skip
    total = sum(point["Average"] * point["SampleCount"] for point in points)
    assert total == pytest.approx(sum(round(1 / (number + 1), 3) for number in range(20)))
    (data,) = cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "m1", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Minimum"}}],
        StartTime=start_at, EndTime=end_at,
    )["MetricDataResults"]  # fmt: skip
    assert min(data["Values"]) == 0.05


def paged(logs: Any, **request: Any) -> Iterator[dict[str, Any]]:
    for page in logs.get_paginator("filter_log_events").paginate(**request):
        yield from page["events"]


def test_many_who_wait_slow_nobody_else(loop: Plane) -> None:
    sagemaker, ended = loop.client("sagemaker"), list[float]()  # which threads may share; each asks by itself
    start(loop, "long", lines=40, seconds=0.25)

    def wait() -> None:
        sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="long")
        ended.append(time.time())

    waiting = [threading.Thread(target=wait) for _ in range(64)]
    for thread in waiting:
        thread.start()
    took = []
    while sagemaker.describe_training_job(TrainingJobName="long")["TrainingJobStatus"] == "InProgress":
        begun = time.monotonic()
        sagemaker.list_models()
        took.append(time.monotonic() - begun)
        time.sleep(0.1)
    for thread in waiting:
        thread.join(60)
    assert len(ended) == 64
    assert statistics.median(took) < 1, took


def test_the_log_survives_a_kill_without_a_line_lost_or_doubled(loop: Plane) -> None:
    """As a client that goes on by token sees it, whatever has read it before."""
    logs = loop.client("logs")
    start(loop, "killed", lines=30, seconds=0.1)
    (stream,) = logs.describe_log_streams(logGroupName=JOBS, logStreamNamePrefix="killed/")["logStreams"]
    given = {"logGroupName": JOBS, "logStreamName": stream["logStreamName"], "startFromHead": True}
    messages, token = list[tuple[int, str]](), dict[str, str]()
    while (
        len(messages) < 30
        or loop.client("sagemaker").describe_training_job(TrainingJobName="killed")["TrainingJobStatus"] == "InProgress"
    ):
        found = logs.get_log_events(**given, **token)
        messages += [(event["timestamp"], event["message"]) for event in found["events"]]
        token = {"nextToken": found["nextForwardToken"]}
        if len(messages) == 10:
            loop.listening.service.books.close()  # what a kill forgets: all that is in memory
    whole = logs.get_log_events(**given)["events"]
    assert [(event["timestamp"], event["message"]) for event in whole] == messages
    assert [text.split()[1] for _, text in messages if text.startswith("line ")] == [str(n) for n in range(30)]


FIT = """
import re, sys, time, sagemaker
from sagemaker.sklearn import SKLearn
late, write = [], sys.stdout.write
def timed(text):
    late.extend(time.time() - float(found) for found in re.findall(r"at=([0-9.]+)", text))
    return write(text)
sys.stdout.write = timed
job = SKLearn(entry_point="train.py", framework_version="1.2-1", instance_type="ml.m5.large", instance_count=1)
job.fit()
sys.stdout.write = write
print("LATE", sorted(late)[len(late) // 2], len(late))
"""


@pytest.mark.sdk2
@pytest.mark.slow
def test_sdk_2_shows_a_line_when_it_is_printed(loop: Plane, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT.format(lines=15, seconds=1))
    sagespec = [*(str(word) for word in (sys.executable, "-m", "sagespec")), "-C", str(loop.root), "env", "--"]
    found = subprocess.run(
        [*sagespec, str(sdks.python("sdk2")), "-c", FIT], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert found.returncode == 0, found.stdout + found.stderr
    said = re.search(r"LATE ([0-9.]+) (\d+)", found.stdout)
    assert said, found.stdout
    assert int(said[2]) == 15
    assert float(said[1]) < 2  # without waiting here: 5 s, since it sleeps for ten
