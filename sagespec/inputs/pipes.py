"""Pipe mode: the feeders that fill a host's FIFOs, and what they are ordered to feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sagespec.inputs.channels import Contents, is_hidden, share_of
from sagespec.runtimes.protocol import Runtime
from sagespec.state.desired import DesiredChannel, DesiredJob
from sagespec.state.faults import Fault, FaultKind
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch, Mount
from sagespec.state.observed import Container, ContainerState
from sagespec.state.programs import Builtin

FEEDER = Builtin("feeder")
PIPES = "pipes"  # where a feeder sees what its host sees as DATA
FEEDER_FILE = "input/config/feeder.json"
READY_FILE = "output/ready"
READY_SECONDS = 120.0


def orders_of(channel: DesiredChannel, contents: Contents, host_count: int) -> list[Mapping[str, Any]]:
    """The orders for the program of images/feeder for one channel, by host: all that a program would read as a file."""
    shares = [[path for path in share if not is_hidden(path)] for share in shares_of(channel, contents, host_count)]
    deal = host_count if _is_dealt_each_epoch(channel) else 1
    return [
        {
            "objects": shares[index % len(shares)],
            "seed": channel.shuffle_seed,
            "index": index % deal,
            "count": deal,
            "gzip": channel.gzip,
            "recordio": channel.recordio,
        }
        for index in range(host_count)
    ]


def feeder_launches(project_name: str, job: DesiredJob, hosts: Sequence[Launch]) -> tuple[Launch, ...]:
    """A companion for each host of a job with channels in pipe mode."""
    if not any(channel.input_mode == "pipe" for channel in job.channels):
        return ()
    addresses = [replace(host.address, variant="feeder") for host in hosts]
    return tuple(
        Launch(
            name=container_name(project_name, address, job.key),
            address=address,
            hash=job.key,
            program=FEEDER,
            command="train",
            mounts=(Mount(PIPES, volume=volume_of(host)),),
        )
        for address, host in zip(addresses, hosts, strict=True)
    )


def feeder_fault(runtime: Runtime, feeder: Launch, container: Container | None) -> Fault | None:
    """Why a feeder has stopped feeding, seen as this container; None while it feeds."""
    if container is None:
        return Fault(FaultKind.INTERNAL, f"{feeder.address}, which feeds the pipes, was removed while it ran")
    if container.state is not ContainerState.EXITED:
        return None
    if container.is_lost:
        return Fault(FaultKind.INTERNAL, f"{feeder.address}, which feeds the pipes, ended with its machine")
    said = runtime.read(feeder.name, "output/failure") or b""
    if fault := Fault.read(said.decode(errors="replace").strip()):
        return fault
    note = f" ({container.note})" if container.note else ""
    lines = "\n".join(runtime.logs(feeder.name, tail=5))
    reason = f"{feeder.address}, which feeds the pipes, exited with code {container.exit_code}{note}"
    return Fault(FaultKind.INTERNAL, reason + (f"; its last lines:\n{lines}" if lines else ""))


def volume_of(host: Launch) -> str:
    return f"{host.name}_pipes"


def shares_of(channel: DesiredChannel, contents: Contents, host_count: int) -> list[list[str]]:
    """The objects that each host needs; a single list if all need the same."""
    if not channel.sharded or host_count == 1 or _is_dealt_each_epoch(channel):
        return [contents.paths]
    return [
        share_of(contents.paths, seed=channel.shuffle_seed, index=index, count=host_count, sharded=True)
        for index in range(host_count)
    ]


def _is_dealt_each_epoch(channel: DesiredChannel) -> bool:
    """Whether each epoch gives every host other objects."""
    return channel.input_mode == "pipe" and channel.sharded and channel.shuffle_seed is not None
