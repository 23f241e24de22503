"""What Prometheus reads beside a running `watch`: of real requests, a real loop, and a gateway started again."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.ports import free_port
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def place(request: pytest.FixtureRequest, tmp_path: Path, project_name: str) -> Workspace:
    return Workspace(tmp_path / "project", project_name, request.param)


class Figures:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/metrics"

    def of(self, name: str, **labels: str) -> float | None:
        """The sum of the samples with these labels; None where there is none, or nobody answers."""
        try:
            with urllib.request.urlopen(self.url, timeout=10) as answer:
                families = list(text_string_to_metric_families(answer.read().decode()))
        except OSError:
            return None
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        found = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
        return sum(found) if found else None

    def await_(self, value: float, name: str, **labels: str) -> None:
        wait_until(lambda: self.of(name, **labels) == value)


def test_figures_of_requests_survive_a_restart_of_gateway_and_loop(place: Workspace) -> None:
    with (place.root / "sagespec.yaml").open("a") as settings:
        settings.write(f"prometheus: {{port: {(port := free_port())}}}\n")
    place.write(job(1) + endpoint("stable model@1 90", "candidate model@1 10"))
    place.run("apply")
    figures = Figures(port)
    stable = {"endpoint": "answers", "variant": "stable", "model": "model@1"}
    with place.running("watch"):
        figures.await_(1, "sagespec_instances_healthy", **stable)
        for _ in range(5):
            assert place.invoke("answers", "x", variant="stable")[0] == 200
        assert place.invoke("nowhere", "x")[0] == 400
        with place.project() as project:
            project.invoke("answers", b"x", variant="candidate", custom_attributes="status=500", check=False)
        figures.await_(5, "sagespec_requests_total", **stable)
        figures.await_(5, "sagespec_request_duration_seconds_count", **stable)
        figures.await_(1, "sagespec_request_errors_total", variant="candidate", kind="model_5xx")
        assert figures.of("sagespec_traffic_share_ratio", **stable) == pytest.approx(0.9)
        assert figures.of("sagespec_instances_wanted", endpoint="answers") == 2
        assert figures.of("sagespec_jobs", state="trained") == 1
        assert figures.of("sagespec_job_state", job="model@1", state="trained") == 1
        assert figures.of("sagespec_store_errors_total") == 0
        assert (figures.of("sagespec_engine_calls_total", result="done") or 0) > 0 or place.runtime == "process"
        assert figures.of("sagespec_endpoints", state="serving") == 1
        assert figures.of("sagespec_gateway_up") == 1
        assert time.time() - (figures.of("sagespec_loop_last_success_timestamp_seconds") or 0) < 120

        place.run("restart", "gateway")
        for _ in range(2):
            assert place.invoke("answers", "x", variant="stable")[0] == 200
        figures.await_(7, "sagespec_requests_total", **stable)
        time.sleep(11)  # it writes down what it has counted every 10 s
    with place.running("watch"):
        figures.await_(7, "sagespec_requests_total", **stable)


def test_a_loop_counts_the_drift_that_it_repairs(place: Workspace) -> None:
    with (place.root / "sagespec.yaml").open("a") as settings:
        settings.write(f"prometheus: {{port: {(port := free_port())}}}\n")
    place.write(job(1) + endpoint("stable model@1 90"))
    place.run("apply")
    (place.root / "data/train.csv").write_text("1,0.5,0.25\n")
    figures = Figures(port)
    with place.running("watch"):
        figures.await_(1, "sagespec_stale", address="job/model@1")
        figures.await_(0, "sagespec_loop_drift_repaired_total")
        with place.engine() as engine:
            engine.remove(place.names()["endpoint/answers/stable#0"])
        wait_until(lambda: (figures.of("sagespec_loop_drift_repaired_total") or 0) > 0)
        figures.await_(1, "sagespec_instances_healthy", endpoint="answers")


def test_a_port_that_is_taken_stops_no_loop(place: Workspace) -> None:
    with (place.root / "sagespec.yaml").open("a") as settings:
        settings.write(f"prometheus: {{port: {place.port}}}\n")
    place.write(job(1) + endpoint("stable model@1 90"))
    place.run("apply")
    with place.running("watch") as watch:
        assert watch.stdout
        said = next(line for line in watch.stdout if "Prometheus" in line)
        assert "is taken" in said
        wait_until(lambda: place.invoke("answers", "x")[0] == 200)
