"""A project whose store is filled by hand: versions of models, marked, swept or neither, and a branch it follows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from sagespec.project import Project
from sagespec.records.sources import SourceRecords
from sagespec.records.sweeping import Sweeping
from sagespec.state.addresses import job_address
from sagespec.state.manifest import Artifact, JobStatus, Manifest
from sagespec.state.source import AppliedCommit, AttemptResult, CommitEnd, Held, HeldReason, Seen, SourceRecord
from sagespec.state.sweeping import Mark, Marks

MODEL = """\
apiVersion: sagespec/v1
kind: Model
name: churn
aliases: {champion: 3, next: 9}
rejected: {churn@2: leaks the label}
protect: [1]
"""
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=90)
HEAD, APPLIED = "4f" * 20, "ab" * 20


def train(project: Project, version: int) -> None:
    """As a job of long ago has left it."""
    job, records, content = job_address("churn", version), project.parts.records, b"model" * version
    records.store.write(records.job_key(job, "model.tar.gz"), content)
    records.write_manifest(
        Manifest(
            project=project.parts.settings.name,
            name="churn",
            version=version,
            key=f"1-{version}",
            key_fields={},
            spec={},
            status=JobStatus.COMPLETED,
            started_at=LONG_AGO,
            ended_at=LONG_AGO,
            metrics={"validation:auc": 0.9 + version / 100},
            artifacts={
                "model": Artifact(key="model.tar.gz", size=len(content), sha256=hashlib.sha256(content).hexdigest())
            },
        )
    )


def fill(project: Project) -> None:
    """churn@1 protected, @2 rejected and due, @3 the champion, @4 marked two days ago, @5 swept."""
    (project.root / "specs" / "models.yaml").write_text(MODEL)
    for version in range(1, 6):
        train(project, version)
    sweeping = Sweeping(project.parts.records)
    ages = {2: 8, 4: 2, 5: 8}
    marks = {f"job/churn@{n}": Mark(key=f"1-{n}", since=NOW - timedelta(days=days)) for n, days in ages.items()}
    sweeping.write_marks(Marks(jobs={"job/churn@5": marks["job/churn@5"]}), "")
    project.gc("sweep")
    found, etag = sweeping.marks()
    kept = {job: mark for job, mark in marks.items() if job != "job/churn@5"}
    sweeping.write_marks(Marks(jobs=kept, swept=found.swept), etag)


def follow(project: Project, reason: HeldReason = HeldReason.APPROVAL, text: str = "its plan waits") -> None:
    """A branch whose newest commit is held."""
    records = SourceRecords(project.parts.store, project.parts.settings.name)
    held = Held(
        reason=reason,
        commit=HEAD,
        since=NOW - timedelta(minutes=20),
        text=text,
        fix="look at it, then `sagespec source approve 9c0f2a7d41be`",
        digest="9c0f2a7d41be" * 5,
        plan=("set-routes  endpoint/churn  weight of candidate 10 -> 30",),
    )
    records.change(
        lambda _: SourceRecord(
            url="https://github.com/acme/models.git",
            branch="main",
            seen=Seen(commit=APPLIED, at=NOW - timedelta(hours=5)),
            applied=AppliedCommit(commit=APPLIED, at=NOW - timedelta(hours=5), verified_by="ada@acme.example"),
            held=held,
        )
    )
    records.add_end(
        CommitEnd(
            number=0,
            commit="1a" * 20,
            started_at=LONG_AGO,
            ended_at=LONG_AGO,
            result=AttemptResult.WRONG,
            reason=text,
            by="root on build-7 (pid 12)",
        )
    )
