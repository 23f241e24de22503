"""The record of a branch that is followed: several write it, and a damaged one is never taken for none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.records.sources import SourceRecords
from sagespec.state.source import Attempt, AttemptResult, CommitEnd, Seen, SourceRecord
from sagespec.stores.directory import DirectoryStore

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def records(tmp_path: Path) -> SourceRecords:
    return SourceRecords(DirectoryStore(tmp_path / "store"), "churn-prod")


def test_a_project_that_never_followed_a_branch_has_an_empty_record(records: SourceRecords) -> None:
    assert records.read() == SourceRecord()
    assert records.read().working == ""


def test_several_change_one_record_and_none_is_lost(records: SourceRecords) -> None:
    def report(commit: str) -> None:
        records.change(lambda record: record.model_copy(update={"reported": {**record.reported, commit: "success"}}))

    commits = [f"{number:040x}" for number in range(8)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(report, commits))
    assert records.read().reported == dict.fromkeys(commits, "success")


def test_what_a_later_release_has_added_is_kept(records: SourceRecords, tmp_path: Path) -> None:
    file = tmp_path / "store" / "churn-prod" / "source.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"format": 1, "branch": "main", "colour": "green"}')
    records.change(lambda record: record.model_copy(update={"seen": Seen(commit="c", at=NOW)}))
    assert '"colour": "green"' in file.read_text().replace('":"', '": "')


@pytest.mark.parametrize("text", ["", "{", '{"seen": 3}', '{"format": 2}'])
def test_a_record_that_cannot_be_read_is_an_error(records: SourceRecords, tmp_path: Path, text: str) -> None:
    file = tmp_path / "store" / "churn-prod" / "source.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(WorldError, match=r"churn-prod/source\.json"):
        records.read()
    with pytest.raises(WorldError):
        records.change(lambda _: SourceRecord(branch="main"))
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("result", "working"),
    [(AttemptResult.APPLYING, "new"), (AttemptResult.FAILED, "new"), (AttemptResult.WRONG, "old")],
)
def test_a_commit_whose_specs_are_wrong_is_not_in_force(result: AttemptResult, working: str) -> None:
    attempt = Attempt(commit="new", at=NOW, result=result)
    record = SourceRecord.model_validate({"applied": {"commit": "old", "at": NOW}, "attempted": attempt})
    assert record.working == working


def test_attempts_are_numbered_and_the_newest_comes_first(records: SourceRecords) -> None:
    for commit in ("a", "b", "c"):
        end = CommitEnd(number=0, commit=commit, started_at=NOW, ended_at=NOW, result=AttemptResult.APPLIED)
        records.add_end(end)
    assert [(end.number, end.commit) for end in records.ends(2)] == [(3, "c"), (2, "b")]


def test_an_attempt_that_a_killed_run_had_written_is_not_written_twice(records: SourceRecords) -> None:
    end = CommitEnd(number=0, commit="a", started_at=NOW, ended_at=NOW, result=AttemptResult.APPLIED)
    assert records.add_end(end) == records.add_end(end.model_copy(update={"by": "another process"}))
    assert len(records.ends()) == 1
