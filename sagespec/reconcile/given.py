"""What one pass of reconcile is given, and the form in which each part of its decision comes back.

`reconcile` makes a `Given` of its arguments, adds what it has decided about jobs and the gateway, and hands it to the
files beside this one; it joins their `Decision`s to a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sagespec.errors import Problem
from sagespec.ongoing import Rolling, Running
from sagespec.plan import Action, CopyModel, ImportModel, RunJob, SetDoors, StartGateway
from sagespec.reconcile.options import Options
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredJob
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import Observed
from sagespec.state.revision import RestartRequest


@dataclass(frozen=True)
class Decision:
    """What was decided about one job, one endpoint, or all that is unwanted; `Plan` joins them."""

    actions: tuple[Action, ...] = ()
    unchanged: tuple[Address, ...] = ()
    refused: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    running: tuple[Running, ...] = ()
    held: tuple[Problem, ...] = ()
    rolling: tuple[Rolling, ...] = ()


@dataclass(frozen=True)
class Given:
    """One pass: the snapshot, its time, what a person asked for, and what is decided already, which endpoints wait for.

    now: when the snapshot was taken. wanted: the jobs of the specs. jobs: the decision on each of them. gateway: its
    start, if it starts. doors: what it is given, if it is given other ones. models_from, trains: as in `Desired`.
    """

    project_name: str
    observed: Observed
    now: datetime
    options: Options
    wanted: Mapping[Address, DesiredJob] = field(default_factory=dict)
    jobs: Mapping[Address, Decision] = field(default_factory=dict)
    gateway: tuple[StartGateway, ...] = ()
    doors: tuple[SetDoors, ...] = ()
    models_from: str = ""
    trains: bool = True

    @property
    def gateway_ids(self) -> tuple[str, ...]:
        """What must be done before anything else of an endpoint: nobody may ask it who should not."""
        return tuple(action.id for action in (*self.gateway, *self.doors))

    def next_version(self, job_name: str) -> int:
        """One that neither the specs nor the store have."""
        known = (a.version for a in (*self.wanted, *self.observed.manifests) if a.name == job_name)
        return max(self.observed.newest_versions.get(job_name, 0), *known) + 1

    def runs_of(self, job: Address) -> tuple[str, ...]:
        """The ids of the actions of this plan that give the job its model."""
        actions = decision.actions if (decision := self.jobs.get(job)) else ()
        return tuple(action.id for action in actions if isinstance(action, RunJob | CopyModel | ImportModel))

    def is_followed_elsewhere(self, job: Address) -> bool:
        """Whether another run trains the job just now."""
        decision = self.jobs.get(job)
        return bool(decision and decision.running)

    def restart_of(self, about: Address) -> RestartRequest | None:
        """The restart that is asked for and not done."""
        request = self.observed.restarts.get(about)
        is_open = request and not request.is_over(self.observed.revisions.get(about.name, ()))
        return request if is_open else None

    def retries(self, endpoint: Address) -> bool:
        """Whether it is to be tried again although it was given up: by this run, or once, by whoever has asked."""
        request = self.observed.retries.get(endpoint.name)
        is_asked = request is not None and not request.is_over(self.observed.revisions.get(endpoint.name, ()))
        return is_asked or self.options.retries(endpoint)

    def is_trained(self, job: Address) -> bool:
        return self._trained(job) is not None

    def is_trained_since(self, job: Address, at: datetime | None) -> bool:
        """Whether the training of the job's model was begun after `at`."""
        manifest = self._trained(job)
        return manifest is not None and at is not None and manifest.started_at > at

    def checksum_of(self, job: Address) -> str:
        """Of the job's model; '' where it is not known."""
        manifest = self._trained(job)
        return manifest.artifacts["model"].sha256 if manifest and "model" in manifest.artifacts else ""

    def metrics_of(self, job: Address, sha256: str) -> Mapping[str, float] | None:
        """What the job measured when it trained the model with this checksum ('': any); None if that is not known."""
        manifest = self._trained(job)
        return manifest.metrics if manifest and sha256 in ("", self.checksum_of(job)) else None

    def left_no_model(self, job: Address) -> bool:
        manifest = self._trained(job)
        return manifest is not None and manifest.left_no_model

    def _trained(self, job: Address) -> Manifest | None:
        manifest = self.observed.manifests.get(job)
        return manifest if manifest and manifest.status is JobStatus.COMPLETED else None
