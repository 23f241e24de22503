"""gc deletes only what nothing can need: mark, a week, sweep; killed anywhere, it continues; what is swept is refused.

The store is a real one, on the disk; its records are written as runs write them. No engine is asked.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sagespec.errors import SpecError, WorldError
from sagespec.events import silent
from sagespec.parts import Parts
from sagespec.records.records import Records
from sagespec.records.sweeping import Sweeping
from sagespec.show.figures import when_text
from sagespec.show.status import write_status
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import Artifact, JobStatus, Manifest
from sagespec.state.revision import EndpointRecord, ModelRecord, Revision, RevisionStatus, VariantRecord, live_revision
from sagespec.state.rollout import Ending, RolloutEnd
from sagespec.state.sweeping import Marks
from sagespec.stores.directory import DirectoryStore
from sagespec.stores.protocol import Conflict
from sagespec.verbs import gc
from sagespec.verbs.gc import Collected, Step
from sagespec.verbs.refused_models import jobs_of
from sagespec.verbs.rollback import rollback_target
from tests.contracts.servers import s3_server
from tests.dashboard.rows import status_of
from tests.show.screens import a_screen, out

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=90)
HEAD = "apiVersion: sagespec/v1\n"
JOB = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: {version}
algorithm: xgboost
hyperparameters: {{objective: "reg:squarederror", num_round: 1}}
channels: {{train: s3://acme/train/}}
---
"""


def model_bytes(version: int) -> bytes:
    return f"model {version}".encode()


class Stored:
    """A project on the disk whose store is filled by hand."""

    def __init__(self, root: Path, store: str = "file://.sagespec/store") -> None:
        self.root = root
        for folder in ("specs", "environments"):
            (root / folder).mkdir(parents=True)
        (root / "sagespec.yaml").write_text(f"{HEAD}kind: Project\nname: acme\nstore: {store}\n")
        self.parts = Parts(root, environment="")
        self.records = self.parts.records

    def specs(self, text: str, file: str = "specs/all.yaml") -> None:
        (self.root / file).write_text(text)

    def train(self, version: int, *, ended: datetime = LONG_AGO, protect: bool = False) -> Address:
        job, content = job_address("churn", version), model_bytes(version)
        self.records.store.write(self.records.job_key(job, "model.tar.gz"), content)
        for file in ("checkpoints/algo-1/a", "logs/algo-1.log", "inputs/train.jsonl.gz"):
            self.records.store.write(self.records.job_key(job, file), b"x")
        model = Artifact(key="model.tar.gz", size=len(content), sha256=hashlib.sha256(content).hexdigest())
        self.records.write_manifest(
            Manifest(
                project="acme",
                name="churn",
                version=version,
                key=f"1-{version}",
                key_fields={},
                status=JobStatus.COMPLETED,
                spec={},
                artifacts={"model": model},
                started_at=ended,
                ended_at=ended,
                protect=protect,
            )
        )
        return job

    def revision(
        self, number: int, version: int, status: RevisionStatus = RevisionStatus.LIVE, *, name: str = "e"
    ) -> Revision:
        model = ModelRecord(text=f"churn@{version}", job=f"job/churn@{version}", identity=f"{version}")
        return Revision(
            endpoint=name,
            number=number,
            hash=f"1-{version}",
            status=status,
            asked=EndpointRecord(variants=(VariantRecord(name="only", model=model),)),
            started_at=LONG_AGO,
            ended_at=LONG_AGO,
        )

    def serve(self, number: int, version: int) -> None:
        self.records.write_revision(self.revision(number, version))

    def gc(self, step: Step) -> Collected:
        return gc.collect(self.parts, step, report=silent)

    def swept(self, job: Address) -> datetime | None:
        return self.records.manifests([job])[job].swept_at

    def a_week_passes(self) -> None:
        """What was marked was marked eight days earlier."""
        sweeping = Sweeping(self.records)
        marks, etag = sweeping.marks()
        earlier = timedelta(days=8)
        jobs = {job: mark.model_copy(update={"since": mark.since - earlier}) for job, mark in marks.jobs.items()}
        sweeping.write_marks(marks.model_copy(update={"jobs": jobs}), etag)

    def models(self, last: int) -> set[int]:
        keys = {n: self.records.job_key(job_address("churn", n), "model.tar.gz") for n in range(1, last + 1)}
        return {version for version, key in keys.items() if self.records.store.read(key) is not None}

    def files(self) -> dict[str, bytes]:
        """All but the lock."""
        folder = Path(self.parts.store.uri.removeprefix("file://")) / "acme"
        found = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
        return {name: file.read_bytes() for name, file in found.items() if name != "lock.json"}


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    made = Stored(tmp_path / "project")
    yield made
    made.parts.close()


