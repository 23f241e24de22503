"""Why a job ended without running to its own end: what kind of fault, and in which words.

Kinds are the words that begin a FailureReason or secondary status in SageMaker. The text form is what manifests and
containers hold; it is written and read here alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from sagespec.state.addresses import Address

OUT_OF_MEMORY = "out of memory"  # as engines and reasons say it; with a colon and the figures behind it
_RAN_OUT = re.compile(rf"\w+: {OUT_OF_MEMORY}: |.* \({OUT_OF_MEMORY}: ")
_OWN_WORD = re.compile(r"\w+Error")


class FaultKind(StrEnum):
    ALGORITHM = "AlgorithmError"
    CLIENT = "ClientError"  # the input's, or the hyperparameters'
    INTERNAL = "InternalServerError"  # the platform's: another attempt may end better
    OTHER = "Error"  # a program's own word, such as ValueError; the reason begins with it
    STOPPED = "Stopped"
    MAX_RUNTIME = "MaxRuntimeExceeded"
    MAX_WAIT = "MaxWaitTimeExceeded"

    @property
    def is_stop(self) -> bool:
        """Whether the job was ended on purpose, and so has not failed."""
        return self in (FaultKind.STOPPED, FaultKind.MAX_RUNTIME, FaultKind.MAX_WAIT)


@dataclass(frozen=True)
class Fault:
    """
    >>> str(Fault(FaultKind.ALGORITHM, "no labels"))
    'AlgorithmError: no labels'
    """

    kind: FaultKind
    reason: str

    def __str__(self) -> str:
        return self.reason if self.kind is FaultKind.OTHER else f"{self.kind}: {self.reason}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The fault that `text` is the text of; None when it is of none.

        >>> Fault.read("ClientError: no labels")
        Fault(kind=<FaultKind.CLIENT: 'ClientError'>, reason='no labels')
        >>> str(Fault.read("ValueError: no labels")), Fault.read("no labels")
        ('ValueError: no labels', None)
        """
        word, colon, reason = text.partition(": ")
        if not colon:
            return None
        kind = next((kind for kind in FaultKind if kind == word), FaultKind.OTHER)
        if kind is not FaultKind.OTHER:
            return cls(kind, reason)
        return cls(FaultKind.OTHER, text) if _OWN_WORD.fullmatch(word) else None


def fix_for(reason: str, address: Address) -> str:
    """What to do about a job that has ended with this reason."""
    if _RAN_OUT.match(reason):
        return "raise resources.memory, then run `sagespec apply --retry`"
    fault = Fault.read(reason)
    kind = fault.kind if fault else FaultKind.OTHER
    if kind is FaultKind.STOPPED:
        return f"`sagespec apply --retry` trains it; or take its spec away; what it printed: `sagespec logs {address}`"
    if kind is FaultKind.INTERNAL:
        return f"run `sagespec apply --retry`; what it printed: `sagespec logs {address}`"
    if kind is FaultKind.MAX_RUNTIME or kind is FaultKind.MAX_WAIT:
        limit = "max_runtime" if kind is FaultKind.MAX_RUNTIME else "max_wait"
        return f"raise stopping.{limit}, then run `sagespec apply --retry`"
    cause = "the data or the spec" if kind is FaultKind.CLIENT else "the code, the data or the spec"
    return (
        f"correct {cause}: changed, it runs again at the next apply; to run it as it is, `sagespec apply --retry`;"
        f" what it printed: `sagespec logs {address}`"
    )
