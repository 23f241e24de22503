"""The command plan: what apply would do, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sagespec.cli.completing import complete_address
from sagespec.cli.given import CHANGES, DONE, FAILED, Invocation, takes_common_options
from sagespec.cli.group import as_written, refuse_files
from sagespec.cli.options import ALLOW_EMPTY, PRUNE, RETRY, options_of

if TYPE_CHECKING:
    from sagespec.plan import Plan
    from sagespec.reconcile.options import Options


@click.command(
    epilog=as_written("""
        Examples:
          sagespec plan
          sagespec plan --exit-code --output markdown >> "$GITHUB_STEP_SUMMARY"
          sagespec plan churn --explain
          sagespec plan --against main
          sagespec plan --save plan.json && sagespec apply --expect plan.json
    """)
)
@click.argument("names", metavar="[ADDRESS]...", nargs=-1, shell_complete=complete_address)
@RETRY
@PRUNE
@ALLOW_EMPTY
@click.option("--explain", is_flag=True, help="Say why: of one address, both sides and the rules.")
@click.option("--exit-code", is_flag=True, help="Exit with 0: nothing to do, 2: changes, 1: errors or refusals.")
@click.option("--elsewhere", is_flag=True, help="Without the engine that serves: show only what the specs change.")
@click.option(
    "--against",
    "ref",
    metavar="COMMIT",
    help="Compare with the specs of this commit, as if they were applied.",
)
@click.option(
    "--save",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the plan there, too, for `apply --expect FILE`.",
)
@takes_common_options("markdown")
def plan(
    given: Invocation,
    names: tuple[str, ...],
    *,
    retry: bool,
    prune: bool,
    allow_empty: bool,
    explain: bool,
    exit_code: bool,
    elsewhere: bool,
    ref: str | None,
    file: Path | None,
) -> int:
    """Show what apply would do, and why.

    Compares the specs with the engine and the store, and changes nothing. Names the jobs that other runs follow. Fails
    when something in the specs is refused. With addresses, it is about these alone, and the jobs that they need.
    """
    from sagespec.show.plan import write_plan

    refuse_files(names)
    if explain:
        return _explain(given, names, options_of(retry, prune, allow_empty))
    if names and (file or elsewhere or ref):
        raise click.UsageError("--save, --elsewhere and --against are of the whole plan: leave the addresses out")
    if ref is not None and not ref.strip():
        raise click.UsageError("--against: no commit is given; is a variable empty?")
    if sum(map(bool, (file, elsewhere, ref))) > 1:
        raise click.UsageError("--save, --elsewhere and --against: of three different plans; name one")
    options = options_of(retry, prune, allow_empty)
    with given.project() as project:
        found = project.plan_against(ref, options) if ref else project.plan(options, only=names or None)
        found = found.of_specs() if elsewhere else found
        if file:
            _save(found, given.folder / file)
        write_plan(given.screen, found, runtime=project.runtime_reason or _compared_with(found))
    if found.refused:
        return FAILED
    return CHANGES if exit_code and found.asks_for_something else DONE


def _explain(given: Invocation, names: tuple[str, ...], options: Options) -> int:
    from sagespec.show.plan import write_explained

    if len(names) != 1:
        raise click.UsageError("--explain takes one address")
    with given.project() as project:
        found = project.explain(names[0], options)
        write_explained(given.screen, found)
    return FAILED if found.plan.refused else DONE


def _compared_with(plan: Plan) -> str:
    return f"as if the specs of {plan.against[:12]} were applied" if plan.against else ""


def _save(plan: Plan, file: Path) -> None:
    from sagespec.apply.approved import saved
    from sagespec.errors import disk_problems

    with disk_problems(f"cannot write {file}"):
        file.write_text(saved(plan), encoding="utf-8")