def states(found: Collected) -> dict[int, str]:
    return {one.job.version: one.state for one in found.jobs}


def test_nothing_is_deleted_before_a_week_has_passed_and_what_is_named_meanwhile_stays(stored: Stored) -> None:
    for version in (1, 2, 3):
        stored.train(version)
    stored.specs(JOB.format(version=3))
    before = stored.files()
    assert states(stored.gc("look")) == {1: "unnamed", 2: "unnamed", 3: "kept"}
    assert stored.files() == before, "a look changes nothing"
    assert states(stored.gc("sweep")) == {1: "unnamed", 2: "unnamed", 3: "kept"}
    assert states(stored.gc("mark")) == {1: "marked", 2: "marked", 3: "kept"}
    assert states(stored.gc("sweep")) == {1: "marked", 2: "marked", 3: "kept"}
    stored.a_week_passes()
    marked = Sweeping(stored.records).marks()[0]
    assert states(stored.gc("mark")) == {1: "due", 2: "due", 3: "kept"}, "marked again, it has waited as long"
    assert Sweeping(stored.records).marks()[0] == marked
    stored.specs(JOB.format(version=3) + JOB.format(version=2))
    assert states(stored.gc("sweep")) == {1: "swept", 2: "kept", 3: "kept"}
    assert stored.models(3) == {2, 3}
    assert Sweeping(stored.records).marks()[0].jobs == {}, "named once, it has to wait again"


def test_manifest_logs_and_listings_stay_and_the_version_still_counts_as_trained(stored: Stored) -> None:
    job = stored.train(1)
    stored.gc("mark")
    stored.a_week_passes()
    before = stored.files()
    assert [(one.state, one.bytes) for one in stored.gc("sweep").jobs] == [("swept", len(model_bytes(1)) + 1)]
    after = stored.files()
    gone = {name.removeprefix("jobs/churn/1/") for name in before.keys() - after.keys()}
    assert gone == {"model.tar.gz", "checkpoints/algo-1/a"}
    assert stored.records.manifests([job])[job].status is JobStatus.COMPLETED
    assert stored.swept(job) is not None
    for step in ("look", "sweep", "mark"):
        found = stored.gc(step)
        assert found.jobs == ()
        assert [(one.job, one.state, one.since) for one in found.earlier] == [(job, "swept", stored.swept(job))]
        assert found.as_json()["freed_bytes"] == 0
    assert stored.files() == after


@pytest.mark.s3
def test_a_bucket_is_swept_as_a_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server("moto", folder=tmp_path / "s3") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        made = Stored(tmp_path / "project", f"{server.uri}/models")
        job = made.train(1)
        made.train(2)
        made.serve(1, 2)
        assert states(made.gc("mark")) == {1: "marked", 2: "kept"}
        made.a_week_passes()
        swept = made.gc("sweep")
        assert states(swept) == {1: "swept", 2: "kept"}
        assert "lifecycle rule" in swept.notes[0]
        assert made.models(2) == {2}
        copy = tmp_path / "copy.tar.gz"
        copy.write_bytes(model_bytes(1))
        gc.restore(made.parts, job, copy, report=silent)
        assert made.models(2) == {1, 2}
        made.parts.close()


def test_a_manifest_that_was_never_swept_has_the_bytes_of_earlier_releases(stored: Stored) -> None:
    found = stored.records.store.read(stored.records.job_key(stored.train(1), "manifest.json"))
    assert found is not None
    assert "swept_at" not in json.loads(found[0])


