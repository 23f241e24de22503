"""What killed runs have left of containers that are not there: couriers, secrets, and containers to be filled.

A courier alone still holds CPUs, memory and GPUs of its node. Swept before something is created, as that may need them.
What is young may be another run's, which is about to make the container: it is left.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sagespec.errors import WorldError
from sagespec.runtimes.swarm.couriers import Couriers
from sagespec.runtimes.swarm.inventory import Inventory
from sagespec.runtimes.swarm.secrets import Secrets
from sagespec.runtimes.swarm.staging import Staging

AGE = timedelta(minutes=20)  # by then a container is there, or its making has been given up


class Leavings:
    def __init__(self, inventory: Inventory, couriers: Couriers, secrets: Secrets, staging: Staging) -> None:
        self._inventory, self._couriers, self._secrets, self._staging = inventory, couriers, secrets, staging

    def sweep(self, age: timedelta = AGE) -> None:
        before = datetime.now(UTC) - age
        # Lists of what may be left come first: of what another run makes meanwhile, the container is seen.
        secrets, stagings = self._secrets.made_before(before), self._staging.made_before(before)
        alone = self._inventory.left_alone(before)
        there = self._inventory.all()
        for name in alone:
            with suppress(WorldError):  # of a node that is away: its volume cannot be emptied
                self._couriers.empty(name)
            self._couriers.remove(name)
        for secret_id, container_name in secrets.items():
            if container_name not in there:
                self._secrets.remove(secret_id)
        services = {service.name for service in there.values()}
        for service_name in stagings:
            if service_name not in services:
                self._staging.remove(service_name)
