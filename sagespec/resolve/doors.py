"""Who may ask the gateway: the keys that sagespec.yaml names, read and hashed. Nothing else ever sees a key.

A key that cannot be read is a problem of its caller alone: the gateway keeps what it knows of it, and the plan says so.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sagespec.errors import Origin, Problem, WorldError
from sagespec.gateway.certificates import read_certificate, tls_files
from sagespec.gateway.self_signed import is_good
from sagespec.runtimes.opened import Open
from sagespec.spec.doors import Caller, KeySource, Rate
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import GATEWAY
from sagespec.state.doors import UNUSABLE, AllowedCaller, Certified, Doors, Limit

SHORTEST, LONGEST = 20, 200
_KEY = re.compile(rf"[A-Za-z0-9+/=._~-]{{{SHORTEST},{LONGEST}}}")  # what can also be sent as an AWS access key id


class Unreadable(Exception):
    """what, fix: of the problem. Neither holds anything of the key."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


def resolve_doors(settings: GatewaySettings, root: Path, origins: Mapping[str, Origin], open_secret: Open) -> Doors:
    """origins: of the fields of sagespec.yaml, by path."""
    problems: list[Problem] = []
    callers = [
        _resolve_caller(name, caller, root, problems, open_secret) for name, caller in sorted(settings.callers.items())
    ]
    limits = {name: _limit(rate) for name, rate in sorted(settings.rates.items())}
    certificate = _certificate(settings, root, problems)
    placed = tuple(replace(problem, where=_at(problem.about, origins), about=str(GATEWAY)) for problem in problems)
    in_clear = bool(callers) and not settings.is_local and settings.tls is None
    return Doors(tuple(callers), limits, tuple(sorted(settings.hosts)), certificate, placed, in_clear)


def _certificate(settings: GatewaySettings, root: Path, problems: list[Problem]) -> Certified | None:
    """What the files hold now; one of ours that is still to be made, or renewed, has no digest."""
    if settings.tls is None:
        return None
    files = tls_files(settings, root)
    try:
        if settings.tls == "self_signed" and not is_good(*files, settings.hosts):
            return Certified("")
        return read_certificate(*files).facts
    except WorldError as error:
        problems += (replace(problem, about="gateway.tls") for problem in error.problems)
        return UNUSABLE


def _resolve_caller(name: str, caller: Caller, root: Path, problems: list[Problem], open_secret: Open) -> AllowedCaller:
    """problems: where those are put that its keys have, each about the field."""
    hashes = []
    before = len(problems)
    for field, reference in (("key", caller.key), ("next_key", caller.next_key)):
        try:
            hashes += [hashlib.sha256(read_key(reference, root, open_secret).encode()).hexdigest()] if reference else []
        except Unreadable as found:
            what = f"{field} of caller {name}: {found.what}"
            why = "the gateway keeps the keys that it knows of this caller, if any"
            problems.append(Problem(what, f"gateway.callers.{name}.{field}", why, found.fix))
    limit = _limit(caller.rate, caller.burst) if caller.rate else None
    unread = len(problems) > before
    return AllowedCaller(name, () if unread else tuple(hashes), tuple(sorted(caller.endpoints)), limit, unread)


def read_key(reference: KeySource, root: Path, open_secret: Open) -> str:
    """Unreadable when there is none, or none that would do."""
    if reference.secret is not None:
        place, key = str(reference), _opened(reference.secret, open_secret)
    elif reference.environment is not None:
        place, key = f"the variable {reference.environment}", os.environ.get(reference.environment, "")
        if not key:
            raise Unreadable(f"{place} is not set", "set it where sagespec runs, or name a file that holds the key")
    else:
        place, key = str(reference), _content(root / str(reference.file), str(reference))
    if not _KEY.fullmatch(key):
        kind = "letters, digits and + / = . _ ~ -"
        raise Unreadable(
            f"what {place} holds is no key: it takes {SHORTEST} to {LONGEST} {kind}",
            "make one with `sagespec key NAME`",
        )
    return key


def _opened(name: str, open_secret: Open) -> str:
    try:
        return open_secret(name)
    except WorldError as error:
        (problem,) = error.problems
        raise Unreadable(f"secret {name} cannot be had: {problem.what}", problem.fix) from None


def _content(file: Path, shown: str) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(LONGEST + 3).decode("ascii", errors="replace").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        fix = "make it with `sagespec key NAME`, or bring it here from where it is kept"
        raise Unreadable(f"{shown} cannot be read ({error.strerror or error})", fix) from None


def _limit(rate: Rate, burst: int | None = None) -> Limit:
    return Limit(burst or rate.requests, rate.requests, rate.seconds)


def _at(path: str, origins: Mapping[str, Origin]) -> Origin | None:
    while path and path not in origins:
        path = path.rpartition(".")[0]
    return origins.get(path)
