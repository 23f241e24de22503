"""Every file in tests/cases/source is one case: how far a branch has come, what the repository has now, the decision.

about: one sentence, which begins with the rule of docs/pull.md
record: {applied: COMMIT, attempted: [COMMIT, RESULT], seen: COMMIT, in_force: COMMIT, held: [REASON, COMMIT],
    accepted: COMMIT}
remote: COMMIT, descends: false    or  gone: NAME    or  unreachable: {text: …, looks: N}
signed: {by: …, problem: …, commit: …}, signed_before: of the applied one; where signatures are asked for
policy: {follows_rewrites: …, environment: …, retries_wrong: …}
serves: COMMIT, takes: true, held: [REASON, COMMIT, SINCE], says, fix: in what is held, note, look_again_seconds
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sagespec.reconcile.sources import Decision, Policy, decide
from sagespec.state.remote import Remote, RemoteState, Signed, Verification
from sagespec.state.source import (
    Acceptance,
    AppliedCommit,
    Attempt,
    AttemptResult,
    Held,
    HeldReason,
    Seen,
    SourceRecord,
)

CASES = sorted((Path(__file__).parents[1] / "cases" / "source").glob("*.yaml"))
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def held_of(told: list[str]) -> Held:
    reason, commit, *since = told
    return Held(reason=HeldReason(reason), commit=commit, since=datetime.fromisoformat(since[0]) if since else NOW)


def record_of(told: dict[str, Any]) -> SourceRecord:
    attempted = told.get("attempted")
    return SourceRecord(
        applied=AppliedCommit(commit=told["applied"], at=NOW) if "applied" in told else None,
        seen=Seen(commit=told["seen"], at=NOW) if "seen" in told else None,
        in_force=told.get("in_force", ""),
        attempted=Attempt(commit=attempted[0], at=NOW, result=AttemptResult(attempted[1])) if attempted else None,
        held=held_of(told["held"]) if "held" in told else None,
        accepted=Acceptance(commit=told["accepted"], by="ada", at=NOW) if "accepted" in told else None,
    )


def remote_of(case: dict[str, Any]) -> Remote:
    if "gone" in case:
        return Remote(RemoteState.GONE, name=case["gone"])
    if "unreachable" in case:
        return Remote(RemoteState.UNREACHABLE, since=NOW, **case["unreachable"])
    return Remote(RemoteState.FOUND, case["remote"], "main", descends=case.get("descends", True))


def verification_of(case: dict[str, Any]) -> Verification | None:
    if "signed" not in case:
        return None
    before = Signed(**case["signed_before"]) if "signed_before" in case else None
    return Verification(Signed(**case["signed"]), before, "sha256:1")


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_case(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    policy = Policy(**case.get("policy", {}))
    found = decide(remote_of(case), record_of(case["record"]), verification_of(case), NOW, policy)
    held = (found.held.reason, found.held.commit, found.held.since) if found.held else None
    expected = held_of(case["held"]) if "held" in case else None
    assert (found.serves, found.takes) == (case["serves"], case.get("takes", False))
    assert held == ((expected.reason, expected.commit, expected.since) if expected else None)
    assert case.get("note", "") in found.note
    assert bool(case.get("note")) == bool(found.note)
    assert found.look_again_seconds == case.get("look_again_seconds", 60)
    if found.held:
        assert case.get("says", "") in found.held.text
        assert case.get("fix", "") in found.held.fix


def test_every_rule_has_a_case() -> None:
    rules = {yaml.safe_load(file.read_text())["about"].partition(":")[0].partition(",")[0] for file in CASES}
    assert rules == {f"R{number}" for number in range(1, 11)}


COMMITS = st.sampled_from(["a", "b", "c"])
SIGNED = st.builds(Signed, problem=st.sampled_from(["", "is not signed"]), commit=COMMITS)
RECORDS = st.builds(
    record_of,
    st.fixed_dictionaries(
        {},
        optional={
            "applied": COMMITS,
            "seen": COMMITS,
            "attempted": st.tuples(COMMITS, st.sampled_from([*AttemptResult])),
            "accepted": COMMITS,
            "in_force": COMMITS,
            "held": st.tuples(st.sampled_from([*HeldReason]), COMMITS).map(list),
        },
    ),
)
REMOTES = st.builds(
    Remote, st.sampled_from([*RemoteState]), COMMITS, st.just("main"), descends=st.booleans(), looks=st.integers(0, 50)
)
POLICIES = st.builds(Policy, follows_rewrites=st.booleans(), retries_wrong=st.booleans())


@given(REMOTES, RECORDS, st.none() | st.builds(Verification, SIGNED, st.none() | SIGNED, st.just("s")), POLICIES)
def test_whatever_is_so(
    remote: Remote, record: SourceRecord, verification: Verification | None, policy: Policy
) -> None:
    found = decide(remote, record, verification, NOW, policy)
    assert found == decide(remote, record, verification, NOW, policy)
    assert not (found.takes and found.held), "what is taken is not held"
    assert found.takes <= (found.serves == remote.commit)
    if record.working and record.applied:
        assert found.serves, "something stays in force"
    if found.serves not in (record.working, record.applied.commit if record.applied else ""):
        assert found.takes
    if found.takes:
        assert remote.state is RemoteState.FOUND
        assert verification is None or verification.new.is_good
        is_accepted = record.accepted and record.accepted.commit == remote.commit
        assert remote.descends or policy.follows_rewrites or is_accepted
    assert policy.interval_seconds <= found.look_again_seconds <= 600
    later = decide(remote, record.model_copy(update={"held": found.held}), verification, NOW + timedelta(1), policy)
    if found.held and remote.state is not RemoteState.UNREACHABLE:
        assert later.held == found.held, "it is held since the first look"


def test_a_decision_names_what_it_is_about() -> None:
    assert decide(Remote(RemoteState.FOUND, "a"), SourceRecord(), None, NOW, Policy()) == Decision("a", takes=True)
