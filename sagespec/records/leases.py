"""Who is at work on a project without its lock: who follows which job, and which runs wait for something.

    <project>/active/jobs/<name>/<version>.json     whoever follows the job: its containers, its results
    <project>/active/runs/<id>.json                 a `watch`, or an `apply` that waits; for people to see
    <project>/active/stops/<name>/<version>.json    a job is asked to stop; `run.stops` reads it
    <project>/active/rollbacks/<endpoint>.json      an earlier revision is asked for
    <project>/active/removals/<endpoint>.json       an endpoint that no spec names is to go
    <project>/active/retries/<endpoint>.json        an endpoint that was given up is to be tried again
    <project>/active/rollouts/<endpoint>.json       how far its rollout has come
    <project>/active/promotions/<endpoint>.json     the rest of its rollout is to be left out
    <project>/active/aborts/<endpoint>.json         its rollout is to be taken back
    <project>/active/restarts/endpoint/<name>.json  new containers are asked for; of the gateway: restarts/gateway.json
    <project>/active/suspensions/<kind>/<name>.json nobody is to change it; of the project: suspensions/project.json
    <project>/active/leaving/<container>.json       an instance is being stopped, and counts as gone

A job's lease is taken under the project's lock alone, so a released one stays released while the lock is held, and may
be deleted then. One listing and a few small reads tell everything: there is a file for each that is at work.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report, silent
from sagespec.records.holder import Doing, Holder, holder_here, why_dead
from sagespec.records.lease import (
    LEASE_SECONDS,
    Clock,
    Found,
    Lease,
    Wait,
    read_lease,
    try_to_take,
    utc_now,
    wait_for,
)
from sagespec.state.addresses import GATEWAY, Address, endpoint_address, job_address, notebook_address
from sagespec.state.manifest import Record
from sagespec.state.observed import Follower
from sagespec.state.progress import AbortRequest, Progress, PromoteRequest
from sagespec.state.revision import RemovalRequest, RestartRequest, RetryRequest, RollbackRequest
from sagespec.state.suspension import Suspension
from sagespec.stores.protocol import Store

SEIZE_TRIES = 20  # a follower renews now and then, and before each write

_Read = TypeVar("_Read", bound=BaseModel)
_OF_ENDPOINTS: Mapping[str, type[Record]] = {
    "rollbacks": RollbackRequest,
    "removals": RemovalRequest,
    "retries": RetryRequest,
    "rollouts": Progress,
    "promotions": PromoteRequest,
    "aborts": AbortRequest,
}


class FollowedElsewhere(WorldError):
    """Somebody alive follows the job."""


@dataclass(frozen=True)
class RunSeen:
    """A run that is at work. holder: of the lease by which it shows itself, renewed every few seconds."""

    holder: Holder
    doing: Doing

    @property
    def since(self) -> datetime:
        return self.holder.taken_at


@dataclass(frozen=True)
class AtWork:
    """followers: of jobs, by address. runs: that wait for something, or watch; the oldest first. stops: jobs that were
    asked to stop. rollbacks, removals, retries: asked for, by endpoint. leaving: names of containers that are being
    stopped. restarts: asked for, by what is restarted. rollouts: that have begun, by endpoint, and what is asked of
    them: promotions, aborts. suspensions: what nobody is to change."""

    followers: Mapping[Address, Follower] = field(default_factory=dict)
    runs: tuple[RunSeen, ...] = ()
    stops: frozenset[Address] = frozenset()
    rollbacks: Mapping[str, RollbackRequest] = field(default_factory=dict)
    leaving: frozenset[str] = frozenset()
    restarts: Mapping[Address, RestartRequest] = field(default_factory=dict)
    removals: Mapping[str, RemovalRequest] = field(default_factory=dict)
    retries: Mapping[str, RetryRequest] = field(default_factory=dict)
    rollouts: Mapping[str, Progress] = field(default_factory=dict)
    promotions: Mapping[str, PromoteRequest] = field(default_factory=dict)
    aborts: Mapping[str, AbortRequest] = field(default_factory=dict)
    suspensions: tuple[Suspension, ...] = ()


class Leases:
    """The leases of one project, as one run of sagespec sees and takes them.

    command: of the run, for people. specs: the files and folders that it reads; '' if from none.
    """

    def __init__(
        self,
        store: Store,
        project_name: str,
        *,
        command: str = "",
        specs: str = "",
        clock: Clock = utc_now,
        wait: Wait = wait_for,
    ) -> None:
        self._store = store
        self._prefix = f"{project_name}/active/"
        self._command, self._specs, self._clock, self._wait = command, specs, clock, wait
        self._ours: dict[str, Lease] = {}  # that may be in the store as ours, by the id of their holder
        self._seen: dict[str, tuple[str, datetime]] = {}  # by key: the ETag, and since when it is that
        self._over: dict[str, Holder | None] = {}  # what the last look found to be released, dead or damaged

    @property
    def command(self) -> str:
        """Of this run."""
        return self._command

    @property
    def by(self) -> str:
        """This run, for people."""
        return str(self._holder(self._clock()))

    def look(self) -> AtWork:
        """Everybody who is alive, ourselves included."""
        now = self._clock()
        entries = self._store.entries(self._prefix)
        etags = {entry.key: entry.etag for entry in entries if self._place(entry.key)}
        stops, leaving = ({key for key in etags if self._place(key)[0] == kind} for kind in ("stops", "leaving"))
        self._seen = {key: (etag, self._since(key, etag, now)) for key, etag in etags.items()}
        followers: dict[Address, Follower] = {}
        restarts: dict[Address, RestartRequest] = {}
        of_endpoints: dict[str, dict[str, Any]] = {kind: {} for kind in _OF_ENDPOINTS}
        suspensions = []
        runs = []
        self._over = {}
        for key, content in self._store.read_many(etags.keys() - stops - leaving).items():
            where = self._place(key)
            if where[0] in _OF_ENDPOINTS:
                if found := _parsed(_OF_ENDPOINTS[where[0]], content):
                    of_endpoints[where[0]][where[1]] = found
                continue
            if where[0] == "restarts":
                if restart := _parsed(RestartRequest, content):
                    restarts[_restarted(where)] = restart
                continue
            if where[0] == "suspensions":
                if suspension := _parsed(Suspension, content):
                    suspensions.append(suspension)
                continue
            holder = _parsed(Holder, content)
            if holder is None or holder.released or self._why_dead(key, holder, now):
                self._over[key] = holder
            elif where[0] == "jobs":
                followers[_job_at(where)] = self._follower(holder)
            else:
                runs.append(_run_seen(holder))
        asked = frozenset(_job_at(self._place(key)) for key in stops)
        by_age = tuple(sorted(runs, key=lambda run: run.since))
        names_leaving = frozenset(self._place(key)[1] for key in leaving)
        return AtWork(
            followers=followers,
            runs=by_age,
            stops=asked,
            leaving=names_leaving,
            restarts=restarts,
            suspensions=tuple(sorted(suspensions, key=lambda one: one.about)),
            **of_endpoints,
        )

    def follow(self, address: Address, report: Report = silent) -> Lease:
        """The right to follow a job; only under the project's lock. FollowedElsewhere when somebody alive has it."""
        key, now = self._job_key(address), self._clock()
        present = read_lease(self._store, key)
        dead = self._why_dead(key, present.holder, now) if present and not present.holder.released else ""
        if present and not present.holder.released and not dead:
            raise FollowedElsewhere(f"{address} is followed by {present.holder}")
        taken = try_to_take(self._store, key, self._holder(now), present)
        if taken is None:
            raise FollowedElsewhere(f"{address} is followed by another run since just now")
        if present and dead:
            report(Event(EventKind.LOCK, str(address), f"took over from {present.holder}: {dead}"))
        return self._ours_now(key, taken, what=f"the lease of {address}")

    def seize(self, address: Address) -> None:
        """Take a job that is to be no more from whoever follows it, dead or alive; only under the project's lock. They
        notice before they write anything, and remove what they have created since."""
        key = self._job_key(address)
        mine = self._holder(self._clock()).model_copy(update={"released": True})
        for _ in range(SEIZE_TRIES):
            present = read_lease(self._store, key)
            if present is None or present.holder.released or self._is_ours(present.holder):
                return
            if try_to_take(self._store, key, mine, present):
                return  # else they have just renewed it, or given it back
        raise WorldError(
            f"the lease of {address} could not be taken from its follower",
            why=f"it was renewed {SEIZE_TRIES} times while that was tried",
            fix="run the command again",
        )

    def announce(self, doing: Doing) -> Lease:
        """A lease that shows this run to others, and what it does; `Lease.renew` changes that."""
        holder = self._holder(self._clock()).model_copy(update={"doing": doing})
        key = f"{self._prefix}runs/{holder.id}.json"
        taken = try_to_take(self._store, key, holder, None)
        if taken is None:
            raise WorldError(f"{self._store.uri}/{key} exists already", fix="run the command again")
        return self._ours_now(key, taken, what="the lease of this run")

    def mark_leaving(self, container: str) -> None:
        """Let everybody see that it is being stopped; only under the project's lock, as the two below. A mark outlives
        its run: what was told to stop will end."""
        text = json.dumps({"by": self.by, "since": self._clock().isoformat()}, indent=2)
        self._store.write(self._leaving_key(container), f"{text}\n".encode())

    def is_leaving(self, container: str) -> bool:
        return self._store.read(self._leaving_key(container)) is not None

    def unmark_leaving(self, container: str) -> None:
        """Once no container has the name."""
        self._store.delete(self._leaving_key(container))

    def sweep(self, wanted: Collection[Address]) -> None:
        """Delete what the last look found to be over; only under the project's lock. wanted: jobs that are to be
        followed, where a dead follower is taken over from."""
        for key, holder in self._over.items():
            is_kept = holder and not holder.released and key in map(self._job_key, wanted)
            if not is_kept:
                self._store.delete(key)
        self._over = {}

    def _ours_now(self, key: str, taken: Found, *, what: str) -> Lease:
        lease = Lease(self._store, key, taken, what=what, clock=self._clock, wait=self._wait)
        self._ours = {id: ours for id, ours in self._ours.items() if not ours.is_over} | {lease.holder.id: lease}
        return lease

    def _is_ours(self, holder: Holder) -> bool:
        return holder.id in self._ours and self._ours[holder.id].is_held

    def _since(self, key: str, etag: str, now: datetime) -> datetime:
        before, since = self._seen.get(key, ("", now))
        return since if before == etag else now

    def _why_dead(self, key: str, holder: Holder, now: datetime) -> str:
        if holder.id in self._ours:  # the store may have been away when it was given back
            return "" if self._is_ours(holder) else "it was let go of"
        return why_dead(holder, self._seen.get(key, ("", now))[1], now)

    def _follower(self, holder: Holder) -> Follower:
        ours, shares = self._is_ours(holder), self._shares(holder)
        return Follower(str(holder), holder.taken_at, ours, reads_our_specs=shares, who=holder.who)

    def _shares(self, holder: Holder) -> bool:
        here = self._holder(self._clock())
        return bool(holder.specs) and (holder.host, holder.specs) == (here.host, here.specs)

    def _holder(self, now: datetime) -> Holder:
        return holder_here(self._command, LEASE_SECONDS, now, specs=self._specs)

    def _place(self, key: str) -> list[str]:
        """The kind, and of what; empty for what is nothing of ours, as what only a later release knows."""
        name = key.removeprefix(self._prefix)
        where = name.removesuffix(".json").split("/")
        match where:
            case ["jobs" | "stops", _, version]:
                is_known = version.isascii() and version.isdecimal()
            case ["runs" | "leaving", _] | ["restarts", "endpoint" | "notebook", _] | ["restarts", "gateway"]:
                is_known = True
            case ["suspensions", *names]:
                is_known = bool(names)
            case [kind, _]:
                is_known = kind in _OF_ENDPOINTS
            case _:
                is_known = False
        return where if is_known and name.endswith(".json") else []

    def _leaving_key(self, container: str) -> str:
        return f"{self._prefix}leaving/{container}.json"

    def _job_key(self, address: Address) -> str:
        return f"{self._prefix}jobs/{address.name}/{address.version}.json"


def _job_at(where: list[str]) -> Address:
    return job_address(where[1], int(where[2]))


def _restarted(where: list[str]) -> Address:
    if not where[2:]:
        return GATEWAY
    return notebook_address(where[2]) if where[1] == "notebook" else endpoint_address(where[2])


def _parsed(kind: type[_Read], content: bytes) -> _Read | None:
    """None for what is damaged: it counts as nobody's, and whoever holds it notices when it is taken."""
    try:
        return kind.model_validate_json(content)
    except ValidationError:
        return None


def _run_seen(holder: Holder) -> RunSeen:
    return RunSeen(holder, holder.doing or Doing())
