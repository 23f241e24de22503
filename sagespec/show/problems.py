"""What went wrong: for people on standard error, for programs as JSON, for GitHub as annotations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sagespec.errors import Origin, Problem
from sagespec.masking import masked
from sagespec.show.figures import counted
from sagespec.show.markdown import problems_markdown
from sagespec.show.screen import Cell, Screen, clean, hanging

MOST_SHOWN = 50  # as many as of one file's YAML; nobody reads more before fixing some


def write_problems(screen: Screen, problems: Sequence[Problem]) -> None:
    """What went wrong, to standard error; as {"error": […]} to standard output in JSON."""
    if screen.format == "json":
        screen.record({"error": [problem.as_json() for problem in problems]})
    elif screen.format == "markdown":
        screen.line(f"**sagespec** failed: {counted(len(problems), 'problem')}\n\n{problems_markdown(problems)}")
    annotate(screen, problems)
    if screen.format == "json":
        return
    for problem in problems[:MOST_SHOWN]:
        screen.aside(*problem_cells(screen, problem))
    if len(problems) > MOST_SHOWN:
        screen.aside((f"\nand {len(problems) - MOST_SHOWN} more", "bad"))
    elif len(problems) > 1:
        screen.aside((f"\n{len(problems)} problems", "bad"))


def problem_cells(screen: Screen, problem: Problem) -> list[Cell]:
    """Place, address and fact on the first line; why and fix below."""
    cells: list[Cell] = []
    if problem.where:
        cells += [(place_text(screen, problem.where), "bold"), "  "]
    if problem.about:
        cells += [(problem.about, "name"), ": "]
    start = sum(len(cell if isinstance(cell, str) else cell[0]) for cell in cells)
    what = hanging(problem.what, start, screen.width, indent=2)
    cells.append((what, "" if cells else "bad"))
    for label, text in (("why", problem.why), ("fix", problem.fix)):
        if text:
            cells += ["\n", (f"  {label}  ", "dim"), hanging(text, 7, screen.width)]
    return cells


def place_text(screen: Screen, where: Origin) -> str:
    """file:line:column as seen from the current folder, so that a terminal can open it."""
    try:
        return str(replace(where, file=_seen_from(Path.cwd(), where.file, screen.root)))
    except FileNotFoundError:  # it was deleted
        return str(replace(where, file=str((screen.root or Path()) / where.file)))


def _seen_from(folder: Path, file: str, root: Path | None) -> str:
    return os.path.relpath(root / file, folder) if root and root != folder else file


def annotate(screen: Screen, problems: Iterable[Problem]) -> None:
    """Error annotations on the specs' lines, as GitHub Actions reads them from a log.

    https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    if not screen.github:
        return
    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    for problem in problems:
        if problem.where is None:
            continue
        values = {
            "file": _seen_from(workspace, problem.where.file, screen.root),
            "line": str(problem.where.line),
            "col": str(problem.where.column),
            "title": problem.about or "sagespec",
        }
        properties = ",".join(f"{name}={_escaped(value, ',:')}" for name, value in values.items())
        text = clean("\n".join(part for part in (problem.what, problem.why, problem.fix) if part))
        screen.err.write(f"::error {properties}::{_escaped(text)}\n")


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def write_bug(screen: Screen, error: BaseException, debug: bool) -> None:
    """An error of ours: what it is, where to report it and what to attach."""
    import traceback

    if debug:
        screen.err.write(masked("".join(traceback.format_exception(error))))
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    problem = Problem(
        what=f"{type(error).__name__}: {error}{where}",
        about="a bug in sagespec",
        why="this is not your fault; everything keeps running, and you can run the command again",
        fix="report it at https://github.com/sagespec/sagespec/issues with the output of the same command "
        "under SAGESPEC_DEBUG=1, and that of `sagespec doctor`",
    )
    write_problems(screen, [problem])