def test_every_reason_keeps(stored: Stored) -> None:
    reasons = {
        1: "named by the specs",
        2: "named by the specs of prod",
        3: "champion in the specs",
        4: "protected by the specs",
        5: "protect: true when it was trained",
        6: "which is not long ago",
        7: "endpoint/e of acme serves it (revision 3)",
        8: "endpoint/e of acme can go back to it (revision 2)",
        9: "endpoint/e of acme-other serves it (revision 1)",
        10: "named by the specs",  # whose data it is
    }
    for version in range(1, 12):
        ended = NOW - timedelta(days=3) if version == 6 else LONG_AGO
        stored.train(version, ended=ended, protect=version == 5)
    registry = f"{HEAD}kind: Model\nname: churn\naliases: {{champion: 3}}\nprotect: [4]\n---\n"
    reads = JOB.format(version=1).replace("s3://acme/train/", "s3://store/acme/jobs/churn/10/output.tar.gz")
    stored.specs(reads + registry)
    stored.specs(f"{HEAD}kind: Environment\nname: prod\nspecs: [specs, prod]\n", "environments/prod.yaml")
    (stored.root / "prod").mkdir()
    stored.specs(JOB.format(version=2), "prod/more.yaml")
    stored.serve(2, 8)
    stored.serve(3, 7)
    Records(stored.records.store, "acme-other").write_revision(stored.revision(1, 9))
    found = {one.job.version: (one.state, one.reasons) for one in stored.gc("mark").jobs}
    assert found[11] == ("marked", ())
    for version, why in reasons.items():
        state, said = found[version]
        assert state == "kept", version
        assert any(why in one for one in said), (version, said)


def test_what_is_named_by_its_place_in_the_store_is_kept(stored: Stored) -> None:
    for version in range(1, 7):
        stored.train(version)
    serves = f"{HEAD}kind: Endpoint\nname: e\nvariants:\n  - {{name: only, model: PLACE, algorithm: xgboost}}\n"
    continues = JOB.format(version=9) + "checkpoints: {source: s3://s/acme/jobs/churn/3/checkpoints/}\n---\n"
    stored.specs(
        continues.replace("---\ncheckpoints", "checkpoints")
        + serves.replace("PLACE", "s3://s/acme/jobs/churn/1/model.tar.gz")
    )
    live = stored.revision(1, 99)
    model = ModelRecord(text="m", identity="m", uri=".sagespec/store/acme/jobs/churn/2/model.tar.gz")
    asked = EndpointRecord(variants=(VariantRecord(name="only", model=model),))
    stored.records.write_revision(live.model_copy(update={"asked": asked}))
    sdk = {"job": ("training-jobs", "xgb-2026", {"address": "job/churn@4"}), "model": ("models", "m", {})}
    for folder, name, fields in sdk.values():
        request = {"PrimaryContainer": {"ModelDataUrl": "s3://mine/out/xgb-2026/output/model.tar.gz"}}
        kept = json.dumps({"request": request, "created_at": 1.0, "modified_at": 1.0, **fields}).encode()
        stored.records.store.write(f"acme/sagemaker/{folder}/{name}.json", kept)
    several = {"request": {"Containers": [{"ModelDataUrl": "s3://s/acme/jobs/churn/5/model.tar.gz"}]}}
    stored.records.store.write("acme/sagemaker/models/n.json", json.dumps(several).encode())
    found = {one.job.version: (one.state, one.reasons) for one in stored.gc("mark").jobs}
    assert {version: state for version, (state, _) in found.items()} == {
        **dict.fromkeys(range(1, 6), "kept"),
        6: "marked",
    }
    assert found[2][1] == ("endpoint/e of acme serves it (revision 1)",)
    assert found[4][1] == ("the SageMaker model m has it",)


def test_specs_that_cannot_be_read_stop_it(stored: Stored) -> None:
    stored.train(1)
    stored.specs(f"{HEAD}kind: Environment\nname: prod\nspces: [specs]\n", "environments/prod.yaml")
    with pytest.raises(SpecError, match="spces"):
        stored.gc("mark")
    assert stored.models(1) == {1}


def test_a_roll_back_is_kept_although_the_endpoint_was_restarted_often(stored: Stored) -> None:
    stored.train(1)
    stored.train(2)
    stored.serve(1, 1)
    for number in range(2, 20):
        stored.serve(number, 2)
    assert states(stored.gc("mark")) == {1: "kept", 2: "kept"}


