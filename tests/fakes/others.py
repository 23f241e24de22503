"""Runs of somebody else, on another machine, as the store shows them."""

from __future__ import annotations

from datetime import datetime

from sagespec.records.holder import Doing, Holder
from sagespec.records.lease import LEASE_SECONDS, as_bytes
from sagespec.state.addresses import Address
from sagespec.stores.protocol import Store
from tests.fakes.clock import START
from tests.fakes.specs import PROJECT


def ada(now: datetime, *, command: str = "watch", doing: Doing | None = None) -> Holder:
    """A lease that ada's run on build-7 has renewed now, and has had since the START."""
    return Holder(
        id="5f3a9c21",
        user="ada",
        host="build-7",
        machine="the boot of build-7",
        pid=4711,
        process_started="1",
        command=command,
        taken_at=START,
        renewed_at=now,
        lease_seconds=LEASE_SECONDS,
        specs="/home/ada/churn",
        doing=doing,
    )


def follow(store: Store, address: Address, holder: Holder, *, project_name: str = PROJECT) -> None:
    store.write(f"{project_name}/active/jobs/{address.name}/{address.version}.json", as_bytes(holder))


def show(store: Store, holder: Holder, *, project_name: str = PROJECT) -> None:
    """The run shows itself, as one that watches or waits does."""
    store.write(f"{project_name}/active/runs/{holder.id}.json", as_bytes(holder))
