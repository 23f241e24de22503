"""What `sagespec doctor` says of a Swarm: its managers, its nodes, and the way of images to them.

What can be told from what a manager knows is told from that, purely; the rest is asked of the nodes (probing.py).
Volumes on other nodes cannot be seen from here, so nothing is said of those that a lost node left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagespec.errors import WorldError
from sagespec.runtimes.protocol import Check
from sagespec.runtimes.swarm.probing import Answer

CLOCK_SECONDS = 15.0  # the answer's way takes some of that; leases are good for 60


@dataclass(frozen=True)
class Node:
    """As a manager knows it. manages: reachable or unreachable; '' for a worker."""

    id: str
    name: str
    is_ready: bool
    availability: str
    version: str
    platform: str
    manages: str = ""

    @property
    def takes_work(self) -> bool:
        return self.is_ready and self.availability == "active"

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Node:
        described = row["Description"]
        platform = described.get("Platform") or {}
        return cls(
            id=str(row["ID"]),
            name=str(described["Hostname"]),
            is_ready=row["Status"]["State"] == "ready",
            availability=str(row["Spec"]["Availability"]),
            version=str((described.get("Engine") or {}).get("EngineVersion", "")),
            platform=f"{platform.get('OS', '')}/{platform.get('Architecture', '')}",
            manages=str((row.get("ManagerStatus") or {}).get("Reachability", "")),
        )


def checks_of_nodes(nodes: Sequence[Node], further_addresses: int) -> Iterator[Check]:
    """further_addresses: of managers, that the settings name."""
    yield _managers([node for node in nodes if node.manages], further_addresses)
    away = [node.name for node in nodes if not node.is_ready]
    resting = [f"{node.name} ({node.availability})" for node in nodes if node.is_ready and not node.takes_work]
    told = [f"{sum(node.takes_work for node in nodes)} of {len(nodes)} take work"]
    told += [f"{', '.join(away)} {'is' if len(away) == 1 else 'are'} not there"] if away else []
    told += [f"not used: {', '.join(resting)}"] if resting else []
    fix = f"start the engine of {away[0]}, or `docker node rm {away[0]}` if it is gone for good" if away else ""
    yield Check("nodes", not away, "; ".join(told), fix)
    versions = _by(nodes, "version")
    majors = {version.split(".")[0] for version in versions}
    yield Check("engines", len(majors) == 1, _listed(versions), "bring all engines to one release")
    if len(platforms := _by(nodes, "platform")) > 1:
        fix = (
            "images are built for the processor of the engine that sagespec speaks to: "
            "drain the other nodes, or use images for several platforms"
        )
        yield Check("platforms", False, _listed(platforms), fix)


def _managers(managers: Sequence[Node], further_addresses: int) -> Check:
    count, reachable = len(managers), sum(node.manages == "reachable" for node in managers)
    may_go = reachable - (count // 2 + 1)
    told = f"{count}, of which {reachable} can be reached" if reachable < count else f"{count}"
    if count == 1:
        return Check("managers", True, f"{told}: while it is away nothing can be changed, but all keeps running")
    told += f"; {may_go} {'more ' if reachable < count else ''}may be lost"
    told += " before nothing can be changed" if reachable < count else ""
    if not further_addresses:
        told += ", but sagespec knows only the engine that it speaks to: see runtime.swarm.managers"
    if reachable < count:
        away = ", ".join(node.name for node in managers if node.manages != "reachable")
        return Check("managers", False, told, f"start {away}, or `docker node demote` what is gone for good")
    if count % 2 == 0:
        fix = "`docker node promote` or `demote` one: an even number survives no more losses than one fewer"
        return Check("managers", False, told, fix)
    return Check("managers", True, told)


def checks_of_answers(nodes: Sequence[Node], answers: Mapping[str, Answer]) -> Iterator[Check]:
    """What the nodes that take work have said of themselves."""
    asked = [node for node in nodes if node.takes_work]
    said = {node.name: answers[node.id] for node in asked if node.id in answers}
    silent = [node.name for node in asked if node.id not in answers]
    failed = {name: answer.why_not for name, answer in said.items() if answer.why_not}
    told = [*(f"{name}: {why}" for name, why in failed.items()), *(f"{name} did not answer" for name in silent)]
    fix = "let its engine reach the registry; one that speaks plain HTTP has to be among its `insecure-registries`"
    yield Check("images on nodes", not told, "; ".join(told) or f"pulled by {_names(said)}", fix)
    ran = {name: answer for name, answer in said.items() if not answer.why_not}
    cut = [f"{name} reaches {answer.met} of {len(ran)}" for name, answer in ran.items() if answer.met < len(ran)]
    fix = "open TCP 2377 and 7946 and UDP 7946 and 4789 between all nodes"
    if len(ran) > 1:
        yield Check("ports between nodes", not cut, "; ".join(cut) or f"{_names(ran)} reach each other", fix)
    off = [f"{name} by {answer.apart:.0f} s" for name, answer in ran.items() if answer.apart > CLOCK_SECONDS]
    if ran:
        agree = f"of {_names(ran)} agree with this machine's"
        told_clocks = f"differ from this machine's: {', '.join(off)}" if off else agree
        yield Check("clocks of nodes", not off, told_clocks, "set them by one server (NTP)")
    if gaining := [name for name, answer in ran.items() if answer.gains]:
        hint = (
            "before Docker 25 a Swarm does not pass this limit on: "
            'write "no-new-privileges": true in each node\'s daemon.json'
        )
        yield Check("privileges", True, f"programs may gain some (setuid) on {', '.join(gaining)}; {hint}")


def unreachable(error: WorldError) -> Check:
    problem = error.problems[0]
    return Check("registry", False, problem.what, problem.fix or "start it, or correct runtime.swarm.registry")


def _by(nodes: Sequence[Node], what: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        found[getattr(node, what)].append(node.name)
    return found


def _listed(found: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{value} on {', '.join(names)}" for value, names in sorted(found.items()))


def _names(found: Mapping[str, Answer]) -> str:
    return ", ".join(sorted(found))
