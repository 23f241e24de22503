"""A plan that somebody has approved: nothing is done where it is another by the time of the first pass.

It is approved by its digest, or as a file that `plan --save` wrote; of a file, both plans can be compared line by line.
No file holds a value of a secret, since no plan does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

from sagespec.errors import SpecError, WorldError, disk_problem
from sagespec.plan import Plan
from sagespec.reconcile.options import Approved

FORMAT = 1
DIGEST = re.compile(r"[0-9a-f]{64}")


class AnotherPlan(WorldError):
    """The plan is not the one that was approved."""


def saved(plan: Plan) -> str:
    """The text of the file that approves this plan."""
    return json.dumps({"format": FORMAT, "lines": plan.lines, **plan.as_json()}, indent=2) + "\n"


def approved(text: str, folder: Path) -> Approved:
    """What a digest, or the path of a file that `plan --save` wrote, approves. SpecError when it is neither."""
    if DIGEST.fullmatch(text):
        return Approved(text)
    file = folder / text
    if not file.is_file():
        raise SpecError(
            f"{text} is neither the digest of a plan nor a file",
            why="a digest is 64 hexadecimal digits; `sagespec plan` shows it with --output json and markdown",
            fix="`sagespec plan --save FILE` writes a file that --expect takes",
        )
    return _read(file)


def _read(file: Path) -> Approved:
    try:
        found = json.loads(file.read_bytes())
        if found["format"] != FORMAT:
            raise SpecError(f"{file} is of another release of sagespec", fix="make and approve the plan again")
        return Approved(str(found["digest"]), tuple(map(str, found["lines"])))
    except OSError as error:
        raise disk_problem(error, f"cannot read {file}") from error
    except (ValueError, TypeError, KeyError):
        raise SpecError(f"{file} holds no plan", fix="`sagespec plan --save FILE` writes one") from None


def refuse_another(plan: Plan, expected: Approved) -> None:
    """AnotherPlan where the plan is another than the approved one."""
    if plan.digest != expected.digest:
        why = f"its digest was {expected.digest[:12]}, and is {plan.digest[:12]} now: specs or the world have changed"
        if expected.lines:
            why = "\n".join(["specs or the world have changed:", *_differences(expected.lines, plan.lines)])
        raise AnotherPlan(
            "the plan has changed since it was approved, so nothing was done",
            why=why,
            fix="look at the plan again, and apply that one",
        )


def _differences(before: tuple[str, ...], now: tuple[str, ...]) -> Iterator[str]:
    lines = list(unified_diff(before, now, n=0, lineterm=""))[2:]
    yield from (line for line in lines if not line.startswith("@@"))
