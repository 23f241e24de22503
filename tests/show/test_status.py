"""Status as text and as JSON."""

from __future__ import annotations

import json

from sagespec.show.status import ENDPOINT_TONES, JOB_TONES, write_status
from sagespec.state.addresses import job_address
from sagespec.verbs.states import EndpointState, EndpointWord, JobState, JobWord, Status, VariantState
from tests.show.screens import CHURN, NOW, URLS, a_screen, out

STATUS = Status(
    jobs=(JobState(job_address("churn", 3), JobWord.TRAINED, "", {"auc": 0.94028, "b": 1, "c": 2, "d": 3}, 83.0, NOW),),
    endpoints=(
        EndpointState(
            CHURN,
            EndpointWord.PENDING,
            URLS["churn"],
            4,
            (
                VariantState("stable", "churn@2", 0.9, 0.9, 2, 2, 1790, 0, 0.97, 4.81),
                VariantState("candidate", "churn@3", 0.1, 0.0, 1, 0),
            ),
        ),
    ),
    gateway="http://127.0.0.1:8080",
    runtime="docker",
    store="file:///s",
)


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
  VARIANT    MODEL    WEIGHT            HEALTHY  REQUESTS  ERRORS  P50      P99
  stable     churn@2  90 %              2/2      1,790     0       0.97 ms  4.81 ms
  candidate  churn@3  0 % (asked 10 %)  0/1      0         0       -        -
"""
    )


def test_status_as_json() -> None:
    screen = a_screen(format="json")
    write_status(screen, STATUS)
    document = json.loads(out(screen))
    assert document["jobs"][0]["address"] == "job/churn@3"
    assert document["endpoints"][0]["variants"][1]["share_asked"] == 0.1


def test_every_state_has_a_tone() -> None:
    assert JOB_TONES.keys() == set(JobWord)
    assert ENDPOINT_TONES.keys() == set(EndpointWord)
