"""Progress in a notebook: one display that is brought up to date while a verb works, and stays as it was last.

Elsewhere nothing is shown unless a report is given.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sagespec.events import Report, silent

if TYPE_CHECKING:
    from sagespec.show.following import Following, PatternsOf

EVERY_SECONDS = 0.5  # between two updates, at least
STILL_EVERY_SECONDS = 2.0  # where only time has passed


class Interrupted(KeyboardInterrupt):
    """The cell was interrupted; what runs keeps running."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return [str(self)]


def following(report: Report | None, patterns_of: PatternsOf) -> AbstractContextManager[Report]:
    """The report of one verb: what was given, else a display in a notebook, else nothing."""
    if report is not None:
        return nullcontext(report)
    if not in_kernel():
        return nullcontext(silent)
    from sagespec.show.following import Following

    return _shown(Following(patterns_of))


def in_kernel() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


@contextmanager
def _shown(run: Following) -> Iterator[Report]:
    """A notebook's display of the run, while it lasts and after that."""
    from IPython.display import display

    handle: Any = display(_bundle(run, ""), raw=True, display_id=True)
    left = threading.Event()
    # In the context of the cell, by which a front end knows to which cell a display belongs.
    writer = threading.Thread(target=contextvars.copy_context().run, args=(write_often, run, handle, left), daemon=True)
    writer.start()
    ended = "failed"
    try:
        yield run.tell
        ended = "failed" if run.has_failed else "done"
    except Interrupted as error:  # by who knows better what continues
        ended = str(error)
        raise
    except KeyboardInterrupt as error:
        ended = _words_for(run.jobs_begun)
        raise Interrupted(ended) from error
    finally:
        left.set()
        writer.join()
        handle.update(_bundle(run, ended), raw=True)


def _words_for(jobs: list[str]) -> str:
    """What an interrupt does not end, and what does."""
    if not jobs:
        return "interrupted; the next apply() continues from here"
    named = ", ".join(jobs)
    stop = f"project.stop({jobs[0]!r})"
    return f"no longer followed; {named} keeps running: apply() picks it up again, {stop} ends it"


def write_often(run: Following, handle: Any, left: threading.Event) -> None:
    """Bring the display up to date while anything changes, until `left` is set."""
    still = 0.0
    while not left.wait(EVERY_SECONDS):
        still += EVERY_SECONDS
        if run.has_changed or still >= STILL_EVERY_SECONDS:
            run.has_changed, still = False, 0.0
            handle.update(_bundle(run, ""), raw=True)


def _bundle(run: Following, ended: str) -> dict[str, str]:
    return {"text/plain": run.as_text(ended), "text/html": str(run.as_html(ended))}