def test_a_removed_endpoint_keeps_its_models_for_a_while(stored: Stored) -> None:
    stored.train(1)
    stored.serve(1, 1)
    removed = stored.revision(2, 1, RevisionStatus.REMOVED)
    stored.records.write_revision(removed.model_copy(update={"ended_at": NOW - timedelta(days=3)}))
    assert states(stored.gc("mark")) == {1: "kept"}
    stored.records.write_revision(removed)
    assert states(stored.gc("mark")) == {1: "marked"}


class Killed(BaseException):
    pass


class Dying(DirectoryStore):
    """A store whose process is killed before one of its writes or deletions; those of the lock do not count."""

    left: int | None = None

    def _count(self, key: str) -> None:
        if self.left is not None and "lock" not in key:
            if self.left == 0:
                raise Killed
            self.left -= 1

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        self._count(key)
        return super().write(key, data, if_absent=if_absent, if_match=if_match)

    def delete(self, key: str) -> None:
        self._count(key)
        super().delete(key)


def killed_at(number: int, root: Path) -> bool:
    """Whether a sweep that is killed at its write or deletion of this number was; it is then run again."""
    made = Stored(root)
    jobs = [made.train(version) for version in (1, 2, 3)]
    made.specs(JOB.format(version=3))
    made.gc("mark")
    made.a_week_passes()
    dying = Dying(Path(made.parts.store.uri.removeprefix("file://")))
    made.records.store = dying
    dying.left, was_killed = number, False
    try:
        made.gc("sweep")
    except Killed:
        was_killed = True
    dying.left = None
    for job in jobs:  # who has no model says so
        assert job.version in made.models(3) or made.swept(job)
    made.gc("sweep")
    assert made.models(3) == {3}
    assert [name for name in made.files() if "checkpoints" in name] == ["jobs/churn/3/checkpoints/algo-1/a"]
    made.parts.close()
    return was_killed


def test_killed_before_any_write_or_deletion_it_continues_and_ends_the_same(tmp_path: Path) -> None:
    number = 0
    while killed_at(number, tmp_path / str(number)):
        number += 1
    assert number == 7, "a tombstone and two files for each of two jobs, and the marks"


@pytest.mark.parametrize("seed", range(20))
def test_in_random_histories_nothing_is_lost_that_is_live_or_rolled_back_to(seed: int, tmp_path: Path) -> None:
    dice, made, last = random.Random(seed), Stored(tmp_path / "project"), 14
    jobs = {version: made.train(version) for version in range(1, last + 1)}
    kinds = [RevisionStatus.LIVE] * 5 + [RevisionStatus.FAILED, RevisionStatus.ROLLED_BACK, RevisionStatus.REMOVED]
    cancelled = RolloutEnd(ending=Ending.CANCELLED, strategy="canary", step=1, steps=2, share=0.1, begun=LONG_AGO)
    histories: dict[str, list[Revision]] = {"a": [], "b": []}
    named = set(dice.sample(range(1, last + 1), 2))
    made.specs("".join(JOB.format(version=version) for version in sorted(named)))
    for _ in range(3):
        there = [version for version in jobs if not made.swept(jobs[version])]  # a plan refuses the others
        for name, history in histories.items():
            for _ in range(dice.randrange(1, 7)):
                status = dice.choice(kinds)
                one = made.revision(len(history) + 1, dice.choice(there), status, name=name)
                if status is RevisionStatus.ROLLED_BACK and dice.random() < 0.3:
                    one = one.model_copy(update={"rollout": cancelled})
                if status is RevisionStatus.REMOVED:  # not long ago: it may come back, and go back then
                    one = one.model_copy(update={"ended_at": NOW})
                made.records.write_revision(one)
                history.append(one)
        made.gc("mark")
        if dice.random() < 0.8:
            made.a_week_passes()
        made.gc("sweep")
        needed = set(named)
        for history in histories.values():
            if live := live_revision(tuple(history)):
                needed |= {job.version for job in jobs_of(live.asked)}
            try:
                back = rollback_target(history, live, None) if live else None
            except SpecError:
                back = None
            needed |= {job.version for job in jobs_of(back.asked)} if back else set()
        assert needed <= made.models(last)
    made.parts.close()


