"""The figures as Prometheus reads them: by its own parser, and by promtool where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sagespec.monitoring.exposition import as_text
from sagespec.monitoring.families import families
from sagespec.monitoring.loop_counts import LoopCounts
from sagespec.monitoring.scene import ModelSeen, Scene, SourceSeen, source_seen
from sagespec.ongoing import Rolling
from sagespec.state.addresses import endpoint_address
from sagespec.state.source import AppliedCommit, Attempt, AttemptResult, Held, HeldReason, SourceRecord
from sagespec.traffic.grown import Served
from sagespec.traffic.intervals import Interval

DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"
NOW = datetime(2026, 11, 30, tzinfo=UTC)
SUMS = {
    Served("churn", "", ""): Interval(0.0, no_instance=2, client=3),
    Served("churn", "stable", 'a "b"\\c@2'): Interval(
        0.0, requests=10, model_5xx=1, timeouts=2, active=4, latencies={0.0: 1, 5.0: 2, 24.0: 3, 100.0: 3, 60000.0: 1}
    ),
}
SCENE = Scene(
    gateway_answers=True,
    jobs={"trained": 2, "running": 1},
    endpoints={"serving": 1},
    served=(ModelSeen("churn", "stable", "churn@2", healthy=2, share=0.9),),
    wanted={("churn", "stable"): 2},
    queued=1,
    rolling=(Rolling(endpoint_address("churn"), 7, step=2, steps=3, share=0.1, since=NOW, looks_again_at=NOW),),
    suspended=("endpoint/churn",),
    stale=("job/churn@2",),
    job_states={"churn@2": "trained", "churn@3": "waiting"},
    queue_seconds={"churn@3": 12.5},
    engine_calls={"done": 7},
    store_errors=2,
    source=SourceSeen("main", "c" * 40, 12.5, "unverified"),
)


def record(applied: str = "", attempted: tuple[str, str] | None = None, held: str = "") -> SourceRecord:
    """A commit that was attempted at NOW, and one that is held since half a minute later."""
    since = NOW + timedelta(seconds=30)
    return SourceRecord(
        branch="main",
        applied=AppliedCommit(commit=applied, at=NOW) if applied else None,
        attempted=Attempt(commit=attempted[0], at=NOW, result=AttemptResult(attempted[1])) if attempted else None,
        held=Held(reason=HeldReason(held), commit="h", since=since) if held else None,
    )


def text() -> str:
    loop = LoopCounts(lambda: 1000.5)
    with loop.look(), loop.a_pass():
        pass
    figures = loop.figures()
    figures.repairs.update(Counter({("endpoint/churn", "set-routes"): 1}))
    figures.actions.update(Counter({("set-routes", "done"): 1}))
    return as_text(families(SUMS, SCENE, figures, "0.1.0"))


def values(name: str) -> dict[tuple[tuple[str, str], ...], float]:
    found = [sample for family in text_string_to_metric_families(text()) for sample in family.samples]
    return {tuple(sorted(sample.labels.items())): sample.value for sample in found if sample.name == name}


def test_prometheus_own_parser_reads_all_of_it() -> None:
    parsed = list(text_string_to_metric_families(text()))
    assert len(parsed) == text().count("# TYPE")
    assert all(family.documentation and family.type != "unknown" for family in parsed)
    labels = next(s.labels for f in parsed for s in f.samples if s.name == "sagespec_requests_total")
    assert labels == {"endpoint": "churn", "variant": "stable", "model": 'a "b"\\c@2'}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian's prometheus has it)")
def test_promtool_has_no_objection() -> None:
    said = subprocess.run(["promtool", "check", "metrics"], input=text(), capture_output=True, text=True)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_buckets_are_cumulative_and_hold_what_took_at_most_so_long() -> None:
    found = {dict(labels)["le"]: value for labels, value in values("sagespec_request_duration_seconds_bucket").items()}
    assert found["0.001"] == 1
    assert found["0.0025"] == 1
    assert found["0.005"] == found["0.01"] == 3
    assert found["0.025"] == found["0.1"] == 6  # what took 100 to 110 ms may have taken more
    assert found["0.25"] == found["30"] == 9
    assert found["60"] == 9
    assert found["+Inf"] == 10
    assert list(values("sagespec_request_duration_seconds_count").values()) == [10]
    assert list(values("sagespec_request_duration_seconds_sum").values()) == [pytest.approx(60.897)]


def test_errors_are_told_apart_by_kind_also_those_that_reached_no_variant() -> None:
    found = {(dict(k)["variant"], dict(k)["kind"]): v for k, v in values("sagespec_request_errors_total").items()}
    assert found["stable", "timeout"] == 2
    assert found["stable", "model_5xx"] == 1
    assert found["", "no_instance"] == 2
    assert ("", "timeout") not in found
    assert sum(values("sagespec_requests_refused_total").values()) == 3


def test_the_page_lists_every_name_with_its_type_and_labels_and_no_other() -> None:
    rows = re.findall(r"^\| `(sagespec_\w+)` \| (\w+) \|([^|]*)\|", DOCS.read_text(), re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    shown: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(text()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        shown[name] = (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
    assert documented == shown


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (SourceRecord(branch="main"), SourceSeen("main", "", 0.0)),
        (record(applied="a", attempted=("a", "applied")), SourceSeen("main", "a", 0.0)),
        (record(applied="a", attempted=("b", "applying")), SourceSeen("main", "a", 60.0)),
        (record(applied="a", attempted=("b", "wrong")), SourceSeen("main", "a", 60.0)),
        (record(attempted=("b", "applying")), SourceSeen("main", "", 60.0)),
        (record(applied="a", held="unverified"), SourceSeen("main", "a", 30.0, "unverified")),
        (record(applied="a", attempted=("b", "failed"), held="approval"), SourceSeen("main", "a", 60.0, "approval")),
        (record(applied="a", held="branch-gone"), SourceSeen("main", "a", 0.0, "branch-gone")),
    ],
)
def test_how_far_a_branch_is_behind(record: SourceRecord, expected: SourceSeen) -> None:
    assert source_seen(record, later(60)) == expected
