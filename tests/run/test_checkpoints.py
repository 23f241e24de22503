"""What a job leaves in its folder of checkpoints, whatever it is called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sagespec.events import EventKind
from tests.fakes import TRAINS
from tests.fakes.engine import Link
from tests.fakes.specs import PROJECT
from tests.place import Place, manifest_of

KEPT = f"{PROJECT}/jobs/model/1/checkpoints/"


@pytest.mark.parametrize("name", ["a\nb", "\x7f", "\udcff", "deep/tab\t"])
def test_a_name_that_no_store_can_have_is_left_out_and_said_once(place: Place, name: str) -> None:
    names = [name, name + "2", "good", "a\\\\b"]
    files = TRAINS.files | {f"checkpoints/{name}": b"x" for name in names}  # type: ignore[operator]
    place.engine.behave("job/model@1", replace(TRAINS, files=files))
    assert place.converge(place.job(1, checkpoints=True)).ok
    assert "model" in manifest_of(place).artifacts
    assert [key for key in place.objects if key.startswith(KEPT)] == [KEPT + "a\\\\b", KEPT + "good"]
    notes = [event.text for event in place.events if event.kind is EventKind.NOTE]
    assert [note for note in notes if "is left out" in note] == notes
    assert len(notes) == 1


def test_a_file_that_has_become_a_folder_is_stored_as_one(place: Place) -> None:
    kept = place.folder / "kept"
    kept.mkdir()
    (kept / "state").write_text("of an earlier attempt")
    spec = place.job(1, checkpoints={"source": str(kept)})

    def becomes_another(text: str) -> None:
        if text.startswith("start "):
            (container,) = place.engine.all.values()
            del container.files["checkpoints/state"]
            container.files["checkpoints/state/0"] = b"new"

    place.faults.fail = becomes_another
    assert place.converge(spec).ok
    assert (kept / "state" / "0").read_bytes() == b"new"


def test_a_link_is_stored_as_what_it_leads_to_and_one_that_leads_astray_is_said_once(place: Place) -> None:
    made = {
        "epoch=2.ckpt": b"2",
        "last.ckpt": Link(b"epoch=2.ckpt"),
        "run/w": b"w",
        "now": Link(b"run"),
        "l": Link(b"x"),
    }
    files = TRAINS.files | {f"checkpoints/{name}": content for name, content in made.items()}  # type: ignore[operator]
    place.engine.behave("job/model@1", replace(TRAINS, files=files))
    assert place.converge(place.job(1, checkpoints=True)).ok
    kept = {key.removeprefix(KEPT): content for key, content in place.objects.items() if key.startswith(KEPT)}
    assert kept == {"epoch=2.ckpt": b"2", "last.ckpt": b"2", "run/w": b"w", "now/w": b"w"}
    notes = [event.text for event in place.events if event.kind is EventKind.NOTE]
    assert notes == ["left out of the checkpoints of algo-1: 'l', a link to 'x', which is not there"]
