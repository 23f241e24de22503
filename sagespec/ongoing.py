"""What leaves nothing to do just now: jobs that other runs follow, revisions between two steps, what is suspended, and
trained jobs that are stale."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sagespec.errors import Problem
from sagespec.state.addresses import Address
from sagespec.state.rollout import Tally
from sagespec.state.suspension import PROJECT, Suspension

_NOTHING = Tally()


@dataclass(frozen=True)
class Running:
    """A job that another run follows, which leaves nothing to do here.

    needed_by: endpoints that wait for it. goes_on: that run reads our specs, and so will serve its model itself.
    """

    about: Address
    by: str
    since: datetime
    goes_on: bool = False
    needed_by: tuple[Address, ...] = ()

    @property
    def is_needed(self) -> bool:
        """Whether this run has something to do once it has ended."""
        return bool(self.needed_by) and not self.goes_on

    def __str__(self) -> str:
        return f"followed by {self.by}"

    @property
    def text(self) -> str:
        """The same with the endpoints that wait for it, or how many do."""
        match self.needed_by:
            case ():
                return str(self)
            case (only,):
                return f"{self}; {only} waits for it"
            case several:
                return f"{self}; {len(several)} endpoints wait for it"

    def as_json(self) -> dict[str, Any]:
        return {
            "about": str(self.about),
            "followed_by": self.by,
            "since": self.since.isoformat(),
            "needed_by": [str(address) for address in self.needed_by],
            "waited_for": self.is_needed,
        }


@dataclass(frozen=True)
class Rolling:
    """A revision that is being rolled out step by step, with nothing to do just now.

    number: of the revision. step: from 1; of `steps`. share: of the traffic that it has, 0 to 1. since: when the step
    began; ends_at: when it will end if nothing happens. looks_again_at: when time alone may bring something to do.
    text: how it stands, for people. candidate, live: what came to the two since the rollout began. by: who began it.
    has_spec: whether it is in a spec still; else runs see to it that look anyway.
    """

    about: Address
    number: int
    step: int
    steps: int
    share: float
    since: datetime
    looks_again_at: datetime
    text: str = ""
    strategy: str = ""
    ends_at: datetime | None = None
    candidate: Tally = _NOTHING
    live: Tally = _NOTHING
    by: str = ""
    has_spec: bool = True

    def as_json(self) -> dict[str, Any]:
        return {
            "about": str(self.about),
            "revision": self.number,
            "step": self.step,
            "steps": self.steps,
            "share": self.share,
            "since": self.since.isoformat(),
            "looks_again_at": self.looks_again_at.isoformat(),
            "text": self.text,
            "strategy": self.strategy,
            "ends_at": self.ends_at.isoformat() if self.ends_at else None,
            "candidate": self.candidate.model_dump(),
            "live": self.live.model_dump(),
            "by": self.by,
        }


@dataclass(frozen=True)
class Stale:
    """A trained job that a new version would train with something else: it serves as before.

    channels: whose data have changed since. image: by its tag, which means another image now; '' where it does not.
    """

    about: Address
    channels: tuple[str, ...] = ()
    image: str = ""

    @property
    def text(self) -> str:
        data = f"the data of channel{'s' if len(self.channels) > 1 else ''} {', '.join(self.channels)} changed"
        image = f"the image {self.image} moved on"
        said = " and ".join([*([data] if self.channels else []), *([image] if self.image else [])])
        return f"{said} after it was trained: a new version trains with it"

    def as_json(self) -> dict[str, Any]:
        return {"about": str(self.about), "channels": list(self.channels), "image": self.image, "text": self.text}


@dataclass(frozen=True)
class HeldBack:
    """An action, or a step of a rollout, that would be due if it were not suspended. cause: why, for people."""

    verb: str
    about: Address
    cause: str


@dataclass(frozen=True)
class Suspended:
    """What somebody has suspended, and what is held back for that: nothing, while it is up to date."""

    by: Suspension
    held: tuple[HeldBack, ...] = ()

    def covers(self, address: Address) -> bool:
        """Whether this is what keeps the address from being changed: its own suspension, or that of what it needs."""
        return self.by.covers(address) or any(one.about.whole == address.whole for one in self.held)

    @property
    def text(self) -> str:
        match len(self.held):
            case 0:
                return self.by.text
            case 1:
                return f"{self.by.text}; held back: {self.held[0].verb} {self.held[0].about} ({self.held[0].cause})"
            case several:
                return f"{self.by.text}; {several} actions are held back"

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """Of a plan: what is suspended, and each action that is held back."""
        held = [("held back", str(one.about), f"{one.verb}: {one.cause}") for one in self.held]
        return [("suspended", self.by.about, self.by.text), *held]

    @property
    def problem(self) -> Problem:
        """What an `apply` says that would have changed it."""
        named = "" if self.by.about == PROJECT else f" {self.by.about}"
        return Problem(
            self.by.text,
            about=self.by.about,
            why="\n".join(f"held back: {one.verb} {one.about} ({one.cause})" for one in self.held),
            fix=f"`sagespec resume{named}` ends it; --even-suspended applies all the same, and leaves it suspended",
        )

    def as_json(self) -> dict[str, Any]:
        held = [{"action": one.verb, "about": str(one.about), "cause": one.cause} for one in self.held]
        return self.by.as_json() | {"held_back": held}
