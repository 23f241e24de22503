"""Data of a trained job that is another now: told, and no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from sagespec.inputs.channels import contents_of
from sagespec.verbs import edited
from sagespec.verbs.edited import DataNow, notes_on_data
from tests.place import Place

SAID = "the data of channel train changed after it was trained: a new version trains with it"


def said_after(place: Place, edit: Callable[[Path], object]) -> str:
    assert place.converge(place.job(1)).ok
    edit(place.folder / "train.csv")
    desired, observed = place.look(place.world(), place.job(1))
    text = DataNow(place.folder).edited(desired.jobs[0], observed)
    assert notes_on_data(desired, observed, place.folder) == ((f"job/model@1: {text}",) if text else ())
    assert not place.converge(place.job(1)).outcomes
    return text


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda _file: None, ""),
        (lambda file: file.touch(), ""),
        (lambda file: file.write_text("1,3\n"), SAID),
        (lambda file: file.write_text("1,2\n3,4\n"), SAID),
        (lambda file: file.unlink(), ""),
    ],
    ids=["as it was", "touched", "same size", "another size", "gone"],
)
def test_what_is_said_of_edited_data(tmp_path: Path, edit: Callable[[Path], object], said: str) -> None:
    assert said_after(Place(tmp_path), edit) == said


def test_much_data_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edited, "MOST_BYTES_READ", 1)
    assert said_after(Place(tmp_path), lambda file: file.write_text("1,3\n")) == ""


def test_data_of_many_versions_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    jobs = [place.job(version) for version in (1, 2, 3)]
    assert place.converge(*jobs).ok
    (place.folder / "train.csv").write_text("1,3\n")
    look = Mock(wraps=contents_of)
    monkeypatch.setattr(edited, "contents_of", look)
    desired, observed = place.look(place.world(), *jobs)
    assert len(notes_on_data(desired, observed, place.folder)) == 3
    assert look.call_count == 1
