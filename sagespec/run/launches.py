"""The containers of one training job, as launches."""

from __future__ import annotations

from dataclasses import replace

from sagespec.contract import STOP_GRACE_SECONDS, host_names
from sagespec.state.desired import DesiredJob
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch


def training_launches(project_name: str, job: DesiredJob) -> tuple[Launch, ...]:
    """One launch for each host of the job, the master first; `environment` still without paths."""
    hosts = host_names(job)
    addresses = [replace(job.address, instance=index) for index in range(job.instances)]
    names = tuple(container_name(project_name, address, job.key) for address in addresses)
    return tuple(
        Launch(
            name=name,
            address=address,
            hash=job.key,
            program=job.program,
            command="train",
            environment=dict(job.environment),
            cpus=job.cpus,
            memory=job.memory,
            alias=host,
            hosts=names,
            entrypoint=job.entrypoint,
            arguments=job.arguments,
            gpus=job.gpus,
            isolated=job.isolated,
            model=f"{job.name}@{job.version}",
            grace_seconds=STOP_GRACE_SECONDS,
        )
        for name, address, host in zip(names, addresses, hosts, strict=True)
    )
