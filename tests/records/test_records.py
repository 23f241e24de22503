"""What the store keeps of jobs and endpoints: written once where it must be, read with few calls, never half."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.records.records import Records
from sagespec.run.stops import ask_to_stop
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import Artifact, JobStatus, Manifest, StopRequest
from sagespec.state.revision import EndpointRecord, Revision, RevisionStatus
from sagespec.stores.directory import DirectoryStore
from sagespec.stores.protocol import Conflict, Entry

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class CountingStore(DirectoryStore):
    """A folder that counts listings and the objects read."""

    listings = 0
    reads = 0

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        self.listings += 1
        return super().entries(prefix)

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        wanted = list(keys)
        self.reads += len(wanted)
        return super().read_many(wanted)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path / "store")


@pytest.fixture
def records(store: CountingStore) -> Records:
    return Records(store, "shop")


def _manifest(
    name: str = "churn", version: int = 1, status: JobStatus = JobStatus.COMPLETED, reason: str = ""
) -> Manifest:
    return Manifest(
        project="shop",
        name=name,
        version=version,
        key="1-abc",
        key_fields={"hyperparameters.num_round": 100},
        status=status,
        reason=reason,
        spec={"name": name},
        artifacts={"model": Artifact(key="model.tar.gz", size=1, sha256="00")},
        metrics={"auc": 0.9},
        started_at=NOON,
        ended_at=NOON,
    )


def _revision(
    number: int, status: RevisionStatus = RevisionStatus.LIVE, endpoint: str = "churn", hash: str = "1-a"
) -> Revision:
    return Revision(endpoint=endpoint, number=number, hash=hash, status=status, asked=EndpointRecord(), started_at=NOON)


LIVE, FAILED, ROLLED_BACK = (
    RevisionStatus.LIVE,
    RevisionStatus.FAILED,
    RevisionStatus.ROLLED_BACK,
)


# -- jobs


def test_files_of_a_job_lie_where_the_design_says(records: Records) -> None:
    address = job_address("churn", 3)

    assert records.job_key(address, "model.tar.gz") == "shop/jobs/churn/3/model.tar.gz"
    assert records.job_key(address, "logs/algo-1.log") == "shop/jobs/churn/3/logs/algo-1.log"


def test_a_manifest_is_read_back_as_it_was_written(records: Records) -> None:
    records.write_manifest(_manifest())

    found = records.manifests([job_address("churn", 1), job_address("churn", 2)])

    assert found == {job_address("churn", 1): _manifest()}


def test_jobs_are_those_with_a_manifest(store: CountingStore, records: Records) -> None:
    records.write_manifest(_manifest("churn", 10))
    records.write_manifest(_manifest("churn", 2, JobStatus.FAILED))
    records.write_manifest(_manifest("fraud", 1))
    store.write("shop/jobs/half/1/model.tar.gz", b"no manifest: not committed")
    Records(store, "bank").write_manifest(_manifest("other"))

    assert records.all_jobs() == (job_address("churn", 2), job_address("churn", 10), job_address("fraud", 1))
    assert store.reads == 0


def test_a_completed_job_is_never_written_over(records: Records) -> None:
    records.write_manifest(_manifest())

    for status in JobStatus:
        with pytest.raises(Conflict, match=r"job/churn@1 is already completed in file:///"):
            records.write_manifest(_manifest(status=status, reason="again"))
    assert records.manifests([job_address("churn", 1)])[job_address("churn", 1)].reason == ""


def test_the_same_manifest_may_be_written_again(records: Records) -> None:
    records.write_manifest(_manifest())
    records.write_manifest(_manifest())


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.STOPPED])
def test_a_job_that_did_not_complete_may_be_tried_again(records: Records, status: JobStatus) -> None:
    records.write_manifest(_manifest(status=status, reason="out of memory"))

    records.write_manifest(_manifest())

    assert records.manifests([job_address("churn", 1)])[job_address("churn", 1)].status is JobStatus.COMPLETED


# -- endpoints


def test_revisions_end_in_the_newest_and_reach_back_to_the_newest_live_one(records: Records) -> None:
    for number, status in enumerate([LIVE, FAILED, LIVE, FAILED, FAILED, ROLLED_BACK], start=1):
        records.write_revision(_revision(number, status))

    found = records.revisions()["churn"]

    assert found[-1] == _revision(6, ROLLED_BACK)
    assert [revision.number for revision in found] == sorted(revision.number for revision in found)
    assert _revision(3) in found


def test_without_a_live_one_all_are_given(records: Records) -> None:
    for number in range(1, 13):
        records.write_revision(_revision(number, FAILED))

    assert [revision.number for revision in records.revisions()["churn"]] == list(range(1, 13))


def test_where_the_newest_is_live_nothing_older_is_read(store: CountingStore, records: Records) -> None:
    for name in ("a", "b", "c"):
        for number in range(1, 6):
            records.write_revision(_revision(number, endpoint=name))

    found = records.revisions()

    assert {name: [revision.number for revision in each] for name, each in found.items()} == {
        "a": [5],
        "b": [5],
        "c": [5],
    }
    assert (store.listings, store.reads) == (1, 3)


def test_revisions_of_named_endpoints_only(records: Records) -> None:
    for name in ("churn", "churn-eu", "fraud"):
        records.write_revision(_revision(1, endpoint=name))

    assert sorted(records.revisions(["churn"])) == ["churn"]
    assert sorted(records.revisions(["churn", "fraud", "none"])) == ["churn", "fraud"]
    assert records.revisions([]) == {}
    assert records.endpoint_names() == ("churn", "churn-eu", "fraud")


def test_history_is_all_of_it_by_number(records: Records) -> None:
    for number in range(1, 12):
        records.write_revision(_revision(number))

    assert [revision.number for revision in records.history("churn")] == list(range(1, 12))
    assert records.history("none") == ()


def test_what_came_of_a_revision_takes_the_place_of_what_was_asked(records: Records) -> None:
    records.write_revision(_revision(1, ROLLED_BACK))

    records.write_revision(_revision(1, LIVE))
    records.write_revision(_revision(1, LIVE))

    assert records.history("churn") == (_revision(1, LIVE),)


def test_a_number_taken_by_another_attempt_is_a_conflict(records: Records) -> None:
    records.write_revision(_revision(1, hash="1-mine"))

    with pytest.raises(Conflict, match="endpoint/churn has another revision 1"):
        records.write_revision(_revision(1, hash="1-other"))
    assert records.history("churn")[0].hash == "1-mine"


def test_a_thousand_endpoints_are_read_soon(records: Records) -> None:
    for number in range(1000):
        records.write_revision(_revision(1, endpoint=f"e{number}"))
    begun = time.process_time()

    assert len(records.revisions()) == 1000

    assert time.process_time() - begun < 1.5  # 0.06 s of CPU


# -- what others left


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "EOF while parsing"),
        (b"{\x00", "shop/jobs/churn/1/manifest.json is damaged"),
        (b"[]", "is damaged"),
        (b'{"format": 1}', "project: Field required"),
        (b"\xff\xfe", "is damaged"),
    ],
)
def test_a_damaged_record_is_named_with_the_way_out(
    store: CountingStore, records: Records, content: bytes, said: str
) -> None:
    store.write("shop/jobs/churn/1/manifest.json", content)

    with pytest.raises(WorldError) as caught:
        records.manifests([Address("job", "churn", 1)])

    assert said in str(caught.value)
    assert "fix  restore it from a backup, or delete it: the job then counts as never having run" in str(caught.value)


def test_a_record_of_a_newer_release_is_refused_and_kept(store: CountingStore, records: Records) -> None:
    newer = json.dumps({**json.loads(_manifest(status=JobStatus.FAILED).model_dump_json()), "format": 2}).encode()
    store.write("shop/jobs/churn/1/manifest.json", newer)

    for action in (
        lambda: records.manifests([job_address("churn", 1)]),
        lambda: records.write_manifest(_manifest()),
    ):
        with pytest.raises(WorldError, match="has format 2, and this sagespec knows formats up to 1"):
            action()
    assert store.read_many(["shop/jobs/churn/1/manifest.json"]) == {"shop/jobs/churn/1/manifest.json": newer}


def test_fields_a_newer_release_added_survive_a_rewrite(store: CountingStore, records: Records) -> None:
    added = {**json.loads(_revision(1, ROLLED_BACK).model_dump_json()), "approved_by": "ada"}
    store.write("shop/endpoints/churn/revisions/1.json", json.dumps(added).encode())

    records.write_revision(records.history("churn")[0].model_copy(update={"status": LIVE}))

    kept = store.read_many(["shop/endpoints/churn/revisions/1.json"])["shop/endpoints/churn/revisions/1.json"]
    assert json.loads(kept)["approved_by"] == "ada"


def test_strange_files_between_the_records_are_passed_over(store: CountingStore, records: Records) -> None:
    records.write_manifest(_manifest())
    records.write_revision(_revision(1))
    for key in (
        "shop/jobs/.DS_Store",
        "shop/jobs/churn/latest/manifest.json",
        "shop/jobs/churn/1/logs/manifest.json",
        "shop/endpoints/churn/revisions/1.json.bak",
        "shop/endpoints/churn/notes.txt",
    ):
        store.write(key, b"?")

    assert records.all_jobs() == (job_address("churn", 1),)
    assert records.history("churn") == (_revision(1),)


STOP, STOP_OF_AN_EARLIER_SAGESPEC = "shop/active/stops/churn/1.json", "shop/jobs/churn/1/stop.json"


@pytest.mark.parametrize("key", [STOP, STOP_OF_AN_EARLIER_SAGESPEC])
def test_a_request_to_stop_is_passed_between_one_release_and_the_next(
    store: CountingStore, records: Records, key: str
) -> None:
    job, request = job_address("churn", 1), StopRequest(by="ada on build-7", at=NOON)
    store.write(key, request.model_dump_json().encode())
    assert records.stop_request(job) == request

    newer = request.model_copy(update={"at": NOON + timedelta(seconds=1)})
    store.write(STOP if key != STOP else STOP_OF_AN_EARLIER_SAGESPEC, newer.model_dump_json().encode())
    assert records.stop_request(job) == newer, "the other one was answered long ago"

    records.forget(job)
    assert store.entries() == ()
    assert records.stop_request(job) is None


@pytest.mark.parametrize("pending", [None, STOP, STOP_OF_AN_EARLIER_SAGESPEC])
def test_a_stop_is_seen_by_followers_of_both_releases(
    store: CountingStore, records: Records, pending: str | None
) -> None:
    if pending:
        store.write(pending, StopRequest(by="bob on laptop", at=NOON).model_dump_json().encode())
    request = ask_to_stop(records, job_address("churn", 1), "ada on build-7", None)
    assert request.by == ("bob on laptop" if pending else "ada on build-7")
    found = store.read_many([STOP, STOP_OF_AN_EARLIER_SAGESPEC])
    assert [StopRequest.model_validate_json(data) for data in found.values()] == [request, request]
