"""The project's network, those of isolated jobs, and the address in it that each container keeps.

`DockerRuntime` asks for addresses when it creates containers, and for another one when a start finds an
address in use. A container that is created again gets the same address, so that those who know it can keep using it.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from secrets import token_hex
from typing import Any

from docker.errors import APIError, NotFound

from sagespec.errors import WorldError
from sagespec.runtimes.docker.containers import Containers
from sagespec.runtimes.docker.engine import explanation
from sagespec.state.labels import LABEL_PROJECT
from sagespec.state.launches import Launch

# Nothing is sent on from such a network, and the engine's machine has no address in it.
_ISOLATED: Mapping[str, Any] = {"internal": True, "options": {"com.docker.network.bridge.inhibit_ipv4": "true"}}


HOSTS = "_hosts"  # ends the name of an isolated job's network


class Network:
    """A network of one project on one engine: the one of all its containers, or that of one isolated job."""

    def __init__(self, engine: Any, project_name: str, name: str, *, isolated: bool = False) -> None:
        self._engine = engine
        self._project_name = project_name
        self.name = name
        self._containers = Containers(engine, project_name, name)
        self._settings = _ISOLATED if isolated else {}

    def by_network(self, launches: Sequence[Launch]) -> Iterator[tuple[Network | None, Sequence[Launch]]]:
        """The launches of one job, or of others, by network: this one, or, for isolated hosts, one of their own. None
        for an isolated host that is alone, and for what is in the network of the engine's machine."""
        if isolated := [launch for launch in launches if launch.isolated]:
            hosts = isolated[0].hosts
            own = Network(self._engine, self._project_name, f"{hosts[0]}{HOSTS}", isolated=True) if hosts[1:] else None
            yield own, isolated
        if notebooks := [launch for launch in launches if launch.folders]:
            yield None, notebooks
        if others := [launch for launch in launches if not (launch.isolated or launch.folders)]:
            yield self, others

    def addresses_for(self, launches: Sequence[Launch]) -> dict[str, str]:
        """By name: the pinned addresses of these and of all that are there. Makes the network if it has to."""
        pool = pool_of(self.subnet())
        addresses = self._containers.addresses()
        there = set(addresses)
        for launch in launches:
            if launch.name not in addresses:
                addresses[launch.name] = self.promised(launch, there) or free_address(
                    launch.name, pool, set(addresses.values())
                )
        return addresses

    def subnet(self) -> ipaddress.IPv4Network:
        """The subnet of the project's network, which is made when it is not there.

        An engine pins addresses only in a subnet that was named when the network was made. So it is
        let choose a free one, and the network made again with that subnet. Another process may do the
        same, or take the subnet in between: each round looks again.
        """
        labels = {LABEL_PROJECT: self._project_name}
        said = ""
        for _ in range(10):
            known = [n for n in self._engine.networks(names=[self.name]) if n["Name"] == self.name]
            if known:
                network, *doubles = sorted(known, key=lambda n: (str(n["Created"]), str(n["Id"])))
                if (network["Labels"] or {}).get(LABEL_PROJECT) != self._project_name:
                    raise WorldError(
                        f"the name {self.name} is taken by a network outside this project",
                        fix=f"inspect it with `docker network inspect {self.name}`, then remove it",
                    )
                for double in doubles:  # engines before 25 may let two creates of one name through
                    with suppress(APIError):
                        self._engine.remove_network(double["Id"])
                return subnet_of(network)
            probe = self._engine.create_network(
                f"{self.name}_{token_hex(4)}", driver="bridge", labels=labels, **self._settings
            )
            details = self._engine.inspect_network(probe["Id"])
            self._engine.remove_network(probe["Id"])
            # Without an address of their own, containers that others attach get one of the lower half.
            lower, _ = subnet_of(details).subnets()
            config = {**_ipam(details), "IPRange": str(lower)}
            try:
                ipam = {"Config": [config]}
                self._engine.create_network(
                    self.name, driver="bridge", ipam=ipam, labels=labels, check_duplicate=True, **self._settings
                )
            except APIError as error:
                said = explanation(error)
        raise WorldError(f"the engine could not create the network {self.name}: {said}")

    def promised(self, launch: Launch, there: set[str]) -> str | None:
        """The address under which a host of the same job, made by an earlier and cut-off create, knows this one."""
        for host in launch.hosts:
            details = self._containers.find(host) if host in there else None
            for line in (details or {}).get("HostConfig", {}).get("ExtraHosts") or ():
                alias, _, address = line.partition(":")
                if alias == launch.alias:
                    return str(address)
        return None

    def move(self, name: str, container_id: str) -> None:
        """Give a stopped container another pinned address."""
        if self._engine.inspect_container(container_id)["HostConfig"]["ExtraHosts"]:
            raise WorldError(
                f"the address of {name} is in use, and the other hosts of its job know it by that address",
                why="a container that sagespec did not create took it",
                fix=f"remove that container from the network {self.name} and apply again",
            )
        network = self._engine.inspect_network(self.name)
        taken = {place["IPv4Address"].partition("/")[0] for place in network["Containers"].values()}
        address = free_address(name, pool_of(subnet_of(network)), taken | set(self._containers.addresses().values()))
        self._engine.disconnect_container_from_network(container_id, self.name, force=True)
        self._engine.connect_container_to_network(container_id, self.name, ipv4_address=address)

    def remove_if_of_job(self, name: str) -> None:
        """Remove the network `name` if it is an isolated job's, and its last host is gone."""
        if name.endswith(HOSTS):
            with suppress(APIError):  # another host is in it, or another removal was faster
                self._engine.remove_network(name)

    def remove(self) -> None:
        for network in self._engine.networks(filters={"label": f"{LABEL_PROJECT}={self._project_name}"}):
            with suppress(NotFound):
                self._engine.remove_network(network["Id"])


def _ipam(network: Mapping[str, Any]) -> dict[str, str]:
    return next(config for config in network["IPAM"]["Config"] if ":" not in config["Subnet"])


def subnet_of(network: Mapping[str, Any]) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(_ipam(network)["Subnet"])


def pool_of(subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    """Where our containers get their addresses: the upper half, of which the engine assigns none on its own."""
    _, upper = subnet.subnets()
    return upper


def free_address(name: str, pool: ipaddress.IPv4Network, taken: set[str]) -> str:
    """The address a container of this name gets, or the next free one: a container that is created again keeps its own.

    >>> free_address("a", ipaddress.IPv4Network("10.0.0.128/30"), {"10.0.0.128", "10.0.0.130"})
    '10.0.0.129'
    """
    size = pool.num_addresses - 1  # the last one is the broadcast address
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % size
    for step in range(size):
        address = str(pool[(first + step) % size])
        if address not in taken:
            return address
    raise WorldError(
        f"all {size} addresses of the network are taken",
        why="every container of a project keeps its own address",
        fix="remove containers that you no longer need (`sagespec apply --prune`)",
    )
