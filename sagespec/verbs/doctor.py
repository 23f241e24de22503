"""What `sagespec doctor` checks: everything a run needs, each with how to fix it.

Called by `Project.checks`. Nothing found is raised: a check that cannot be made says so, and where the settings
cannot be read, everything that does not need them is still checked.
"""

from __future__ import annotations

import platform
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sagespec import __version__
from sagespec.display import second_text
from sagespec.edits import limits, no_notices
from sagespec.errors import SagespecError, WorldError
from sagespec.load.load import find_root
from sagespec.own_git import git
from sagespec.parts import Parts
from sagespec.ports import is_taken, listener_on
from sagespec.records.holder import why_dead
from sagespec.records.lock import read_lock
from sagespec.repository.commands import SIGNS_SINCE, git_version
from sagespec.runtimes.choose import choose
from sagespec.runtimes.protocol import Check
from sagespec.state.addresses import GATEWAY
from sagespec.state.observed import ContainerState
from sagespec.stores.protocol import Conflict, StoreAway
from sagespec.verbs.locked import how_to_leave
from sagespec.verbs.owners import refuse_others
from sagespec.verbs.plan import Validated, validate

ROOM_BYTES = 2**30
GIT_SECONDS = 10.0
CLOCK_SECONDS = 60.0  # as far as two clocks may be apart before a lease counts as over too early

CheckGroup = Callable[[Parts], Iterator[Check]]


def checks(parts: Parts) -> tuple[Check, ...]:
    """All checks, in the order in which to fix what failed."""
    groups: list[tuple[str, CheckGroup]] = [
        ("sagespec", _sagespec),
        ("project", _settings),
        ("runtime", _runtime),
        ("store", _store),
        ("specs", _specs),
        ("secrets", _secrets),
        ("cache", _cache),
        ("lock", _lock),
        ("runs", _runs),
        ("gateway", _gateway_port),
        ("clock", _clock),
        ("edits", _edits),
        ("git", _git),
    ]
    found: list[Check] = []
    away: list[StoreAway] = []
    for name, group in groups:
        needs_settings = group not in (_sagespec, _settings, _runtime)
        if needs_settings and any(check.name == "project" and not check.ok for check in found):
            continue  # said once, by "project"
        if away and group in (_lock, _runs):
            continue  # said by "store"; each would wait for it again
        found += _guarded(name, _specs_alone if away and group is _specs else group, parts, away)
    return tuple(found)


def _guarded(name: str, group: CheckGroup, parts: Parts, away: list[StoreAway]) -> list[Check]:
    try:
        return list(group(parts))
    except SagespecError as error:
        if isinstance(error, StoreAway):
            away.append(error)
        first = error.problems[0]
        place = f"{first.where}  " if first.where else ""
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        return [Check(name, False, f"{place}{first.what}{more}", first.fix)]
    except Exception as error:  # doctor must survive whatever it finds
        return [Check(name, False, f"could not be checked: {type(error).__name__}: {error}", "please report this")]


def _sagespec(_parts: Parts) -> Iterator[Check]:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield Check("sagespec", True, f"{__version__}, Python {platform.python_version()} ({sys.executable}), {system}")


def _settings(parts: Parts) -> Iterator[Check]:
    find_root(parts.root)  # says so when there is no sagespec.yaml
    yield Check("project", True, f"{parts.settings.name} in {parts.root}")


def _specs(parts: Parts) -> Iterator[Check]:
    yield from _told_of(validate(parts))


def _specs_alone(parts: Parts) -> Iterator[Check]:
    yield from _told_of(validate(parts, asks_store=False))


def _told_of(found: Validated) -> Iterator[Check]:
    yield Check("specs", True, f"jobs: {found.jobs}, endpoints: {found.endpoints}, files: {len(found.files)}")


def _runtime(parts: Parts) -> Iterator[Check]:
    try:
        engine, reason = parts.runtime, parts.runtime_reason
    except WorldError:
        raise  # the engine that was asked for is not there
    except SagespecError:  # no settings: what would be chosen without any
        engine, reason = choose("auto", "doctor", parts.root)
    last = parts.last_runtime()
    if last and last != engine.name:
        told = f"{engine.name}, but this project runs under the runtime {last}"
        yield Check("runtime", False, told, _fix_of_other_runtime(parts, last))
    else:
        yield Check("runtime", True, reason.removeprefix("runtime "))
    found = engine.checks()
    yield from found
    if not any(check.name == "disk" for check in found):
        yield _disk(parts.root)


def _fix_of_other_runtime(parts: Parts, last: str) -> str:
    with suppress(SagespecError):  # no settings
        return f"{how_to_leave(parts)}, or stay with {last}"
    return f"stay with {last}"


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    room = "free some space: channels and models pass through there"
    return Check("disk", free >= ROOM_BYTES, f"{free / 2**30:.1f} GiB free at {folder}", room)


def _store(parts: Parts) -> Iterator[Check]:
    """Write, read back, write once more on a condition that does not hold, delete: all that is ever asked of it."""
    store, key = parts.store, f"{parts.settings.name}/doctor-{secrets.token_hex(4)}"
    begun = time.monotonic()
    store.write(key, b"probe", if_absent=True)
    try:
        found = store.read(key)
        try:
            store.write(key, b"other", if_absent=True)
            keeps_conditions = False
        except Conflict:
            keeps_conditions = True
    finally:
        store.delete(key)
    took = f"{(time.monotonic() - begun) * 1000:.0f} ms"
    if found is None or found[0] != b"probe":
        yield Check("store", False, f"{store.uri} does not give back what was written", "use another store")
    elif not keeps_conditions:
        lost = f"{store.uri} ignores If-None-Match, so two runs at once would not notice each other"
        yield Check("store", False, lost, "use a server that knows conditional writes (S3, MinIO, a folder)")
    else:
        yield Check("store", True, f"{store.uri}: written, read and deleted a probe in {took}")


