"""Which objects a job was trained with is kept beside its manifest, and compared with what is there now."""

from __future__ import annotations

import pytest

from sagespec.records.listings import listing, write_listing
from sagespec.records.records import Records
from sagespec.state.addresses import job_address
from sagespec.state.data import DataObject, data_change
from tests.fakes.specs import PROJECT, desired_from
from tests.fakes.store import FakeStore
from tests.fakes.world import SimulatedWorld

JOB = job_address("churn", 1)
OBJECTS = (DataObject("a b/ü.csv", 3, "e1"), DataObject("b.csv", 2**40, "e2"))


def test_a_listing_is_read_as_it_was_written() -> None:
    records = Records(FakeStore({}), PROJECT)
    assert listing(records, JOB, "train") is None
    write_listing(records, JOB, "train", OBJECTS)
    assert listing(records, JOB, "train") == OBJECTS
    write_listing(records, JOB, "empty", ())
    assert listing(records, JOB, "empty") == ()


@pytest.mark.parametrize("damaged", [b"", b"no gzip"])
def test_a_damaged_listing_counts_as_missing(damaged: bytes) -> None:
    records = Records(FakeStore({f"{PROJECT}/jobs/churn/1/inputs/train.jsonl.gz": damaged}), PROJECT)
    assert listing(records, JOB, "train") is None


def test_a_training_leaves_its_listing_and_is_still_the_same_job() -> None:
    world = SimulatedWorld()
    world.settle(desired_from({"kind": "TrainingJob", "name": "churn", "version": 1}))
    (kept,) = listing(world.records, JOB, "train") or ()
    assert (kept.key, kept.size) == ("train.csv", 4)
    assert world.records.all_jobs() == (JOB,)


def test_the_difference_names_what_came_went_and_changed() -> None:
    now = (DataObject("b.csv", 2**40 + 2**30, "e3"), DataObject("c.csv", 3, "e1"))
    change = data_change("train", OBJECTS, now)
    assert str(change) == "channel train: 2 -> 2 objects, 1 new, 1 changed, 1 gone, +1.0 GiB"
    assert (change.new, change.changed, change.gone) == (("c.csv",), ("b.csv",), ("a b/ü.csv",))
    assert str(data_change("train", now, ())) == "channel train: 2 -> 0 objects, 0 new, 0 changed, 2 gone, -1.0 TiB"
