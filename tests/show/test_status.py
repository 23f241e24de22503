"""Status as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from sagespec.show.status import ENDPOINT_TONES, JOB_TONES, write_status
from sagespec.state.acceleration import Acceleration
from sagespec.state.addresses import job_address
from sagespec.state.manifest import ChannelRead
from sagespec.state.observed import Follower
from sagespec.verbs.states import (
    EndpointState,
    EndpointWord,
    JobState,
    JobWord,
    LastMinute,
    RunState,
    Status,
    VariantState,
)
from tests.show.screens import BY, CHURN, NOW, URLS, a_screen, out

STATUS = Status(
    jobs=(JobState(job_address("churn", 3), JobWord.TRAINED, "", {"auc": 0.94028, "b": 1, "c": 2, "d": 3}, 83.0),),
    endpoints=(
        EndpointState(
            CHURN,
            EndpointWord.PENDING,
            URLS["churn"],
            4,
            (
                VariantState("stable", "churn@2", 0.9, 0.9, 3, 2, 1790, 0, 0.97, 4.81, "churn@4", instances_live=2),
                VariantState("candidate", "", 0.1, 0.0, 1, 0, model_asked="churn@3"),
                VariantState("old", "churn@1", 0.0, 0.1, 0, 1, instances_live=1),
            ),
        ),
    ),
    gateway="http://127.0.0.1:8080",
    runtime="docker",
    store="file:///s",
    at=NOW,
)
WHO = "sagespec watch of ada on build-7"
BEFORE = NOW - timedelta(seconds=72)
FOLLOWER = Follower(BY, BEFORE, who=WHO)
SLOW = JobState(job_address("slow", 1), JobWord.RUNNING, "", {"auc": 0.5}, started_at=BEFORE, follower=FOLLOWER)
WATCH = RunState(
    by=BY,
    who=WHO,
    pid=4711,
    command="watch",
    since=NOW - timedelta(hours=3, minutes=12),
    renewed_at=NOW,
    waits_for=("job/slow@1 to end",),
    queued=("job/b@2",),
    last_pass_at=NOW - timedelta(seconds=12),
    last_pass_seconds=0.104,
    looks_again_at=NOW + timedelta(seconds=18),
)
APPLY = RunState("by", "sagespec apply of bob on laptop", 812, "apply", BEFORE, NOW)


def test_where_it_runs_is_shown_if_the_engine_has_several_machines() -> None:
    running = replace(SLOW, follower=None, nodes=("n2", "n3"))
    (churn,) = STATUS.endpoints
    stable = replace(churn.variants[0], nodes=("n1", "n3"))
    screen = a_screen()
    write_status(screen, replace(STATUS, jobs=(running,), endpoints=(replace(churn, variants=(stable,)),)))
    said = out(screen)
    assert "auc 0.5; on n2, n3" in said
    assert [line.split()[-1] for line in said.splitlines() if "VARIANT" in line or "stable" in line] == ["NODES", "n3"]
    assert (running.as_json()["nodes"], stable.as_json()["nodes"]) == (["n2", "n3"], ("n1", "n3"))
    assert "nodes" not in SLOW.as_json() | churn.variants[0].as_json()


def test_status_shows_asked_beside_live() -> None:
    screen = a_screen()
    write_status(screen, STATUS)
    assert (
        out(screen)
        == """\
runtime docker; store file:///s; gateway http://127.0.0.1:8080

JOB          STATE    TOOK        METRICS
job/churn@3  trained  1 min 23 s  auc 0.94028, b 1, c 2, … 1 more

endpoint/churn  pending  revision 4  http://127.0.0.1:8080/endpoints/churn/invocations
  VARIANT    MODEL                    WEIGHT            HEALTHY        REQUESTS  ERRORS  P50      P99
  stable     churn@2 (asked churn@4)  90 %              2/2 (asked 3)  1,790     0       0.97 ms  4.81 ms
  candidate  - (asked churn@3)        0 % (asked 10 %)  0/1            0         0       -        -
  old        churn@1 (asked none)     10 % (asked 0 %)  1/1 (asked 0)  0         0       -        -
