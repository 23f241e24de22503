"""What must outlive the process that follows a job: how its attempt began, and why its hosts were stopped.

A file that a job can write is no evidence. How it began is in the store (attempts.py), where the job cannot reach it.
Why it was stopped is noted in its containers, since the store may be away just then, and sealed: the key is in the
store. A job that an earlier release began has both in its containers, unsealed; there they are read, but checked.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from sagespec.run.attempts import Attempts
from sagespec.run.faults import Ending
from sagespec.runtimes.protocol import Runtime
from sagespec.state.manifest import Started

ENDING_FILE = "input/config/sagespec-ending.json"
_STARTED_FILE = "input/config/sagespec.json"  # of earlier releases, as the next
_CHECKPOINTS_FILE = "input/config/sagespec-checkpoints.json"
_STARTED = TypeAdapter(Started)
_CHECKPOINTS = TypeAdapter(dict[str, str])

T = TypeVar("T")


class _SealedEnding(Ending):
    seal: str = ""


def known_start(attempts: Attempts, runtime: Runtime, host_names: Iterable[str]) -> Started | None:
    """How the attempt began whose containers are there; None if nobody knows. It may have ended."""
    if attempts.started:
        return attempts.started
    there = [name for name in host_names if runtime.inspect(name)]
    started = next(filter(None, (_noted(_STARTED, runtime, name, _STARTED_FILE) for name in there)), None)
    if started is None:
        return None
    checkpoints = next(filter(None, (_noted(_CHECKPOINTS, runtime, name, _CHECKPOINTS_FILE) for name in there)), {})
    return started.model_copy(update={"checkpoints": checkpoints, "seal_key": ""})


def _noted(kind: TypeAdapter[T], runtime: Runtime, name: str, path: str) -> T | None:
    content = runtime.read(name, path)
    try:
        return None if content is None else kind.validate_json(content)
    except ValidationError:
        return None


def note_of(ending: Ending, started: Started) -> bytes:
    """What ENDING_FILE holds."""
    sealed = _SealedEnding(**ending.model_dump(), seal=_seal(ending, started))
    return sealed.model_dump_json().encode()


def read_note(content: bytes, started: Started) -> Ending | None:
    """The ending that such a file tells of; None if it is damaged, or not ours."""
    try:
        sealed = _SealedEnding.model_validate_json(content)
    except ValidationError:
        return None
    ending = Ending(reason=sealed.reason, by_themselves=sealed.by_themselves)
    is_ours = not started.seal_key or hmac.compare_digest(sealed.seal.encode(), _seal(ending, started).encode())
    return ending if is_ours else None


def _seal(ending: Ending, started: Started) -> str:
    return hmac.new(started.seal_key.encode(), ending.model_dump_json().encode(), hashlib.sha256).hexdigest()