def _secrets(parts: Parts) -> Iterator[Check]:
    """Each is opened, as `apply` would; of none there is nothing to say."""
    for name, source in sorted(parts.secrets.sources.items()):
        try:
            parts.secrets.open(name)
            seen = source.provider == "file" and _is_seen_by_git(parts.home / source.place)
            told = f"{source.place} is not ignored by git: the secret is in a commit, or will be in the next"
            fix = f"add {source.place} to .gitignore; if it was committed, rotate it, and `git rm --cached` it"
            yield Check(f"secret {name}", not seen, told if seen else str(source), fix if seen else "")
        except WorldError as error:
            (problem,) = error.problems
            yield Check(f"secret {name}", False, problem.what, problem.fix)


def _is_seen_by_git(path: Path) -> bool:
    """Whether the file is in the index of its repository, or `git add -A` would put it there."""
    with suppress(WorldError):  # no git, or no repository
        words = ("ls-files", "--cached", "--others", "--exclude-standard", "--", path.name)
        return bool(git(path.parent, *words, seconds=GIT_SECONDS))
    return False


def _cache(parts: Parts) -> Iterator[Check]:
    used, limit = parts.cache.size() / 2**30, parts.settings.cache_size / 2**30
    yield Check("cache", True, f"{used:.1f} of {limit:g} GiB in {parts.cache.folder}; deleted data is fetched again")


def _lock(parts: Parts) -> Iterator[Check]:
    holder = read_lock(parts.store, parts.settings.name)
    if holder is None:
        yield Check("lock", True, "free")
        return
    now = datetime.now(UTC)
    dead_reason = why_dead(holder, now, now)
    fate = f"dead ({dead_reason}): the next run takes it over" if dead_reason else "running, as far as can be told"
    yield Check("lock", True, f"held by {holder}, {fate}; id {holder.id}")
    if (holder.renewed_at - now).total_seconds() > CLOCK_SECONDS:
        fix = f"set the clocks of this machine and of {holder.host} by the same server (NTP)"
        yield Check("clock", False, f"the lock was renewed at {second_text(holder.renewed_at)}, which is to come", fix)


def _runs(parts: Parts) -> Iterator[Check]:
    """Who works on the project without its lock."""
    at_work = parts.leases().look()
    told = [str(run.holder) for run in at_work.runs]
    told += [f"{address} is followed by {at_work.followers[address].by}" for address in sorted(at_work.followers)]
    yield Check("runs", True, "\n".join(told) or "none is running")


def _gateway_port(parts: Parts) -> Iterator[Check]:
    settings = parts.gateway.find()
    place = f"{settings.host}:{settings.port}"
    containers = parts.runtime.containers()
    refuse_others(parts, containers)
    ours = [c for c in containers if c.address == GATEWAY and c.state is ContainerState.RUNNING]
    if ours:
        answers = parts.gateway.observe(ours).answers
        wrong = "does not answer" if ours[0].is_on_network else "is off the project's network"
        told = f"{place} is ours ({ours[0].name})" + ("" if answers else f", but it {wrong}")
        yield Check("gateway port", answers, told, "`sagespec apply` starts it again; see `sagespec logs gateway`")
    elif not parts.runtime.is_local:
        yield Check("gateway port", True, f"{place} is on the engine's machine, where it cannot be checked from here")
    elif is_taken(settings.host, settings.port):
        holder = listener_on(settings.port) or "another program (of another user, or in a container)"
        if parts.settings.gateway.sets_port:
            fix = "stop it, or set another gateway.port in sagespec.yaml"
            yield Check("gateway port", False, f"{place} is held by {holder}", fix)
        else:
            yield Check("gateway port", True, f"{place} is held by {holder}; `sagespec apply` picks another port")
    else:
        yield Check("gateway port", True, f"{place} is free")


def _git(parts: Parts) -> Iterator[Check]:
    found = parts.find_commit()
    commit = f"commit {found.git.commit[:7]}{', and changes' if found.git.dirty else ''}" if found.git else ""
    told = "; ".join(filter(None, (commit, found.problem)))
    yield Check("git", not found.problem, told or "no commit: history cannot say what was applied", found.fix)
    if parts.home != parts.root:  # a branch is followed
        version = git_version()
        fix = "install git 2.34 or newer: older ones know no SSH signatures"
        yield Check("git of the source", version >= SIGNS_SINCE, ".".join(map(str, version)) or "not installed", fix)


def _clock(parts: Parts) -> Iterator[Check]:
    """Leases and time limits compare times, so our clock must agree with the disk's, which may be a server's."""
    told = second_text(datetime.now(UTC))
    try:
        with tempfile.NamedTemporaryFile(dir=parts.scratch) as file:
            apart = abs(Path(file.name).stat().st_mtime - time.time())
    except OSError:  # a checkout that is only read, to plan from
        yield Check("clock", True, f"{told}, not compared with that of the disk: {parts.root} cannot be written")
        return
    told += f", {apart:.0f} s from that of the disk" if apart > 1 else ""
    yield Check("clock", apart < CLOCK_SECONDS, told, "set the clock (NTP)")


def _edits(parts: Parts) -> Iterator[Check]:
    """Whether `watch` hears of them, or has to look."""
    why_not = no_notices([parts.root / path for path in parts.specs])
    told = f"{why_not}; {limits()}, which `sysctl -w` can raise" if why_not else "noticed by `watch` at once"
    yield Check("edits", True, told)