"""
    )


def test_an_endpoint_that_was_removed_has_had_revisions() -> None:
    def said(newest: int | None) -> str:
        screen = a_screen()
        endpoint = replace(STATUS.endpoints[0], revision=None, newest_revision=newest)
        write_status(screen, replace(STATUS, jobs=(), endpoints=(endpoint,)))
        return out(screen)

    assert "pending  no revision yet  http" in said(None)
    assert "pending  no revision is live, the newest was 5  http" in said(5)


def test_an_address_is_in_one_piece_on_a_narrow_terminal() -> None:
    screen = a_screen(width=40)
    write_status(screen, STATUS)
    assert any(line.endswith(STATUS.gateway) for line in out(screen).splitlines())


def test_status_as_json() -> None:
    screen = a_screen(format="json")
    write_status(screen, STATUS)
    document = json.loads(out(screen))
    assert document["jobs"][0]["address"] == "job/churn@3"
    assert document["endpoints"][0]["variants"][1]["share_asked"] == 0.1


def test_status_says_who_follows_what_and_what_each_run_waits_for() -> None:
    screen = a_screen()
    preparing = replace(SLOW, address=job_address("b", 1), state=JobWord.PREPARING, started_at=None, metrics=None)
    write_status(screen, replace(STATUS, jobs=(SLOW, preparing), endpoints=(), runs=(WATCH, APPLY)))
    assert (
        out(screen)
        == """\
runtime docker; store file:///s; gateway http://127.0.0.1:8080

JOB         STATE      TOOK        METRICS
job/slow@1  running    1 min 12 s  auc 0.5; followed by sagespec watch of ada on build-7 for 1 min 12 s
job/b@1     preparing              followed by sagespec watch of ada on build-7 for 1 min 12 s

