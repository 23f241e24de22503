"""Applies on every change of a spec, every engine event and a timer."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

from sagespec.apply.absences import ABSENT_SECONDS, Absences
from sagespec.apply.failures import Failures
from sagespec.events import Report
from sagespec.parts import Parts
from sagespec.passes import Run
from sagespec.reconcile.options import Options
from sagespec.serve.repair import Repair
from sagespec.standby import Standby
from sagespec.verbs.apply import look_again
from sagespec.verbs.locked import LATER_PASSES_WAIT_SECONDS, report_runtime, run_of
from sagespec.verbs.plan import refuse_partial_prune, why_unsettled


def watch(
    parts: Parts, options: Options, *, report: Report, cancelled: threading.Event | None, every_seconds: float
) -> None:
    from sagespec.watch import watch as woken

    refuse_partial_prune(parts, options)
    report_runtime(parts, report)
    standby = Standby(Repair(lambda: parts.runtime, lambda: parts.gateway, report), report)
    run = run_of(
        parts,
        "watch",
        partial(look_again, parts),
        options,
        report=report,
        cancelled=cancelled,
        wait_seconds=LATER_PASSES_WAIT_SECONDS,
        seen_held=standby.leave_to_another,
        say_runtime=False,
    )
    around = standby.around(run.around)
    failures, absences = Failures(is_patient=True), Absences(ABSENT_SECONDS, partial(why_unsettled, parts), report)
    run = Run(around, run.caller, options, yields=False, failures=failures, absences=absences)
    paths = [parts.root / path for path in (*parts.specs, Path("sagespec.yaml"))]
    woken(run, standby, parts.runtime, paths, every_seconds=every_seconds)
