"""Waiting for a job or an endpoint in a cell: its log as it comes, until it has ended or the cell is interrupted.

Interrupting ends the waiting and never the job.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue

from sagespec.errors import SagespecError
from sagespec.events import Event, EventKind, Report
from sagespec.handles.work import Work
from sagespec.run.patterns import patterns_of
from sagespec.show.live import Interrupted, following, in_kernel
from sagespec.show.progress import progress
from sagespec.state.addresses import Address
from sagespec.verbs.addresses import host_of
from sagespec.verbs.states import JobWord

LOOK_EVERY_SECONDS = 0.2

Say = Callable[[str], None]


def say(text: str) -> None:
    """To whoever runs the cell or the script."""
    print(text, flush=True)


def wait_for(work: Work, say: Say) -> None:
    """Returns when the work has ended; what happens in it is shown meanwhile, in a notebook with curves."""
    events: SimpleQueue[Event | None] = SimpleQueue()
    work.listen(events.put)
    builtins = work.project.parts.metrics_of_builtins
    if in_kernel():
        with following(None, lambda job: patterns_of(job, builtins)) as show:
            try:
                _pass_on(events, show)
            except KeyboardInterrupt:
                raise Interrupted(_what_continues(work, stays=True)) from None
        return
    show = _lines_of_job(str(work.address), say) if work.address.kind == "job" else _lines_of_endpoint()
    try:
        _pass_on(events, show)
    except KeyboardInterrupt:
        say(_what_continues(work, stays=False))
        raise


def _pass_on(events: SimpleQueue[Event | None], show: Report) -> None:
    while True:
        try:
            event = events.get(timeout=LOOK_EVERY_SECONDS)  # short: a wait without an end cannot be interrupted
        except Empty:
            continue
        if event is None:
            return
        show(event)


def _lines_of_job(about: str, say: Say) -> Report:
    def show(event: Event) -> None:
        if text := line_of(event, about):
            say(text)

    return show


def _lines_of_endpoint() -> Report:
    """What is done for it, as the command line tells it; nothing where there is nothing to do."""
    tell = progress()

    def show(event: Event) -> None:
        if event.kind not in (EventKind.RUNTIME, EventKind.PLANNED, EventKind.SETTLED):
            tell(event)

    return show


def line_of(event: Event, about: str) -> str:
    """What is printed of an event: lines of the job, and what holds it up."""
    is_mine = event.about.partition("#")[0] in ("", about)
    if not is_mine or event.kind not in (EventKind.LOG, EventKind.NOTE, EventKind.LOCK):
        return ""
    return f"{host_of(event.about)}: {event.text}" if "#" in event.about else event.text


def _what_continues(work: Work, *, stays: bool) -> str:
    """stays: whether this process does, as a kernel after a cell: then what it does in the background does, too."""
    try:
        has_begun, begins = _how_far(work, stays=stays)
    except (SagespecError, OSError):  # it cannot be asked for now
        has_begun, begins = stays, ""
    return what_continues(work.address, has_begun=has_begun, begins=begins)


def _how_far(work: Work, *, stays: bool) -> tuple[bool, str]:
    """Whether it continues as it is, and how it begins if it does not."""
    if work.address.kind != "job":
        return stays, ""
    match work.project.job_state(work.address).state:
        case JobWord.PREPARING if stays or work.looks_on:
            return True, ""
        case JobWord.PREPARING | JobWord.WAITING | JobWord.REFUSED:
            watched = "as `sagespec watch` sees it" if work.is_watched else ""
            return False, "in the background of this notebook" if stays else watched
        case _:
            return True, ""


def what_continues(address: Address, *, has_begun: bool, begins: str = "") -> str:
    """What becomes of a job or an endpoint that nobody waits for any more. begins: how it does that; '' where it needs
    somebody."""
    find = f'sagespec.{address.kind}("{str(address).partition("/")[2]}")'
    if has_begun:
        ends = f", {find}.stop() ends it" if address.kind == "job" else ""
        return f"{address} continues without this cell: {find}.wait() follows it again{ends}"
    if begins:
        return f"{address} has not begun yet: it begins {begins}; {find}.wait() follows it"
    left = "has not begun" if address.kind == "job" else "may not be up to date yet"
    return f"{address} {left}: {find}.wait() continues with it, and so does `sagespec apply`"