RUN                                 FOR         LAST PASS          LOOKS AGAIN  WAITS FOR
watch of ada on build-7 (pid 4711)  3 h 12 min  12 s ago (104 ms)  in 18 s      job/slow@1 to end, the turn of job/b@2
apply of bob on laptop (pid 812)    1 min 12 s  -                  -            -
"""
    )


def test_a_run_that_waits_for_much_says_how_much() -> None:
    screen = a_screen()
    many = replace(
        WATCH,
        waits_for=tuple(f"job/a@{version} to end" for version in range(1, 6)),
        queued=tuple(f"job/b@{version}" for version in range(1, 101)),
    )
    write_status(screen, replace(STATUS, runs=(many,)))
    said = "  job/a@1 to end, job/a@2 to end, job/a@3 to end, 2 more, the turns of 100 jobs\n"
    assert out(screen).endswith(said)


def test_a_run_that_is_late_says_by_how_much_and_one_that_may_be_tells_nothing() -> None:
    def looks(renewed_at: timedelta, looks_again_at: timedelta) -> str:
        screen = a_screen()
        run = replace(WATCH, renewed_at=NOW + renewed_at, looks_again_at=NOW + looks_again_at)
        write_status(screen, replace(STATUS, runs=(run,)))
        return out(screen).splitlines()[-1]

    assert "(104 ms)  late by 4 min 0 s  job/slow" in looks(-timedelta(seconds=3), -timedelta(minutes=4))
    assert "(104 ms)  -            job/slow" in looks(-timedelta(seconds=9), -timedelta(seconds=4))


def test_followers_and_runs_as_json() -> None:
    screen = a_screen(format="json")
    write_status(screen, replace(STATUS, jobs=(SLOW,), runs=(WATCH,)))
    document = json.loads(out(screen))
    assert document["at"] == NOW.isoformat()
    assert (document["jobs"][0]["followed_by"], document["jobs"][0]["since"]) == (BY, BEFORE.isoformat())
    assert (document["jobs"][0]["started_at"], document["jobs"][0]["ended_at"]) == (BEFORE.isoformat(), None)
    assert document["runs"] == [
        {
            "by": BY,
            "command": "watch",
            "since": "2026-01-01T08:48:00+00:00",
            "renewed_at": "2026-01-01T12:00:00+00:00",
            "waits_for": ["job/slow@1 to end"],
            "queued": ["job/b@2"],
            "last_pass_at": "2026-01-01T11:59:48+00:00",
            "last_pass_seconds": 0.104,
            "looks_again_at": "2026-01-01T12:00:18+00:00",
            "undelivered": [],
        }
    ]


def test_versions_with_a_metric_in_common_stand_side_by_side() -> None:
    def jobs(name: str, count: int, **metrics: float) -> tuple[JobState, ...]:
        found = (job_address(name, version) for version in range(1, count + 1))
        return tuple(JobState(address, JobWord.TRAINED, "", {"auc": 0.5} | metrics) for address in found)

    first, *others = jobs("churn", 8)
    screen = a_screen()
    alone = jobs("alone", 1, auc=0.7)
    different = replace(first, metrics={"loss": 2.0, "auc": 0.25})
    write_status(screen, replace(STATUS, jobs=(*alone, different, *others[:1]), endpoints=()))
    assert out(screen).endswith("\n\nchurn  @1    @2\nauc    0.25  0.5\n"), "of one name, and in common"
    screen = a_screen()
    sets = ({"eta": "0.1", "rounds": "9"}, {"eta": "0.2", "rounds": "9", "objective": "binary:logistic"})
    tried = (replace(job, hyperparameters=of) for job, of in zip((different, *others), sets, strict=False))
    write_status(screen, replace(STATUS, jobs=tuple(tried), endpoints=()))
    expected = "\n\nchurn      @1    @2\nauc        0.25  0.5\neta        0.1   0.2\nobjective  -     binary:lo…\n"
    assert out(screen).endswith(expected), "with the hyperparameters in which they differ"
    screen = a_screen()
    write_status(screen, replace(STATUS, jobs=(different, *others), endpoints=()))
    text = out(screen)
    assert "churn  @3   @4   @5   @6   @7   @8\n" in text
    assert text.endswith("and 2 older: --output json has them all\n")


def test_a_trained_job_says_what_it_has_read() -> None:
    line = "train: 2 files, 300 rows, 2 features: x, y"
    read = ChannelRead(
        line=line, files=2, bytes=4711, rows=300, features=2, names=("x", "y"), notes=("all labels are 1",)
    )
    job = replace(STATUS.jobs[0], read={"train": read})
    screen = a_screen()
    write_status(screen, replace(STATUS, jobs=(job,)))
    assert "; read train 300 rows (2 features); note: all labels are 1" in " ".join(out(screen).split())
    assert job.as_json()["read"]["train"] == read.model_dump(mode="json")


def test_an_endpoint_that_waits_says_for_what() -> None:
    screen = a_screen()
    (pending,) = STATUS.endpoints
    write_status(
        screen, replace(STATUS, endpoints=(replace(pending, detail=f"waits for job/slow@1, followed by {WHO}"),))
    )
    assert f"\n  waits for job/slow@1, followed by {WHO}\n  VARIANT" in out(screen)


def test_every_state_has_a_tone() -> None:
    assert JOB_TONES.keys() == set(JobWord)
    assert ENDPOINT_TONES.keys() == set(EndpointWord)


def test_status_shows_the_last_minute_where_somebody_watches() -> None:
    minutes = [LastMinute(60.0, 210, 2, 0.97, 4.81), LastMinute(60.0, 0, 0, None, None), None]
    endpoint = STATUS.endpoints[0]
    variants = [replace(v, last_minute=m) for v, m in zip(endpoint.variants, minutes, strict=True)]
    screen = a_screen()
    write_status(screen, replace(STATUS, jobs=(), endpoints=(replace(endpoint, variants=tuple(variants)),)))
    head, *rows = out(screen).splitlines()[3:7]
    assert head.endswith("ERRORS  LAST MINUTE")
    assert rows[0].endswith("1,790     0       3.5/s, 2 errors, p50 0.97 ms, p99 4.81 ms")
    assert [row.split("  ")[-1].strip() for row in rows[1:]] == ["no requests", "-"]
    assert variants[0].as_json()["last_minute"] == {
        "seconds": 60.0,
        "requests": 210,
        "errors": 2,
        "p50_ms": 0.97,
        "p99_ms": 4.81,
    }


def test_a_variant_that_asks_for_the_fast_form_says_whether_it_has_it() -> None:
    off = Acceleration("onnx", False, "3 of 1000 sample rows have another answer")
    endpoint = STATUS.endpoints[0]
    variants = (replace(endpoint.variants[0], acceleration=off), *endpoint.variants[1:])
    status = replace(STATUS, endpoints=(replace(endpoint, variants=variants),))
    screen = a_screen()
    write_status(screen, status)
    assert "  stable: accelerate: onnx is off: 3 of 1000 sample rows have another answer\n" in out(screen)
    first, second, _ = status.as_json()["endpoints"][0]["variants"]
    assert first["acceleration"] == {"asked": "onnx", "is_on": False, "text": off.text}
    assert "acceleration" not in second
