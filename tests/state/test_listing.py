"""The files that differ are named, also where only their folders are kept."""

from __future__ import annotations

from datetime import UTC, datetime

from sagespec.state.listing import MOST_KEPT, MOST_NAMED, differences, kept
from sagespec.state.manifest import AttemptsRecord


def test_each_file_that_differs_is_named_up_to_a_number() -> None:
    before = {f"{n:02}.py": "1" for n in range(MOST_NAMED + 2)}
    assert differences(before, {}) == "", "not known"
    assert differences(before, before) == ""
    said = differences(before, {"x\n.py": "1"})
    assert said.startswith("00.py removed, 01.py removed")
    assert said.endswith(", and 3 more")


def test_of_many_files_the_folders_are_kept_and_named() -> None:
    many = {f"common/{n}.py": "1" for n in range(MOST_KEPT)} | {"train.py": "1"}
    listing = kept(many)
    assert set(listing) == {"common/", "train.py"}
    assert differences(listing, {**many, "common/0.py": "2"}) == "common/ changed"
    assert differences(listing, many) == ""
    assert differences({**many, "train.py": "2"}, listing) == "train.py changed"


def test_where_even_the_folders_are_too_many_nothing_is_kept() -> None:
    assert kept({f"{n}/a.py": "1" for n in range(MOST_KEPT + 1)}) == {}


def test_a_name_that_is_no_utf_8_is_the_same_when_it_is_read_again() -> None:
    now = kept({"caf\udce9.py": "1"})
    record = AttemptsRecord(key="1-a", wanted_at=datetime.now(UTC), files={"code": dict(now)})
    before = AttemptsRecord.model_validate_json(record.model_dump_json())
    assert differences(before.files["code"], now) == ""
    assert "changed" in differences(before.files["code"], kept({"caf\udce9.py": "2"}))
