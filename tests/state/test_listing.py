"""The files that differ are named, also where only their folders are kept."""

from __future__ import annotations

from sagespec.state.listing import MOST_KEPT, MOST_NAMED, differences, kept


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
