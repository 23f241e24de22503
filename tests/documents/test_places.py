"""Which file a document goes to."""

from __future__ import annotations

from pathlib import Path

from sagespec.documents.emit import emit
from sagespec.documents.files import MARK
from sagespec.documents.places import file_for, find, with_version


def job(name: str, version: int) -> str:
    return emit({"kind": "TrainingJob", "name": name, "version": version}, heading=[f"{MARK[2:]} for a test."])


def test_job_and_endpoint_of_one_name_have_files_of_their_own(tmp_path: Path) -> None:
    assert file_for(tmp_path, "TrainingJob", "churn") == tmp_path / "churn.yaml"
    assert file_for(tmp_path, "Endpoint", "churn") == tmp_path / "endpoint-churn.yaml"
    assert find(tmp_path, "Endpoint", "churn") is None


def test_its_own_file_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "churn.yaml").write_text(job("churn", 1))
    assert file_for(tmp_path, "TrainingJob", "churn") == tmp_path / "churn.yaml"


def test_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "churn.yaml").write_text("kind: TrainingJob\nname: churn\nversion: 1\n")
    (tmp_path / "Churn-2.yaml").write_text(job("churn", 1))
    assert file_for(tmp_path, "TrainingJob", "churn") == tmp_path / "churn-3.yaml"


def test_file_of_another_document_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "endpoint-churn.yaml").write_text(job("endpoint-churn", 1))
    assert file_for(tmp_path, "Endpoint", "churn") == tmp_path / "endpoint-churn-2.yaml"
    assert file_for(tmp_path, "TrainingJob", "endpoint-churn") == tmp_path / "endpoint-churn.yaml"


def test_file_that_somebody_added_a_document_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "churn.yaml").write_text(job("churn", 1) + "---\nkind: Endpoint\nname: churn\n")
    assert file_for(tmp_path, "TrainingJob", "churn") == tmp_path / "churn-2.yaml"


def test_earlier_versions_stay_while_they_are_needed() -> None:
    before = with_version(job("churn", 1), job("churn", 2), lambda _: True)
    assert before == job("churn", 2) + "---\n" + job("churn", 1)
    assert with_version(before, job("churn", 3), lambda version: version == 1) == (
        job("churn", 3) + "---\n" + job("churn", 1)
    )
    assert with_version(before, job("churn", 3), lambda _: False) == job("churn", 3)


def test_what_cannot_be_told_stays() -> None:
    mine = "kind: TrainingJob\nname: churn\n# to be said\n"
    assert with_version(mine, job("churn", 1), lambda _: False) == job("churn", 1) + "---\n" + mine


def test_document_that_is_written_again_is_there_once() -> None:
    assert with_version(job("churn", 1), job("churn", 1), lambda _: True) == job("churn", 1)
