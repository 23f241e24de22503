"""Specs as plain values, resolved without files, engine or store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sagespec.errors import Origin
from sagespec.load.loaded import Loaded, LoadedSpec
from sagespec.resolve.builtins import ImageDescription
from sagespec.resolve.resolve import resolve
from sagespec.spec.environment import Environment
from sagespec.spec.kinds import KINDS
from sagespec.spec.project import GatewaySettings, ProjectSettings
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredEndpoint, desired_endpoint
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.revision import VariantRecord

PROJECT = "acme"
IMAGES = {
    "xgboost": ImageDescription(kind="algorithm"),
    "linear-learner": ImageDescription(kind="algorithm"),
    "sklearn": ImageDescription(kind="framework"),
    "echo": ImageDescription(kind="test"),
}


def desired_from(
    *documents: Mapping[str, Any],
    manifests: Mapping[Address, Manifest] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Desired:
    """What specs given as plain values ask for; apiVersion and, for jobs, channels and algorithm may be left out, and
    so may the project. versions: of secrets by name, as far as they can be asked."""
    loaded = []
    project = ProjectSettings(apiVersion="sagespec/v1", kind="Project", name=PROJECT)
    for number, document in enumerate(documents):
        fields = {"apiVersion": "sagespec/v1", "name": PROJECT} | dict(document)
        if fields["kind"] == "TrainingJob":
            fields = {"channels": {"train": "s3://acme/train/"}, "algorithm": "xgboost"} | fields
            if "image" in fields:
                del fields["algorithm"]
        spec = KINDS[fields["kind"]].model_validate(fields)
        if isinstance(spec, ProjectSettings):
            project = spec
            continue
        assert not isinstance(spec, Environment), "an environment is put over documents as YAML"
        like = str(fields.get("like", ""))
        loaded.append(LoadedSpec(spec, Origin("specs/test.yaml", number + 1), {}, Path("/repo/specs"), like=like))
    return resolve(
        Loaded(Path("/repo"), project, {}, tuple(loaded)),
        root=Path("/repo"),
        images=IMAGES,
        manifests=manifests or {},
        fingerprint=lambda uri: f"etag-of-{uri}",
        secret_version=lambda name: (versions or {}).get(name, ""),
    )


def gateway_settings(documents: Iterable[Mapping[str, Any]]) -> GatewaySettings:
    """What the project among the documents says of its gateway."""
    given = [document.get("gateway", {}) for document in documents if document["kind"] == "Project"]
    return GatewaySettings.model_validate(given[0] if given else {})


def with_models(desired: Desired, manifests: Mapping[Address, Manifest]) -> Desired:
    """The same specs resolved when these manifests are there: every pass resolves anew."""
    sums = {
        str(address): manifest.artifacts["model"].sha256
        for address, manifest in manifests.items()
        if manifest.status is JobStatus.COMPLETED
    }

    def variant(record: VariantRecord) -> VariantRecord:
        if record.model.job not in sums:
            return record
        return record.model_copy(update={"model": record.model.model_copy(update={"sha256": sums[record.model.job]})})

    def endpoint(old: DesiredEndpoint) -> DesiredEndpoint:
        record = old.record.model_copy(update={"variants": tuple(map(variant, old.record.variants))})
        return replace(desired_endpoint(old.name, record, old.origin), gate=old.gate)

    return replace(desired, endpoints=tuple(map(endpoint, desired.endpoints)))
