"""What a look at a repository elsewhere has found: the commit that is to be applied, and whose signature it has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RemoteState(StrEnum):
    FOUND = "found"
    GONE = "gone"  # it answers, and does not have the branch or tag
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Remote:
    """The branch, or the highest tag. name: main, or v1.2.0. descends: whether the commit follows the one seen before,
    by its history. text: why it is unreachable. since: when that began, and looks: how many found it so."""

    state: RemoteState
    commit: str = ""
    name: str = ""
    descends: bool = True
    text: str = ""
    since: datetime | None = None
    looks: int = 0


@dataclass(frozen=True)
class Signed:
    """Whether a commit has the signatures that are asked for. by: the signer. problem: what is wrong, '' for nothing;
    commit: with which one."""

    by: str = ""
    problem: str = ""
    commit: str = ""

    @property
    def is_good(self) -> bool:
        return not self.problem


@dataclass(frozen=True)
class Verification:
    """Of the remote's commit, and of the applied one. signers: the fingerprint of the files of signers."""

    new: Signed
    applied: Signed | None
    signers: str