def shown(marks: Marks, at: datetime) -> str:
    """What `status` prints then."""
    screen = a_screen()
    write_status(screen, replace(status_of(), gc=marks, at=at))
    return out(screen)


def test_status_lists_what_is_marked_and_when_and_what_was_swept(stored: Stored, tmp_path: Path) -> None:
    for version in (1, 2, 3):
        stored.train(version)
    stored.specs(JOB.format(version=1))
    assert stored.gc("mark").of("marked")
    stored.a_week_passes()
    stored.specs(JOB.format(version=2))
    stored.gc("sweep")
    stored.specs(JOB.format(version=3))
    stored.gc("mark")
    marks = Sweeping(stored.records).marks()[0]
    assert marks.swept == {"job/churn@3": stored.swept(job_address("churn", 3))}
    rows = [line.split(maxsplit=2) for line in shown(marks, NOW).partition("GC ")[2].splitlines()]
    assert [row[:2] for row in rows[1:]] == [
        ["job/churn@1", "marked"],
        ["job/churn@2", "marked"],
        ["job/churn@3", "swept"],
    ]
    due = marks.jobs["job/churn@1"].due_at
    assert rows[1][2] == f"in 8 d, from {when_text(due)}, if nothing names it by then"
    assert f"due    at the next sagespec gc --sweep, since {when_text(due)}" in shown(marks, due)
    copy = tmp_path / "copy.tar.gz"
    copy.write_bytes(model_bytes(3))
    gc.restore(stored.parts, job_address("churn", 3), copy, report=silent)
    assert Sweeping(stored.records).marks()[0].swept == {}


def test_marks_of_a_release_that_kept_no_list_of_the_swept_are_read(stored: Stored) -> None:
    job = stored.train(1)
    stored.records.store.write(
        "acme/gc.json", b'{"jobs": {"job/churn@1": {"key": "1-1", "since": "2026-01-01T00:00:00Z"}}}'
    )
    assert states(stored.gc("sweep")) == {1: "swept"}
    stored.records.store.write("acme/gc.json", b'{"jobs": {}}', if_match=Sweeping(stored.records).marks()[1])
    assert stored.gc("mark").earlier[0].job == job
    assert list(Sweeping(stored.records).marks()[0].swept) == ["job/churn@1"]


def test_what_was_swept_comes_back_from_the_right_copy_alone(stored: Stored, tmp_path: Path) -> None:
    job = stored.train(1)
    stored.gc("mark")
    stored.a_week_passes()
    stored.gc("sweep")
    copy = tmp_path / "copy.tar.gz"
    copy.write_bytes(b"another model")
    with pytest.raises(WorldError, match="is not the model of job/churn@1"):
        gc.restore(stored.parts, job, copy, report=silent)
    with pytest.raises(WorldError, match="there is no file"):
        gc.restore(stored.parts, job, tmp_path / "none", report=silent)
    with pytest.raises(WorldError):
        gc.restore(stored.parts, job, None, report=silent)
    assert stored.swept(job)
    copy.write_bytes(model_bytes(1))
    gc.restore(stored.parts, job, copy, report=silent)
    assert stored.models(1) == {1}
    assert stored.swept(job) is None
    assert states(stored.gc("look")) == {1: "unnamed"}
    with pytest.raises(WorldError, match="was not swept"):
        gc.restore(stored.parts, job, copy, report=silent)


def test_a_job_trained_again_while_its_manifest_is_read_is_not_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Stored(tmp_path / "project")
    job = made.train(1)
    before, read = made.records.manifests([job])[job], made.records.manifests
    again = before.model_copy(update={"key": "1-again"})

    def read_then_trained(addresses: Iterable[Address]) -> Mapping[Address, Manifest]:
        found = read(addresses)
        made.records.store.write(made.records.job_key(job, "manifest.json"), again.model_dump_json().encode())
        return found

    monkeypatch.setattr(made.records, "manifests", read_then_trained)
    with pytest.raises(Conflict):
        Sweeping(made.records).tombstone(before, NOW)
    assert read([job])[job].key == "1-again"
