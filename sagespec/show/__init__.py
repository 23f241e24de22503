"""What people and programs read: plans, progress, status, history and problems as text, JSON or Markdown.

Called by `cli` alone, with a `Screen` that knows where the output goes and in which form. One file a thing
that is shown; nothing here decides or changes anything.
"""

from sagespec.show.ending import write_converged
from sagespec.show.history import write_history
from sagespec.show.lists import (
    write_checks,
    write_created,
    write_images,
    write_log_line,
    write_split,
    write_stopped,
    write_unlocked,
    write_validated,
    write_version,
)
from sagespec.show.plan import write_plan
from sagespec.show.plot import write_png, write_series
from sagespec.show.problems import write_bug, write_problems
from sagespec.show.progress import reporting
from sagespec.show.screen import Cell, Format, Screen
from sagespec.show.status import write_status

__all__ = [
    "Cell",
    "Format",
    "Screen",
    "reporting",
    "write_bug",
    "write_checks",
    "write_converged",
    "write_created",
    "write_history",
    "write_images",
    "write_log_line",
    "write_plan",
    "write_png",
    "write_problems",
    "write_series",
    "write_split",
    "write_status",
    "write_stopped",
    "write_unlocked",
    "write_validated",
    "write_version",
]
