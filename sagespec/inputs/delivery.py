"""Brings a job's channels to its containers: mounted where possible, copied otherwise, or fed through pipes.

`run` opens it before it creates the containers. What a channel's hosts see is a folder on this machine: the
user's own as it stands, or a view, a folder of hard links into the cache and to the user's files. A view stays as
long as its job has containers; `sweep` removes the others.

In pipe mode each host has a companion, the program of images/feeder, which holds the data and a volume with the
FIFOs that the host sees as its input/data. It is a container like the host, so it outlives a killed sagespec.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sagespec.errors import WorldError, disk_problems
from sagespec.events import ByteCounter, Event, EventKind, Report
from sagespec.inputs.cache import Cache, Wanted, link_or_copy
from sagespec.inputs.channels import Contents, contents_of, input_of, objects_of, require_data
from sagespec.inputs.pipes import (
    FEEDER_FILE,
    READY_FILE,
    READY_SECONDS,
    feeder_fault,
    feeder_launches,
    orders_of,
    shares_of,
    volume_of,
)
from sagespec.inputs.views import empty_view, sweep, witness
from sagespec.plan import RunJob
from sagespec.resolve.content_types import of_files
from sagespec.runtimes.protocol import Runtime
from sagespec.state.data import DataObject
from sagespec.state.desired import DesiredChannel, DesiredJob
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch, Mount
from sagespec.state.manifest import Input
from sagespec.state.programs import Builtin
from sagespec.stores.protocol import Conflict

DATA = "input/data"
POLL_EVERY_SECONDS = 0.02
LISTINGS = 3  # of a channel that changes while it is fetched


@dataclass
class Delivery:
    """hosts and feeders are to be created; then `put` fills them with what is not mounted.

    content_types: by channel, where its files' names show it and the program sees no names.
    """

    runtime: Runtime
    hosts: list[Launch]
    feeders: list[Launch]
    inputs: dict[str, Input] = field(default_factory=dict)
    objects: dict[str, tuple[DataObject, ...]] = field(default_factory=dict)  # by channel
    content_types: dict[str, str] = field(default_factory=dict)
    _copies: list[tuple[str, str, Path]] = field(default_factory=list)  # container, path, source
    _files: list[tuple[str, str, bytes]] = field(default_factory=list)
    _fed: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)  # the feeders' orders, by channel

    def add(self, channel: DesiredChannel, contents: Contents, folders: Sequence[Path], *, is_mounted: bool) -> None:
        """folders: one for all hosts, or one for each."""
        path = f"{DATA}/{channel.name}"
        receivers = self.feeders if channel.input_mode == "pipe" else self.hosts
        for index, receiver in enumerate(receivers):
            folder = folders[index % len(folders)]
            if is_mounted:
                receivers[index] = replace(receiver, mounts=(*receiver.mounts, Mount(path, str(folder))))
            else:
                self._copies.append((receiver.name, path, folder))
        if contents.manifest is not None:
            self._files += ((host.name, f"{path}-manifest", contents.manifest) for host in self.hosts)
        if channel.input_mode == "pipe":
            self._fed[channel.name] = orders_of(channel, contents, len(self.hosts))

    def as_told(self, job: DesiredJob) -> DesiredJob:
        """The job as its program is told of it."""
        types = self.content_types
        told = (
            replace(channel, content_type=types.get(channel.name, channel.content_type)) for channel in job.channels
        )
        return replace(job, channels=tuple(told))

    def note_feeders(self) -> None:
        for index, feeder in enumerate(self.feeders):
            orders = {name: orders[index] for name, orders in self._fed.items()}
            self._files.append((feeder.name, FEEDER_FILE, json.dumps(orders).encode()))

    def put(self) -> None:
        for name, path, source in self._copies:
            self.runtime.put(name, path, source)
        for name, path, content in self._files:
            self.runtime.write(name, {path: content})

    def start_feeders(self) -> None:
        """Start them and wait for their first FIFOs: a program may open these without looking whether they exist."""
        for feeder in self.feeders:
            self.runtime.start(feeder.name)
        give_up_at = time.monotonic() + READY_SECONDS
        for feeder in self.feeders:
            while self.runtime.read(feeder.name, READY_FILE) is None:
                if fault := feeder_fault(self.runtime, feeder, self.runtime.inspect(feeder.name)):
                    raise WorldError(str(fault), fix="apply again")
                if time.monotonic() > give_up_at:
                    raise WorldError(f"{feeder.address} created no FIFOs within {READY_SECONDS:g} s", fix="apply again")
                time.sleep(POLL_EVERY_SECONDS)


def _delivery(runtime: Runtime, job: DesiredJob, hosts: Sequence[Launch], project_name: str) -> Delivery:
    feeders = feeder_launches(project_name, job, hosts)
    if feeders:
        # First, as other channels may be mounted below it.
        hosts = [replace(host, mounts=(Mount(DATA, volume=volume_of(host)), *host.mounts)) for host in hosts]
    return Delivery(runtime, list(hosts), list(feeders))


@dataclass(frozen=True)
class _Fetch:
    """One channel on its way into a view. keep_going: called often; what it raises ends the work."""

    channel: DesiredChannel
    view: Path
    host_count: int
    counter: ByteCounter
    keep_going: Callable[[], None]


@dataclass(frozen=True)
class Inputs:
    """views: a folder for the views of jobs, on the disk of `cache`."""

    runtime: Runtime
    root: Path
    cache: Cache
    views: Path

    @contextmanager
    def delivery(
        self,
        job: DesiredJob,
        hosts: Sequence[Launch],
        *,
        project_name: str,
        report: Report,
        keep_going: Callable[[], None],
    ) -> Iterator[Delivery]:
        """Everything the channels hold, on this machine and ready to be mounted in or put into the containers.

        Inside the block nobody sweeps the job's view; afterwards its containers protect it. keep_going: called often
        while data are fetched; what it raises ends that.
        """
        delivery = _delivery(self.runtime, job, hosts, project_name)
        if not job.channels:
            yield delivery
            return
        with empty_view(self.views / container_name(project_name, job.address, job.key)) as view:
            for channel in job.channels:
                counter = _counter(report, job, channel)
                contents, folders = self._bring(_Fetch(channel, view, len(hosts), counter, keep_going))
                delivery.objects[channel.name] = objects_of(contents)
                delivery.inputs[channel.name] = input_of(channel, contents, delivery.objects[channel.name])
                if isinstance(job.program, Builtin) and not job.code:
                    require_data(channel, contents)
                    if channel.input_mode == "pipe" and not channel.content_type and (kind := of_files(contents.data)):
                        delivery.content_types[channel.name] = kind
                is_mounted = not channel.writable and self._can_be_mounted(channel, contents, folders[0])
                delivery.add(channel, contents, folders, is_mounted=is_mounted)
            delivery.note_feeders()
            yield delivery

    def sweep(self, project_name: str) -> None:
        """Remove the views of jobs without containers."""
        sweep(self.views, self.runtime, project_name)

    def _bring(self, fetch: _Fetch) -> tuple[Contents, list[Path]]:
        """The channel's contents, and the folder of each share: one, or one for each host."""
        for _ in range(LISTINGS - 1):
            try:
                return self._bring_once(fetch)
            except Conflict:  # changed while it was fetched: use what is there now
                for share in fetch.view.iterdir():
                    shutil.rmtree(share / fetch.channel.name, ignore_errors=True)
        return self._bring_once(fetch)

    def _bring_once(self, fetch: _Fetch) -> tuple[Contents, list[Path]]:
        contents = contents_of(fetch.channel, self.root)
        fetch.counter.begin(contents.bytes)
        shares = shares_of(fetch.channel, contents, fetch.host_count)
        if len(shares) == 1 and contents.root and contents.is_plain_folder:
            fetch.counter.add(contents.bytes)
            return contents, [contents.root]
        folders = [fetch.view / str(number) / fetch.channel.name for number in range(len(shares))]
        targets = {path: folder / path for folder, paths in zip(folders, shares, strict=True) for path in paths}
        with disk_problems(f"cannot copy {fetch.channel.source} to {fetch.view}"):
            for folder in folders:
                folder.mkdir(parents=True)
            self._fill(fetch, contents, targets)
            for above, _, _ in os.walk(fetch.view):  # whatever our umask: in a container another user reads it
                Path(above).chmod(0o755)
        return contents, folders

    def _fill(self, fetch: _Fetch, contents: Contents, targets: Mapping[str, Path]) -> None:
        if contents.root is None:
            wanted = [Wanted(contents.store, entry, targets[entry.key]) for entry in contents.entries]
            self.cache.bring(wanted, fetch.counter.add, fetch.keep_going)
            return
        for entry in contents.entries:
            fetch.keep_going()
            link_or_copy(contents.file(entry), targets[entry.key])
            fetch.counter.add(entry.size)

    def _can_be_mounted(self, channel: DesiredChannel, contents: Contents, folder: Path) -> bool:
        """Where a mount is only a link, only fastfile gets one: a program may write to its input files."""
        if folder == contents.root:
            how = self.runtime.mounts(folder, contents.entries[0].key)
        else:
            with witness(self.views) as name:
                how = self.runtime.mounts(self.views, name)
        return how == "read-only" or (how == "links" and channel.input_mode == "fastfile")


def _counter(report: Report, job: DesiredJob, channel: DesiredChannel) -> ByteCounter:
    """Counts how much of a channel is here."""
    return ByteCounter(
        report, Event(EventKind.PROGRESS, str(job.address), f"reading {channel.name}", action=RunJob.verb)
    )
