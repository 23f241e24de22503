"""Whose fault the end of a job is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sagespec.run.faults import Ending, EndSeen, HostEnd, Verdict, judge
from sagespec.state.addresses import job_address
from sagespec.state.faults import Fault, FaultKind
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Container, ContainerState, Exit


def ended(
    code: int | None,
    *,
    host: str = "algo-1",
    note: str = "",
    signals: tuple[int, ...] = (),
    seen: EndSeen = EndSeen.WATCHED,
    memory: int | None = None,
    **more: Any,
) -> HostEnd:
    """code: None for a container that vanished."""
    address = job_address("m", 1)
    container = Container(
        host, address, "1-a", ContainerState.EXITED, exit_code=code, note=note, signals=signals, memory=memory
    )
    return HostEnd(host, container if code is not None else None, seen, **more)


def lost(last_exit: Exit) -> HostEnd:
    container = Container("algo-1", job_address("m", 1), "1-a", ContainerState.EXITED, last_exit=last_exit, node="n2")
    return HostEnd("algo-1", container, EndSeen.AWAY)


FAILED = JobStatus.FAILED
CASES = {
    "well": ([ended(0)], None, JobStatus.COMPLETED, ""),
    "its own code": ([ended(3, last_lines=["oops"])], None, FAILED, "AlgorithmError: algo-1 exited with code 3; its"),
    "its own words": ([ended(1, failure="no labels")], None, FAILED, "AlgorithmError: no labels"),
    "the input": ([ended(1, failure="ClientError: no labels\n")], None, FAILED, "ClientError: no labels"),
    "the input, of several": (
        [ended(1), ended(1, host="algo-2", failure="ClientError: x")],
        None,
        FAILED,
        "ClientError: x",
    ),
    "out of memory": (
        [ended(137, note="out of memory", memory=300 << 20)],
        None,
        FAILED,
        "AlgorithmError: out of memory: the limit is 300 MiB; algo-1 exited with code 137 (SIGKILL)",
    ),
    "out of memory, without a limit": (
        [ended(137, note="out of memory")],
        None,
        FAILED,
        "AlgorithmError: out of memory: it has no limit of its own, so the engine has too little; algo-1 exited",
    ),
    "out of memory, as a supervisor saw it": (
        [ended(137, note="out of memory: it uses 625 MiB and the limit is 300 MiB")],
        None,
        FAILED,
        "AlgorithmError: out of memory: it uses 625 MiB and the limit is 300 MiB; algo-1 exited",
    ),
    "out of memory, of several": (
        [
            ended(1, failure="AlgorithmError: connection reset"),
            ended(137, host="algo-2", note="out of memory", memory=300 << 20),
        ],
        None,
        FAILED,
        "AlgorithmError: out of memory: the limit is 300 MiB; algo-2 exited",
    ),
    "segmentation fault": ([ended(139)], None, FAILED, "AlgorithmError: algo-1 exited with code 139 (SIGSEGV)"),
    "killed": ([ended(137)], None, FAILED, "InternalServerError: algo-1 was ended from outside (SIGKILL)"),
    "asked to end": ([ended(143)], None, FAILED, "InternalServerError: algo-1 was ended from outside (SIGTERM)"),
    "asked to end, and obeyed": (
        [ended(0, signals=(15,))],
        None,
        FAILED,
        "InternalServerError: algo-1 was ended from outside (SIGTERM)",
    ),
    "a signal of no consequence": ([ended(0, signals=(10,))], None, JobStatus.COMPLETED, ""),
    "vanished": ([ended(None)], None, FAILED, "InternalServerError: the container of algo-1 was removed"),
    "with its engine": (
        [ended(0, seen=EndSeen.AWAY)],
        None,
        FAILED,
        "InternalServerError: algo-1 ended while the engine",
    ),
    "lost with its node": (
        [lost(Exit(None, None, "its node n2 does not answer"))],
        None,
        FAILED,
        "InternalServerError: algo-1 was lost: its node n2 does not answer",
    ),
    "with an engine that saw nothing": (
        [lost(Exit(None))],
        None,
        FAILED,
        "InternalServerError: algo-1 ended with its engine or machine (n2)",
    ),
    "with its machine": (
        [ended(255, seen=EndSeen.UNWATCHED)],
        None,
        FAILED,
        "InternalServerError: algo-1 ended with its",
    ),
    "255 of its own": ([ended(255)], None, FAILED, "AlgorithmError: algo-1 exited with code 255"),
    "a loss the others cannot bear": (
        [ended(1, failure="AlgorithmError: connection reset"), ended(137, host="algo-2")],
        None,
        FAILED,
        "InternalServerError: algo-2 was ended from outside (SIGKILL)",
    ),
    "stopped after another failed": (
        [ended(143), ended(2, host="algo-2")],
        Ending(by_themselves=("algo-2",)),
        FAILED,
        "AlgorithmError: algo-2 exited with code 2",
    ),
    "stopped by us": (
        [ended(137)],
        Ending(reason=str(Fault(FaultKind.MAX_RUNTIME, "x"))),
        JobStatus.STOPPED,
        "MaxRuntimeExceeded: x",
    ),
    "its feeder": (
        [ended(0)],
        Ending(reason=str(Fault(FaultKind.INTERNAL, "fed no more"))),
        FAILED,
        "InternalServerError: fed",
    ),
    "a word of its own": ([ended(1, failure="ValueError: x")], None, FAILED, "ValueError: x"),
    "out of memory, whatever it says": (
        [ended(137, failure="train.py was ended by SIGKILL", note="out of memory", memory=300 << 20)],
        None,
        FAILED,
        "AlgorithmError: out of memory: the limit is 300 MiB; train.py was ended by SIGKILL",
    ),
    "out of memory, in its own words": (
        [ended(1, failure="MemoryError: 5 GiB\nmore", note="out of memory", memory=300 << 20)],
        None,
        FAILED,
        "MemoryError: 5 GiB (out of memory: the limit is 300 MiB)\nmore",
    ),
    "no stop, whatever it says": ([ended(1, failure="Stopped: x")], None, FAILED, "AlgorithmError: Stopped: x"),
}


@pytest.mark.parametrize("case", CASES)
def test_whose_fault_it_is(case: str) -> None:
    ends, ending, status, begins = CASES[case]
    verdict = judge(ends, ending)
    assert verdict.status is status
    assert verdict.reason.startswith(begins)
    assert verdict.is_platforms == begins.startswith("InternalServerError")


def test_no_more_than_1024_characters_of_a_failure_file() -> None:
    assert judge([ended(1, failure="x" * 3000)], None) == Verdict(FAILED, Fault(FaultKind.ALGORITHM, "x" * 1023 + "…"))


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.OTHER])
def test_the_text_of_a_fault_is_read_back_as_it_was(kind: FaultKind) -> None:
    fault = Fault(kind, "it: went wrong\nbadly")
    assert Fault.read(str(fault)) == fault


def test_the_note_of_a_stop_is_read_back_as_it_was() -> None:
    ending = Ending(reason=str(Fault(FaultKind.STOPPED, "asked for by ada on build-7")), by_themselves=("algo-1",))
    assert Ending.model_validate_json(ending.model_dump_json()) == ending


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("", None),
        ("Stopped: asked for by ada on build-7", Fault(FaultKind.STOPPED, "asked for by ada on build-7")),
        ("the feeder exited with code 1", Fault(FaultKind.OTHER, "the feeder exited with code 1")),
    ],
)
def test_the_note_of_a_stop_has_the_same_bytes_in_every_release(reason: str, fault: Fault | None) -> None:
    noted = json.dumps({"reason": reason, "by_themselves": ["algo-1"]}, separators=(",", ":"))
    ending = Ending.model_validate_json(noted)
    assert (ending.fault, ending.by_themselves) == (fault, ("algo-1",))
    assert ending.model_dump_json() == noted
