"""Data that is another now: of a trained job told, and no more; of a failed one seen, so that it runs again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from sagespec.inputs.channels import contents_of, input_of
from sagespec.runtimes.docker.images import Images
from sagespec.state.desired import DesiredJob
from sagespec.state.observed import EDITED, Observed
from sagespec.state.programs import Image
from sagespec.verbs import edited
from sagespec.verbs.edited import DataNow, Fingerprints
from sagespec.verbs.stale import stale_job
from tests.fakes import FakeRuntime
from tests.fakes.engine import Behaviour
from tests.place import Place

SAID = "the data of channel train changed after it was trained: a new version trains with it"


def said_after(place: Place, edit: Callable[[Path], object]) -> str:
    assert place.converge(place.job(1)).ok
    edit(place.folder / "train.csv")
    desired, observed = place.look(place.world(), place.job(1))
    text = said_of(place, desired.jobs[0], observed, DataNow(place.folder))
    assert not place.converge(place.job(1)).outcomes
    return text


def said_of(place: Place, job: DesiredJob, observed: Observed, data: DataNow) -> str:
    found = stale_job(job, observed.manifests.get(job.address), data, place.world().runtime)
    return found.text if found else ""


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


@pytest.mark.parametrize(
    ("edit", "is_edited"),
    [
        (lambda _file: None, False),
        (lambda file: file.touch(), False),
        (lambda file: file.write_text("1,3\n"), True),
        (lambda file: file.write_text("1,2\n3,4\n"), True),
        (lambda file: _replaced_by_an_older(file, "1,3\n"), True),
        (lambda file: file.unlink(), False),
    ],
    ids=["as it was", "touched", "same size", "another size", "an older file in its place", "gone"],
)
def test_which_data_of_a_failed_job_is_another(
    tmp_path: Path, edit: Callable[[Path], object], *, is_edited: bool
) -> None:
    assert failed_and_edited(Place(tmp_path), edit).keys() == ({"train"} if is_edited else set())


@pytest.mark.parametrize(("edit", "said"), [(lambda _file: None, {}), (Path.touch, {"train": EDITED})])
def test_much_data_of_a_failed_job_is_told_by_its_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Callable[[Path], object], said: dict[str, str]
) -> None:
    monkeypatch.setattr(edited, "MOST_BYTES_READ_FAILED", 1)
    assert failed_and_edited(Place(tmp_path), edit) == said


def failed_and_edited(place: Place, edit: Callable[[Path], object]) -> Mapping[str, str]:
    place.engine.behave("job/model@1", Behaviour(exit_code=1))
    assert not place.converge(place.job(1)).ok
    edit(place.folder / "train.csv")
    desired, observed = place.look(place.world(), place.job(1))
    return DataNow(place.folder).edits(desired.jobs[0], observed)


def _replaced_by_an_older(file: Path, text: str) -> None:
    other = file.with_name("other.csv")
    other.write_text(text)
    os.utime(other, (1, 1))
    other.replace(file)


def test_a_file_that_is_as_it_was_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, known = Place(tmp_path), Fingerprints()
    place.engine.behave("job/model@1", Behaviour(exit_code=1))
    place.converge(place.job(1))
    (place.folder / "train.csv").write_text("1,3\n")
    read = Mock(wraps=input_of)
    monkeypatch.setattr(edited, "input_of", read)
    desired, observed = place.look(place.world(), place.job(1))
    first, second = (DataNow(place.folder, known).edits(desired.jobs[0], observed) for _ in range(2))
    assert first == second != {}
    assert read.call_count == 1


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
    data = DataNow(place.folder)
    assert [said_of(place, job, observed, data) for job in desired.jobs] == [SAID] * 3
    assert look.call_count == 1


def test_a_job_whose_image_means_another_one_now_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    image = place.job(1, image="acme/trainer:1", metrics=[])
    assert place.converge(image).ok
    desired, observed = place.look(place.world(), image)
    assert said_of(place, desired.jobs[0], observed, DataNow(tmp_path)) == ""
    monkeypatch.setattr(FakeRuntime, "digests_of", lambda _self, _program: frozenset({"sha256:another"}))
    said = "the image acme/trainer:1 moved on after it was trained: a new version trains with it"
    assert said_of(place, desired.jobs[0], observed, DataNow(tmp_path)) == said


def test_an_image_that_was_pushed_after_the_training_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    image = place.job(1, image="acme/trainer:1", metrics=[])
    assert place.converge(image).ok
    desired, observed = place.look(place.world(), image)
    (trained,) = observed.manifests[desired.jobs[0].address].images.values()
    monkeypatch.setattr(FakeRuntime, "digests_of", lambda _self, _program: frozenset({"sha256:pushed", trained}))
    assert said_of(place, desired.jobs[0], observed, DataNow(tmp_path)) == ""


def test_an_image_is_known_by_its_id_and_by_each_registrys_digest(tmp_path: Path) -> None:
    image = {"Id": "sha256:1", "RepoDigests": ["acme/trainer@sha256:2", "other/trainer@sha256:3"]}
    engine = Mock(inspect_image=lambda _reference: image)
    assert Images(engine, tmp_path, tmp_path).digests(Image("acme/trainer:1")) == {"sha256:1", "sha256:2", "sha256:3"}


def test_the_engine_is_asked_once_for_an_image_and_only_where_it_is_known_what_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    jobs = [place.job(version, image="acme/trainer:1", metrics=[]) for version in (1, 2, 3)]
    assert place.converge(*jobs).ok
    desired, observed = place.look(place.world(), *jobs)
    ask = Mock(return_value=frozenset({"sha256:another"}))
    monkeypatch.setattr(FakeRuntime, "digests_of", ask)
    data = DataNow(tmp_path)
    assert all(said_of(place, job, observed, data) for job in desired.jobs)
    assert ask.call_count == 1
    older = {about: manifest.model_copy(update={"images": {}}) for about, manifest in observed.manifests.items()}
    assert not said_of(place, desired.jobs[0], replace(observed, manifests=older), DataNow(tmp_path))
    assert ask.call_count == 1
