"""Images that have models in them go when no endpoint serves these models, or can go back to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sagespec.parts import Parts
from sagespec.records.sweeping import Sweeping
from sagespec.runtimes.protocol import ImageInfo
from sagespec.state.addresses import job_address
from sagespec.state.programs import Program
from sagespec.state.revision import RevisionStatus
from sagespec.verbs.gc_images import collect_images
from tests.verbs.test_gc import Stored

OLD = (datetime.now(UTC) - timedelta(days=60)).timestamp()


class Registry:
    """What is asked of a runtime whose images have models in them. A service uses churn@4."""

    def __init__(self, *images: ImageInfo) -> None:
        self.there = {image.reference: image for image in images}

    def built_images(self) -> tuple[ImageInfo, ...]:
        return tuple(self.there.values())

    def images(self) -> tuple[ImageInfo, ...]:
        return ()

    def reference_of(self, program: Program) -> str:
        return str(program)

    def remove_image(self, reference: str) -> bool:
        return self.there[reference].model != "churn@4" and bool(self.there.pop(reference))


def baked(model: str, *, project: str = "acme", created_at: float = OLD) -> ImageInfo:
    return ImageInfo("", f"{project}/{model}/{created_at:.0f}", "sha256:1", 1, created_at, project, model)


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Revisions 1 to 5 of an endpoint served churn@1 to churn@5; revision 3 failed, and the last is live."""
    made = Stored(tmp_path)
    for version in range(1, 6):
        made.train(version)
        status = RevisionStatus.FAILED if version == 3 else RevisionStatus.LIVE
        made.records.write_revision(made.revision(version, version, status))
    return made


def test_what_no_endpoint_can_go_back_to_is_removed(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC).timestamp()
    versions = {version: baked(f"churn@{version}") for version in range(1, 7)}
    others = (baked("churn@9", project="other"), baked("churn@7", created_at=now))
    registry = Registry(*versions.values(), *others)
    monkeypatch.setattr(Parts, "runtime", registry)
    looked = collect_images(stored.parts, is_sweep=False)
    assert (looked.unneeded, looked.removed) == ((versions[3], versions[6]), None)
    assert len(registry.there) == 8, "a look removes nothing"
    assert collect_images(stored.parts, is_sweep=True).removed == (versions[3].reference, versions[6].reference)
    assert set(registry.there.values()) == {*(versions[n] for n in (1, 2, 4, 5)), *others}


def test_what_a_service_uses_stays_though_its_model_was_swept(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job_address("churn", version) for version in (1, 4)]
    for manifest in stored.records.manifests(jobs).values():
        Sweeping(stored.records).tombstone(manifest, datetime.now(UTC))
    first, fourth, fifth = (baked(f"churn@{version}") for version in (1, 4, 5))
    monkeypatch.setattr(Parts, "runtime", Registry(first, fourth, fifth))
    found = collect_images(stored.parts, is_sweep=True)
    assert found.unneeded == (first, fourth), "nobody can go back to a model that was swept"
    assert found.removed == (first.reference,)
