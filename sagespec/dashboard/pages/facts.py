"""What there is to say of one job: its state, its manifest, the version before it, and who serves it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagespec.state.addresses import Address
from sagespec.state.manifest import Manifest
from sagespec.state.sweeping import swept_text
from sagespec.verbs.lineage import Served as ServedIn
from sagespec.verbs.states import JobState, JobWord, Status


@dataclass(frozen=True)
class Facts:
    """row: None for a job that is in no spec now. manifest: None before it has ended. before: the version before it
    that is known, and its hyperparameters. served_by: endpoint and variant, and how much of its traffic.
    was_served_by: endpoints of which a revision had its model, now or before."""

    address: Address
    row: JobState | None
    manifest: Manifest | None
    before: Address | None
    parameters: Sequence[Compared]
    served_by: Sequence[Served]
    data: Sequence[Mapping[str, Any]] = ()
    was_served_by: Sequence[ServedIn] = ()
    environment: str = ""

    @property
    def word(self) -> str:
        if self.row:
            return self.row.state.value
        return self.manifest.status.value if self.manifest else ""

    @property
    def detail(self) -> str:
        if self.row:
            return self.row.detail
        if self.manifest and self.manifest.swept_at:
            return swept_text(self.address, self.environment)
        return self.manifest.reason if self.manifest else ""

    @property
    def metrics(self) -> Mapping[str, float]:
        found = self.row.metrics if self.row else None
        return found or (self.manifest.metrics if self.manifest else {})

    @property
    def can_stop(self) -> bool:
        return self.row is not None and self.row.state in (JobWord.RUNNING, JobWord.PREPARING)

    @property
    def can_retry(self) -> bool:
        return self.row is not None and self.row.state in (JobWord.FAILED, JobWord.STOPPED)


@dataclass(frozen=True)
class Compared:
    """One hyperparameter, and what it was in the version before; None: not given there."""

    name: str
    value: str | None
    before: str | None
    differs: bool


@dataclass(frozen=True)
class Served:
    endpoint: str
    variant: str
    share: float


def compared(now: Mapping[str, str], before: Mapping[str, str] | None) -> list[Compared]:
    """Side by side, those that differ first. before: None where there is no version before."""
    names = sorted({*now, *(before or {})})
    rows = [
        Compared(
            name, now.get(name), (before or {}).get(name), before is not None and now.get(name) != before.get(name)
        )
        for name in names
    ]
    return sorted(rows, key=lambda row: not row.differs)


def served_by(address: Address, status: Status | None) -> list[Served]:
    model = f"{address.name}@{address.version}"
    return [
        Served(endpoint.address.name, variant.name, variant.share_live)
        for endpoint in (status.endpoints if status else ())
        for variant in endpoint.variants
        if variant.model == model
    ]


def data_of(manifest: Manifest | None, before: Manifest | None) -> list[dict[str, Any]]:
    """What it was trained on, channel by channel; `changed` where the version before had other data."""
    if manifest is None:
        return []
    rows = []
    for name, data in manifest.inputs.items():
        other = before.inputs.get(name) if before else None
        rows.append(
            {
                "channel": name,
                "source": data.source,
                "files": data.objects,
                "bytes": data.bytes,
                "fingerprint": data.fingerprint,
                "rows": manifest.read[name].rows if name in manifest.read else None,
                "changed": other is not None and other.fingerprint != data.fingerprint,
            }
        )
    return rows
